//! `GET /api/models/user-models`: what the caller published, newest first.

use http::Method;
use shared::page::PageRequest;
use shared::{Db, Error, Request, Response};

use crate::query::UserModels;

pub(crate) async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    request.allow(&[Method::GET])?;
    let identity = request.identity()?;
    let page = PageRequest::from_request(&request, "user-models", identity.subject())?;
    let rows = db.read(request.deadline(), &UserModels { page: &page }).await?;
    Ok(Response::personal(&page.page(rows)))
}
