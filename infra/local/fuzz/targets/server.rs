//! What a server sends: whole messages for the stand-in for RDS Proxy, and a sign-in watched in pieces for `cargo ops pins`.

#![no_main]

#[allow(dead_code, unused_imports)]
#[path = "../../src/wire/mod.rs"]
mod wire;

mod memory;
mod parts;

#[path = "../../src/forward/sign_in.rs"]
mod sign_in;

use libfuzzer_sys::fuzz_target;
use parts::Parts;
use wire::{ErrorFields, Severity, error_response};

const LIMIT_BYTES: usize = 64 * 1024 * 1024;

fuzz_target!(|bytes: &[u8]| {
    if let Some((seed, bytes)) = bytes.split_first() {
        memory::bounded(bytes, || run(bytes, *seed));
    }
});

fn run(bytes: &[u8], seed: u8) {
    let (frames, _) = parts::frames(bytes, seed, LIMIT_BYTES);
    parts::compare_pieces(bytes, seed, &frames);
    for frame in frames.iter().filter(|frame| frame.kind() == b'E') {
        let fields = ErrorFields::read(frame.body());
        let again = error_response(Severity::Error, &fields.sqlstate, &fields.message);
        assert_eq!(ErrorFields::read(again.body()), fields);
    }
    let mut watched = sign_in::SignIn::default();
    let signed_in = Parts::new(bytes, seed).find_map(|part| watched.look(part)) == Some(true);
    let expected = frames.iter().any(|frame| frame.kind() == b'R' && frame.body().starts_with(&[0; 4]));
    assert_eq!(signed_in, expected);
}
