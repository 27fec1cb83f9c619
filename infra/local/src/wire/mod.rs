//! Postgres's protocol 3 as it passes by: frames read with a limit, and of each only what a proxy has to know.
//!
//! A proxy forwards most frames as they came, so a frame here is its bytes and not a tree of fields: nothing is lost by reading and writing
//! it again, and a body that makes no sense is the receiver's to refuse. Source: PostgreSQL documentation, "Message Formats".

mod close;
mod error_response;
mod frame;
mod frontend;
mod pieces;
mod startup;

pub use close::close;
pub use error_response::{ErrorFields, Severity, error_response};
pub use frame::{Frame, FrameError, Frames};
pub use frontend::{Bind, Parse, Target, target};
pub use pieces::{Piece, Pieces};
pub use startup::{Opening, Startup, opening, read_first_packet, read_opening};

/// A string that ends with a zero byte, and what follows it.
fn split_cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}
