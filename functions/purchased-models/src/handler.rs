//! `/api/user/purchased-models`: what the caller bought, newest first, and buying.

use http::Method;
use shared::page::PageRequest;
use shared::{Db, Error, Request, Response, Submission};

use crate::purchase::{Order, Purchase};
use crate::query::PurchasedModels;

pub(crate) async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    request.allow(&[Method::GET, Method::POST])?;
    if request.method() == Method::POST { buy(&request, &db).await } else { list(&request, &db).await }
}

async fn list(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let page = PageRequest::from_request(request, "purchased-models", identity.subject())?;
    let rows = db.read(request.deadline(), &PurchasedModels { page: &page }).await?;
    request.list(&page.page(rows))
}

async fn buy(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let order: Order = request.json()?;
    let submission = Submission::named(request, &identity, &order, db)?;
    submission.submit(request, db, &Purchase::of(&order)).await
}
