//! CloudFormation gets its answer where it waits for it, whatever came of the work; whoever invokes directly gets the report.

use shared::Db;
use shared::lambda::{self, ErrorDocument, Invocation, Outcome};

use crate::custom_resource::Answer;
use crate::event::{Action, CustomResource, Event, RequestType};
use crate::schema::{self, Failure, Report};

pub(crate) async fn handle(invocation: Invocation, db: Db) -> Outcome {
    match Event::of(invocation.event()) {
        Ok(Event::CustomResource(request)) => custom_resource(&request, &invocation, &db).await,
        Ok(Event::Direct(action)) => direct(action, &invocation, &db).await,
        Err(expected) => {
            tracing::error!("{expected}");
            Err(ErrorDocument::new("Migrate.UnknownEvent", expected))
        }
    }
}

/// The invocation is asynchronous: ending in an error has Lambda repeat it, which is right only where CloudFormation was not answered.
async fn custom_resource(request: &CustomResource, invocation: &Invocation, db: &Db) -> Outcome {
    let (deadline, database) = (invocation.deadline(db.config()), &*db.config().database.name);
    let result = match request.request_type {
        RequestType::Create | RequestType::Update => Some(schema::bring_up(db, deadline).await),
        // The stack goes, or never came about; what the database holds stays.
        RequestType::Delete => None,
    };
    let answer = match &result {
        None => Answer::success(request, database, "the schema stays: data is not deleted with a stack", None),
        Some(Ok(report)) => {
            log_up(report);
            Answer::success(request, database, &words(report), Some(report))
        }
        Some(Err(failure)) => Answer::failed(request, database, &failed(failure)),
    };
    match answer.send(request, deadline.answer_by()).await {
        Ok(()) => lambda::answer(&answer),
        Err(failure) => {
            tracing::error!("CloudFormation was not answered: {failure}");
            Err(ErrorDocument::new("Migrate.NotAnswered", format!("CloudFormation was not answered: {failure}")))
        }
    }
}

async fn direct(action: Action, invocation: &Invocation, db: &Db) -> Outcome {
    let deadline = invocation.deadline(db.config());
    let result = match action {
        Action::Migrate => schema::bring_up(db, deadline).await.inspect(log_up),
        Action::Status => schema::status(db, deadline).await,
    };
    match result {
        Ok(report) => lambda::answer(&report),
        Err(failure) => Err(ErrorDocument::new("Migrate.Failed", failed(&failure))),
    }
}

fn log_up(report: &Report) {
    let Report { present, known, applied, note } = report;
    tracing::info!(present, known, applied, note, "the schema is up");
}

/// For the stack's events.
fn words(report: &Report) -> String {
    report.note.map_or_else(|| format!("{} migrations applied, {} there", report.applied, report.present), str::to_owned)
}

fn failed(failure: &Failure) -> String {
    let chain = match failure {
        Failure::Migrations(error) => error.without_values(),
        Failure::Database(error) => error.chain(),
    };
    tracing::error!("the schema is not up: {chain}");
    chain
}
