//! `/api/models/user-models`: what the caller published, newest first, and publishing; each item by its id: reading, changing, withdrawing.

use http::Method;
use shared::page::PageRequest;
use shared::refusal::NOT_FOUND;
use shared::{Db, Error, Request, Response, Submission};

use crate::change::Change;
use crate::model::{ModelChange, NewModel};
use crate::publication::Publication;
use crate::query::{Item, UserModels};
use crate::withdrawal::Withdrawal;

pub(crate) async fn handle(request: Request, db: Db) -> Result<Response, Error> {
    if request.has_path_variable("id") {
        request.allow(&[Method::GET, Method::PATCH, Method::DELETE])?;
        match *request.method() {
            Method::PATCH => change(&request, &db).await,
            Method::DELETE => withdraw(&request, &db).await,
            _ => item(&request, &db).await,
        }
    } else {
        request.allow(&[Method::GET, Method::POST])?;
        if request.method() == Method::POST { publish(&request, &db).await } else { list(&request, &db).await }
    }
}

async fn list(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let page = PageRequest::from_request(request, "user-models", identity.subject())?;
    let rows = db.read(request.deadline(), &UserModels { page: &page }).await?;
    request.list(&page.page(rows))
}

async fn item(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let item = Item { id: request.path_uuid("id")?, subject: identity.subject() };
    let (version, body) = db.read(request.deadline(), &item).await?.ok_or_else(|| NOT_FOUND.because("The caller has no model with this id."))?;
    request.item(version, body)
}

async fn publish(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let model: NewModel = request.json()?;
    let submission = Submission::named(request, &identity, &model, db)?;
    submission.submit(request, db, &Publication::of(&model)).await
}

async fn change(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let (id, versions) = (request.path_uuid("id")?, request.required_versions()?);
    let change: ModelChange = request.json_change()?;
    let submission = Submission::maybe_named(request, &identity, &change, db)?;
    submission.submit(request, db, &Change { id, versions, change: &change }).await
}

async fn withdraw(request: &Request, db: &Db) -> Result<Response, Error> {
    let identity = request.identity()?;
    let (id, versions) = (request.path_uuid("id")?, request.required_versions()?);
    let submission = Submission::maybe_named(request, &identity, &(), db)?;
    submission.submit(request, db, &Withdrawal { id, versions }).await
}
