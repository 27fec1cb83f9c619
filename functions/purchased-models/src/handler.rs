//! `GET /api/user/purchased-models`: what the caller bought, newest first.

use http::Method;
use shared::page::PageRequest;
use shared::{Db, Error, Request, Response};

use crate::query::PurchasedModels;

pub(crate) async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    request.allow(&[Method::GET])?;
    let identity = request.identity()?;
    let page = PageRequest::from_request(&request, "purchased-models", identity.subject())?;
    let rows = db.read(request.deadline(), &PurchasedModels { page: &page }).await?;
    Ok(Response::personal(&page.page(rows)))
}
