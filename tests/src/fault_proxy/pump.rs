//! One direction of a flow, and what faults do to its bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

use super::{Begun, Fault, Shared, Side};

/// `ReadyForQuery`, outside of a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// An `ErrorResponse` (PostgreSQL documentation, section 55.7) with severity, SQLSTATE and a text.
fn error_message(severity: &str, code: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, text) in [(b'S', severity), (b'V', severity), (b'C', code), (b'M', "said by the fault proxy")] {
        fields.push(kind);
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap();
    [&b"E"[..], &length.to_be_bytes(), &fields].concat()
}

/// How one direction ended.
#[derive(PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Cut,
}

pub(super) struct Pump {
    pub(super) number: u64,
    /// Whose bytes it passes on.
    pub(super) side: Side,
    /// Whether the client's bytes wait for an answer.
    pub(super) asked: Arc<AtomicBool>,
    pub(super) shared: Arc<Shared>,
    pub(super) fault: watch::Receiver<Arc<Begun>>,
}

impl Pump {
    /// Passes bytes on until either side ends, or the flow is cut.
    pub(super) async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> End {
        let (mut buffer, mut since_fault) = (vec![0; 16 * 1024], 0);
        let mut begun = Arc::clone(&self.fault.borrow_and_update());
        let (mut spoilt, mut silent) = (false, false);
        let mut said;
        loop {
            let count = match from.read(&mut buffer).await {
                Ok(0) | Err(_) if self.has_vanished() => std::future::pending().await,
                Ok(0) | Err(_) => return End::Closed,
                Ok(count) => count,
            };
            let current = Arc::clone(&self.fault.borrow_and_update());
            if !Arc::ptr_eq(&current, &begun) {
                (begun, since_fault, spoilt) = (current, 0, false);
            }
            silent |= match begun.fault {
                Fault::Silence => true,
                Fault::OldSilence | Fault::Vanished => begun.is_older(self.number),
                Fault::ServerSilence => self.side == Side::Server,
                _ => false,
            };
            if silent {
                continue;
            }
            self.count(count);
            let mut bytes = &buffer[..count];
            if let Some(limit) = self.limit(&begun).filter(|limit| since_fault + count >= *limit) {
                let passing = limit - since_fault;
                drop(to.write_all(&bytes[..passing]).await);
                begun.is_met.store(true, Ordering::SeqCst);
                if !matches!(begun.fault, Fault::HoldOnce(..)) {
                    if self.side == Side::Server {
                        // The client has to see the bytes before the end.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    return End::Cut;
                }
                tokio::select! {
                    biased;
                    () = ended(&from) => return End::Closed,
                    _ = self.fault.changed() => bytes = &bytes[passing..],
                }
            }
            since_fault += count;
            if self.side == Side::Server {
                match begun.fault {
                    Fault::Garbage if !spoilt => (bytes, spoilt) = (b"\x00\xff\x00\x00\x00\x03HTTP/1.1 400\r\n\r\n", true),
                    Fault::Oversized if !spoilt => (bytes, spoilt) = (b"D\x7f\xff\xff\xff\x00\x01", true),
                    Fault::Undersized if !spoilt => (bytes, spoilt) = (b"D\0\0\0\0", true),
                    Fault::Garbage | Fault::Oversized | Fault::Undersized => continue,
                    Fault::Says(code) if !spoilt && begun.is_older(self.number) => {
                        (said, spoilt) = ([error_message("ERROR", code), READY.to_vec()].concat(), true);
                        bytes = &said;
                    }
                    Fault::SaysAtConnect(code) if !begun.is_older(self.number) => return turn_away(&mut to, code).await,
                    Fault::SaysAtNextConnect(code) if self.number == begun.flows_before + 1 => return turn_away(&mut to, code).await,
                    _ => {}
                }
            }
            if to.write_all(bytes).await.is_err() {
                return End::Closed;
            }
        }
    }

    /// After how many bytes of this direction the flow is cut or held, where that is the fault.
    fn limit(&self, begun: &Begun) -> Option<usize> {
        match begun.fault {
            Fault::CutAfter(limit) if self.side == Side::Server => Some(limit),
            Fault::CutOnce(side, limit) | Fault::HoldOnce(side, limit) if begun.chooses(self.number) && side == self.side => Some(limit),
            _ => None,
        }
    }

    /// Neither end of such a flow hears of the other's.
    fn has_vanished(&self) -> bool {
        let begun = self.fault.borrow();
        begun.fault == Fault::Vanished && begun.is_older(self.number)
    }

    /// A round trip ends with the first bytes of the server after the client's.
    fn count(&self, bytes: usize) {
        let total = match self.side {
            Side::Client => &self.shared.client_bytes,
            Side::Server => &self.shared.server_bytes,
        };
        total.fetch_add(bytes as u64, Ordering::SeqCst);
        match self.side {
            Side::Client => self.asked.store(true, Ordering::SeqCst),
            Side::Server if self.asked.swap(false, Ordering::SeqCst) => drop(self.shared.round_trips.fetch_add(1, Ordering::SeqCst)),
            Side::Server => {}
        }
    }
}

/// Waits until nothing more comes from there. What still comes is left where it is.
async fn ended(from: &OwnedReadHalf) {
    if from.as_ref().peek(&mut [0]).await.is_ok_and(|count| count > 0) {
        std::future::pending().await
    }
}

async fn turn_away(to: &mut OwnedWriteHalf, code: &str) -> End {
    drop(to.write_all(&error_message("FATAL", code)).await);
    End::Closed
}
