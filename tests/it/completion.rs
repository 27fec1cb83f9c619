//! `cargo ops completion`.

use tests::Command;

#[tokio::test]
async fn every_shell_has_a_script_that_knows_the_commands() {
    let state = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = Command::run(state.path(), &["completion", shell], &[]).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{shell}: {ended:?}");
        for word in ["reset", "include-busy", "database-url"] {
            assert!(ended.stdout.contains(word), "{shell} does not know {word}");
        }
        assert!(!ended.stdout.contains("cargo ops "), "{shell} completes a first word of two");
    }
}

#[tokio::test]
async fn bash_completes_what_the_help_says() {
    let state = tempfile::tempdir().unwrap();
    let script = Command::run(state.path(), &["completion", "bash"], &[]).await.stdout;
    let complete = |words: &[&str]| {
        let count = words.len();
        let (last, before) = (words[count - 1], if count > 1 { words[count - 2] } else { "ops" });
        let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let asked = format!(
            "{script}\ncomplete -p ops >/dev/null || exit 9\n\
             COMP_WORDS=(ops {quoted}); COMP_CWORD={count}; _ops ops '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let ended = std::process::Command::new("bash").args(["--norc", "-c", &asked]).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["res"]), ["reset"]);
    assert_eq!(complete(&["reset", "--scope", ""]), ["environment", "fleet"]);
    assert_eq!(complete(&["reset", "--inc"]), ["--include-busy"]);
    assert_eq!(complete(&["completion", "po"]), ["powershell"]);
}
