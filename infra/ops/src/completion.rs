//! `cargo ops completion`.

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::output;

/// What a person types in place of `cargo ops`: shells complete the words of one program, and here that one is cargo.
const NAME: &str = "ops";

const AFTER_HELP: &str = "\
Shells know what to complete by the first word, and that is cargo here, which has words of its own. So give these commands a first word of \
their own, ops, and complete that. In the start-up file of the shell, or in a shell that is in the checkout:

  bash        ops() { cargo ops \"$@\"; }; source <(cargo ops completion bash)
  zsh         ops() { cargo ops \"$@\" }; source <(cargo ops completion zsh)       (after compinit)
  fish        function ops; cargo ops $argv; end; cargo ops completion fish | source
  elvish      fn ops {|@a| cargo ops $@a }; eval (cargo ops completion elvish | slurp)
  powershell  function ops { cargo ops @args }; cargo ops completion powershell | Out-String | iex

Examples:
  cargo ops completion bash > ~/.local/share/bash-completion/completions/ops
  cargo ops completion fish > ~/.config/fish/completions/ops.fish";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(mut command: Command, arguments: &Arguments) -> Result<()> {
    let mut script = Vec::new();
    command = command.name(NAME);
    clap_complete::generate(arguments.shell, &mut command, NAME, &mut script);
    output::line(String::from_utf8(script).context("the completion is not UTF-8")?.trim_end())
}
