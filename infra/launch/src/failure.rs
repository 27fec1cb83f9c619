//! What you can do if a build failed because something is missing on the machine.

/// Words of cargo, rustc or the system, and the sentence for them. The first match counts.
/// Cargo's own words are shown by `cargo dev --verbose`.
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

/// The sentence for a failure in cargo's output; None for an error in the code.
#[must_use]
pub fn sentence(output: &str) -> Option<&'static str> {
    // A warning may name a trouble that has passed.
    let errors = &output[output.lines().position(|line| line.starts_with("error")).map_or(output.len(), |number| offset(output, number))..];
    if errors.contains("error[E") {
        return None;
    }
    KNOWN.iter().find(|(signs, _)| signs.iter().any(|sign| errors.contains(sign))).map(|(_, sentence)| *sentence)
}

/// Where the line of this number begins.
fn offset(text: &str, number: usize) -> usize {
    text.split_inclusive('\n').take(number).map(str::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_means_is_told_from_an_error_in_the_code() {
        let cases = [
            ("error: failed to write `x`\n\nCaused by:\n  No space left on device (os error 28)", "the disk is full"),
            ("error: linker `cc` not found\n  |\n  = note: No such file or directory (os error 2)", "a C compiler is missing"),
            (
                "error: failed to run custom build command for `ring`\n  failed to find tool \"cc\": No such file or directory (os error 2)",
                "a C compiler is missing",
            ),
            ("error: failed to download from `x`\n\nCaused by:\n  [6] Could not resolve hostname", "cannot be downloaded"),
            ("error: attempting to make an HTTP request, but --offline was specified", "run cargo fetch"),
            ("error: rustc 1.80.0 is not supported by the following package:", "rustup update"),
        ];
        for (output, part) in cases {
            assert!(sentence(output).is_some_and(|sentence| sentence.contains(part)), "{output}");
        }
        assert_eq!(sentence("error[E0308]: mismatched types"), None);
        assert_eq!(sentence("warning: spurious network error: Could not resolve host\nerror: could not compile `x`"), None);
        assert_eq!(sentence("error[E0308]: mismatched types\nNo space left on device"), None);
    }
}
