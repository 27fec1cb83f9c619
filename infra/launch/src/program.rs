//! Starts the build, shows it, and becomes the command line.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use launch::{Line, MESSAGES, PROGRESS, Progress, Tail};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// The program that this one becomes.
const COMMAND_LINE: &str = "ops";

/// Ends the build if this process, or the one it has become, ends first.
const WATCH: &str = "{ while kill -0 $0 && kill -0 $1; do sleep 0.5; done; kill -TERM -- -$1; } &";

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    let target = own.parent().unwrap_or(Path::new("."));
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let only_asks = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    let mut binaries = vec![COMMAND_LINE.to_owned()];
    if !only_asks {
        binaries.extend(launch::functions(&workspace).map_err(|error| format!("the folder functions cannot be read: {error}"))?);
    }
    let output = target.join(format!("launch-{}", std::process::id()));
    let mut build = Build::start(&workspace, output, &binaries)?;
    let is_verbose = arguments.iter().any(|argument| argument == "--verbose" || argument == "-v");
    if !build.shown_until_built(is_verbose)? {
        return Ok(ExitCode::FAILURE);
    }
    let mut command = Command::new(target.join(COMMAND_LINE));
    command.arg("dev").args(arguments.drain(..));
    if only_asks {
        build.cargo.wait().map_err(|error| format!("cargo was lost: {error}"))?;
    } else {
        command.arg("--build").arg(build.cargo.id().to_string()).arg("--build-output").arg(&build.output);
        // It is the command line's now.
        build.is_handed_over = true;
    }
    let error = command.exec();
    build.is_handed_over = false;
    Err(format!("{} does not start: {error}", target.join(COMMAND_LINE).display()))
}

/// A cargo, and what it says.
struct Build {
    cargo: Child,
    output: PathBuf,
    messages: Tail,
    progress: Tail,
    is_handed_over: bool,
}

impl Build {
    fn start(workspace: &Path, output: PathBuf, binaries: &[String]) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| launch::sentence(&error.to_string()).map_or_else(|| format!("{}: {error}", output.display()), str::to_owned);
        // Of a process that had this number before.
        let _ = fs::remove_dir_all(&output);
        fs::create_dir_all(&output).map_err(failed)?;
        let mut cargo = launch::cargo(workspace, &output, binaries).map_err(failed)?;
        let cargo = cargo.process_group(0).spawn().map_err(|error| format!("cargo does not start: {error}"))?;
        let watch = ["-c", WATCH, &std::process::id().to_string(), &cargo.id().to_string()];
        Command::new("/bin/sh")
            .args(watch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .status()
            .map_err(|error| format!("/bin/sh does not start: {error}"))?;
        let (messages, progress) = (Tail::open(&output.join(MESSAGES)).map_err(failed)?, Tail::open(&output.join(PROGRESS)).map_err(failed)?);
        Ok(Self { cargo, output, messages, progress, is_handed_over: false })
    }

    /// Shows how far it is until the command line is built; false where it does not compile, which was said then.
    fn shown_until_built(&mut self, is_verbose: bool) -> Result<bool, String> {
        let (mut line, began, mut said) = (Line::new(), Instant::now(), String::new());
        loop {
            let ended = self.cargo.try_wait().map_err(|error| format!("cargo was lost: {error}"))?;
            for text in self.progress.lines().map_err(|error| error.to_string())? {
                if let Some(progress) = Progress::parse(&text) {
                    line.show(&format!("building   {}", progress.describe(began.elapsed())));
                } else {
                    if is_verbose {
                        line.clear();
                        eprintln!("{text}");
                    }
                    said += &text;
                    said.push('\n');
                }
            }
            let built = self.messages.lines().map_err(|error| error.to_string())?.iter().any(|message| is_command_line(message));
            if built {
                line.clear();
                return Ok(true);
            }
            match ended {
                Some(status) if status.success() => return Err(format!("cargo built no {COMMAND_LINE}")),
                Some(_) => {
                    line.clear();
                    if !is_verbose {
                        eprint!("{said}");
                    }
                    return match launch::sentence(&said) {
                        Some(sentence) => Err(sentence.to_owned()),
                        None => Ok(false),
                    };
                }
                None => std::thread::sleep(INTERVAL),
            }
        }
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if !self.is_handed_over {
            let _ = fs::remove_dir_all(&self.output);
        }
    }
}

/// Whether a message of cargo says that the command line's program is there.
fn is_command_line(message: &str) -> bool {
    message.starts_with(r#"{"reason":"compiler-artifact""#) && message.contains(&format!(r#"/{COMMAND_LINE}","fresh""#))
}
