//! What the server answers. Most of it passes as it came; what was prepared behind the client's back is answered to nobody.

use super::owed::Owed;
use super::{Exchange, ServerError};
use crate::wire::{ErrorFields, Frame};

/// SQLSTATE feature_not_supported: also "cached plan must not change result type".
const FEATURE_NOT_SUPPORTED: &str = "0A000";

impl Exchange<'_> {
    pub(super) fn on_server_frame(&mut self, frame: Frame) -> Result<(), ServerError> {
        match (frame.kind(), self.owed.front()) {
            (b'1', Some(Owed::Parse { name, .. })) => {
                let hidden = name.is_none();
                self.owed.pop();
                if hidden {
                    return Ok(());
                }
            }
            (b'3', Some(Owed::KnownParse { .. })) => {
                self.owed.pop();
                self.client.link.outbox.push(&Frame::new(b'1', b""));
                return Ok(());
            }
            (b'3', Some(Owed::Close { forwarded, .. })) => {
                let hidden = !forwarded;
                self.owed.pop();
                if hidden {
                    return Ok(());
                }
            }
            (b'2', Some(Owed::Bind)) | (b'T' | b'n', Some(Owed::Describe)) | (b'I' | b's', Some(Owed::Execute)) => drop(self.owed.pop()),
            (b'C', front) => {
                let executed = matches!(front, Some(Owed::Execute));
                if std::mem::take(&mut self.server_copies) {
                    self.owed.end_copy_in();
                }
                if executed {
                    self.owed.pop();
                }
            }
            (b'G', Some(Owed::Execute | Owed::Query { .. })) => self.begin_copy_in(),
            (b'E', _) => self.on_error(&frame),
            (b'Z', front) => {
                let expected = matches!(front, Some(Owed::Query { .. } | Owed::Sync));
                if expected {
                    self.owed.pop();
                } else if !std::mem::take(&mut self.skipping) {
                    return Err(ServerError::Unexpected(b'Z'));
                }
                self.in_transaction = frame.body() != b"I";
            }
            (kind @ (b'1' | b'2' | b'3' | b'G'), _) => return Err(ServerError::Unexpected(kind)),
            _ => {}
        }
        self.client.link.outbox.push(&frame);
        Ok(())
    }

    /// While the server takes data it ignores Sync, which drivers send with every Execute (PostgreSQL documentation, "COPY Operations").
    fn begin_copy_in(&mut self) {
        self.server_copies = true;
        if self.owed.begin_copy_in() && matches!(self.owed.front(), Some(Owed::Execute)) && !self.owed.holds_sync() {
            self.open_batch = true;
        }
        if let Some(interrupting) = self.owed.take_what_interrupts_copy() {
            self.undo(interrupting);
        } else {
            self.takes_copy_data = self.owed.len() == 1;
        }
    }

    fn on_error(&mut self, frame: &Frame) {
        self.plans_spoilt |= ErrorFields::read(frame.body()).sqlstate == FEATURE_NOT_SUPPORTED;
        (self.server_copies, self.takes_copy_data) = (false, false);
        // After one of a simple query, or of the commit at a Sync, the server is ready again; of others it skips what follows to the Sync.
        if !matches!(self.owed.front(), None | Some(Owed::Query { .. } | Owed::Sync)) {
            for skipped in self.owed.skip() {
                self.undo(skipped);
            }
            match self.owed.pop() {
                // The unnamed statement before went as this one began.
                Some(Owed::Parse { name, statement, unnamed, .. }) => self.undo(Owed::Parse { name, statement, unnamed, replaced: None }),
                Some(failed) => self.undo(failed),
                None => {}
            }
            self.skipping = self.owed.is_empty();
        }
    }

    /// The server did not do it.
    fn undo(&mut self, owed: Owed) {
        match owed {
            Owed::Parse { name, statement, unnamed, replaced } => {
                if unnamed {
                    self.connection.unnamed = None;
                } else {
                    self.connection.prepared.remove(&statement.name);
                }
                if let Some(name) = name {
                    self.client.statements.retract(&name, &statement);
                    if let Some(replaced) = replaced {
                        self.client.statements.restore(name, replaced);
                    }
                }
            }
            Owed::KnownParse { name, statement } => self.client.statements.retract(&name, &statement),
            Owed::Close { closed: Some((name, statement)), .. } => self.client.statements.restore(name, statement),
            Owed::Query { unnamed: Some(statement) } => self.client.statements.restore(Vec::new(), statement),
            Owed::TakenName | Owed::Close { .. } | Owed::Bind | Owed::Describe | Owed::Execute | Owed::CopyEnd | Owed::Query { .. } | Owed::Sync => {}
        }
    }
}
