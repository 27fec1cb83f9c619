//! What a person can do about a build that failed for want of something.

/// What cargo, rustc or the system say, and the sentence for it. The first that is found counts.
const KNOWN: [(&[&str], &str); 5] = [
    (
        &["No space left on device", "(os error 28)"],
        "the disk is full: a build takes about 3 GB below target; free that much, or set CARGO_TARGET_DIR to a folder elsewhere",
    ),
    (
        &["linker `cc` not found", "failed to find tool \"cc\"", "failed to find tool \"gcc\"", "is `cc` installed", "xcrun: error"],
        "a C compiler is missing: install one (Debian, Ubuntu: apt-get install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install)",
    ),
    (
        &[
            "failed to download",
            "Could not resolve host",
            "Couldn't resolve host",
            "failed to query replaced source",
            "you may need to run cargo in offline",
        ],
        "the crates cannot be downloaded: connect to the network and run it again; once they are there, no network is needed",
    ),
    (
        &["attempting to make an HTTP request, but --offline was specified"],
        "the crates are not there, and cargo may not download them: run cargo fetch without --offline first",
    ),
    (&["requires rustc", "is not supported by the following package"], "the compiler is too old: run rustup update"),
];

/// The sentence for what stands in cargo's output, where it is something other than an error in the code.
#[must_use]
pub fn sentence(output: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(signs, _)| signs.iter().any(|sign| output.contains(sign))).map(|(_, sentence)| *sentence)
}
