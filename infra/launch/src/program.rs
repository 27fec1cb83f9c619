//! Starts the build, shows it, and becomes the command line.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use launch::{Line, MESSAGES, PROGRESS, Progress, Tail};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// The program that this one becomes.
const COMMAND_LINE: &str = "ops";

/// The word of `cargo dev`.
const DEV: &str = "dev";

/// The API's port where the arguments name none.
const PORT: &str = "3000";

/// How the folder of cargo's output begins, below the one of the programs; this process's number follows.
const OUTPUT: &str = "launch-";
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

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
    let folder = std::env::current_dir().map_err(|error| format!("there is no current folder: {error}"))?;
    let workspace = launch::workspace(&folder).ok_or("go into the checkout: no folder from here upwards has a template.yaml and a Cargo.toml")?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_dev = arguments.first().is_some_and(|command| command == DEV);
    if !is_dev {
        // `cargo ops …`: the word says only that.
        arguments.drain(..arguments.len().min(1));
    }
    let only_asks = !is_dev || arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    let mut binaries = vec![COMMAND_LINE.to_owned()];
    if !only_asks {
        binaries.extend(launch::functions(workspace).map_err(|error| format!("the folder functions cannot be read: {error}"))?);
    }
    if !only_asks {
        check_port(&arguments)?;
    }
    let output = target.join(format!("{OUTPUT}{}", std::process::id()));
    let mut build = Build::start(workspace, output, &binaries)?;
    let is_verbose = is_dev && arguments.iter().any(|argument| argument == "--verbose" || argument == "-v");
    if !build.shown_until_built(is_verbose)? {
        return Ok(ExitCode::FAILURE);
    }
    let mut command = Command::new(target.join(COMMAND_LINE));
    command.args(arguments);
    if only_asks {
        build.cargo.wait().map_err(|error| format!("cargo was lost: {error}"))?;
    } else if !build.has_ended {
        command.arg("--build").arg(build.cargo.id().to_string()).arg("--build-output").arg(&build.output);
        command.arg("--build-shown-bytes").arg(build.shown_bytes.to_string());
        // From here on the command line removes it.
        build.is_handed_over = true;
    }
    if !build.is_handed_over {
        build.remove_output();
    }
    let error = command.exec();
    build.is_handed_over = false;
    Err(format!("{} does not start: {error}", target.join(COMMAND_LINE).display()))
}

/// Fails if the API's port is taken, before the build starts. The command line refuses a value that is no port.
fn check_port(arguments: &[OsString]) -> Result<(), String> {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let named = texts.iter().enumerate().find_map(|(index, text)| match *text {
        "--port" => texts.get(index + 1).copied(),
        text => text.strip_prefix("--port="),
    });
    let Ok(port) = named.unwrap_or(PORT).parse::<u16>() else { return Ok(()) };
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(launch::port_is_taken(port)),
        _ => Ok(()),
    }
}

/// A cargo, and what it says.
struct Build {
    cargo: Child,
    output: PathBuf,
    messages: Tail,
    progress: Tail,
    /// How much of cargo's diagnostics was printed.
    shown_bytes: usize,
    /// Whether this process has waited for it. Then the command line cannot, and starts a cargo of its own.
    has_ended: bool,
    is_handed_over: bool,
}

impl Build {
    fn start(workspace: &Path, output: PathBuf, binaries: &[String]) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| launch::sentence(&error.to_string()).map_or_else(|| format!("{}: {error}", output.display()), str::to_owned);
        remove_leftovers(&output);
        fs::create_dir_all(&output).map_err(failed)?;
        let mut cargo = launch::watched_cargo(workspace, &output, binaries).map_err(failed)?;
        let cargo = cargo.process_group(0).spawn().map_err(|error| format!("/bin/sh does not start: {error}"))?;
        let (messages, progress) = (Tail::open(&output.join(MESSAGES)).map_err(failed)?, Tail::open(&output.join(PROGRESS)).map_err(failed)?);
        Ok(Self { cargo, output, messages, progress, shown_bytes: 0, has_ended: false, is_handed_over: false })
    }

    /// Shows the progress until the command line is built. False if it does not compile; the diagnostics are printed then.
    fn shown_until_built(&mut self, is_verbose: bool) -> Result<bool, String> {
        let (mut line, began, mut said) = (Line::new(), Instant::now(), String::new());
        loop {
            if self.messages.lines().map_err(|error| error.to_string())?.iter().any(|message| is_command_line(message)) {
                line.clear();
                return Ok(true);
            }
            let was_ended = self.has_ended;
            let ended = self.cargo.try_wait().map_err(|error| format!("cargo was lost: {error}"))?;
            self.has_ended = ended.is_some();
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
                    self.shown_bytes = if is_verbose { said.len() } else { 0 };
                }
            }
            match ended {
                // Its last messages are read now.
                Some(_) if !was_ended => {}
                Some(status) if status.success() => return Err(format!("cargo built no {COMMAND_LINE}")),
                // Of the shell: there is no such program.
                Some(status) if status.code() == Some(127) => return Err(format!("cargo does not start: {}", said.trim())),
                Some(_) => {
                    line.clear();
                    if let Some(sentence) = launch::sentence(&said) {
                        return Err(sentence.to_owned());
                    }
                    if !is_verbose {
                        eprint!("{said}");
                    }
                    return Ok(false);
                }
                None => std::thread::sleep(INTERVAL),
            }
        }
    }

    /// A folder that cannot be removed now is removed as a leftover later.
    fn remove_output(&self) {
        let _ = fs::remove_dir_all(&self.output);
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if !self.is_handed_over {
            self.remove_output();
        }
    }
}

/// Removes folders that killed processes left: those with this process's id, and those older than a day.
fn remove_leftovers(output: &Path) {
    let Some(Ok(entries)) = output.parent().map(Path::read_dir) else { return };
    for entry in entries.flatten() {
        let is_output = entry.file_name().to_string_lossy().starts_with(OUTPUT);
        let is_old = || entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFTOVER_AGE));
        if is_output && (entry.path() == output || is_old()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a message of cargo says that the command line is built.
fn is_command_line(message: &str) -> bool {
    message.starts_with(r#"{"reason":"compiler-artifact""#) && message.contains(&format!(r#"/{COMMAND_LINE}","fresh""#))
}
