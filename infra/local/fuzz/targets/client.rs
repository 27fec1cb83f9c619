//! What a client sends: its start-up packet, then messages. Read as the stand-in for RDS Proxy does, and as `cargo ops pins` does.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../src/wire/mod.rs"]
mod wire;

mod memory;
mod parts;

#[path = "../../src/forward/tap.rs"]
mod tap;

/// What the tap takes from the classification of statements.
mod pins {
    pub const STATEMENT_LIMIT_BYTES: usize = 64;
}

use std::io::ErrorKind;

use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use parts::Parts;
use wire::{Bind, Frame, Opening, Parse, read_opening, target};

const LIMIT_BYTES: usize = 16 * 1024 * 1024;

fuzz_target!(|bytes: &[u8]| {
    if let Some((seed, bytes)) = bytes.split_first() {
        memory::bounded(bytes, || run(bytes, *seed));
    }
});

fn run(bytes: &[u8], seed: u8) {
    begin(bytes, seed);
    let (frames, _) = parts::frames(bytes, seed, LIMIT_BYTES);
    parts::compare_pieces(bytes, seed, &frames);
    frames.iter().for_each(rewrite);
    look(bytes, seed, &frames);
}

fn begin(bytes: &[u8], seed: u8) {
    let mut stream = Parts::new(bytes, seed);
    for _ in 0..4 {
        match read_opening(&mut stream).now_or_never().expect("memory is always ready") {
            Ok(Opening::Ssl | Opening::GssEncryption) => {}
            Ok(Opening::Startup(startup)) => {
                for (name, _) in &startup.parameters {
                    assert!(startup.get(name).is_some() && !name.is_empty());
                }
                return;
            }
            Ok(Opening::Cancel) => return,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof), "{error}");
                return;
            }
        }
    }
}

/// A message whose names are replaced by themselves is the same message.
fn rewrite(frame: &Frame) {
    match frame.kind() {
        b'P' => drop(Parse::read(frame.body()).map(|parse| assert_eq!(parse.named(parse.name), *frame))),
        b'B' => drop(Bind::read(frame.body()).map(|bind| assert_eq!(bind.of(bind.statement), *frame))),
        kind @ (b'C' | b'D') => drop(target(frame.body()).map(|target| assert_eq!(target.frame(kind), *frame))),
        _ => {}
    }
}

/// The texts that pass by are those of the whole messages.
fn look(bytes: &[u8], seed: u8, frames: &[Frame]) {
    let expected = frames.iter().filter_map(|frame| {
        let body = frame.body();
        let text = match frame.kind() {
            b'Q' => body,
            b'P' => &body[body.iter().position(|byte| *byte == 0)? + 1..],
            _ => return None,
        };
        let text = match text.iter().position(|byte| *byte == 0) {
            Some(end) => &text[..end],
            None if text.len() > pins::STATEMENT_LIMIT_BYTES => text,
            None => return None,
        };
        Some(text[..text.len().min(pins::STATEMENT_LIMIT_BYTES + 1)].to_vec())
    });
    let (mut tap, mut seen) = (tap::Tap::default(), Vec::new());
    for part in Parts::new(bytes, seed) {
        tap.look(part, |text| seen.push(text));
    }
    // A message that is not whole may have a text that is.
    let expected: Vec<_> = expected.collect();
    assert!(seen.len() >= expected.len());
    assert_eq!(seen[..expected.len()], expected);
    assert!(seen.iter().all(|text| text.len() <= pins::STATEMENT_LIMIT_BYTES + 1));
}
