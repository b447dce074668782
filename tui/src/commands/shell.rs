//! `completions` and `man`: what a shell and `man(1)` know of this program.

use std::{fs, path::Path};

use clap::CommandFactory as _;
use clap_complete::env::Shells;

use crate::{
    cli::{Cli, Shell},
    error::UserError,
    out,
};

/// The variable by which a shell asks this program what may follow.
pub(crate) const VARIABLE: &str = "COMPLETE";
const NAME: &str = "bellwether";

/// Prints what the shell has to read once.
pub(super) fn completions(shell: Shell) -> anyhow::Result<()> {
    let known = Shells::builtins();
    let shell = known
        .completer(shell.as_str())
        .ok_or_else(|| UserError::new(format!("nothing is known of the shell {}", shell.as_str())))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    out::raw(&String::from_utf8_lossy(&script))
}

/// Prints the man page, or writes one for each command into a folder.
pub(super) fn man(folder: Option<&Path>) -> anyhow::Result<()> {
    let command = Cli::command();
    if let Some(folder) = folder {
        let failed = |e: std::io::Error| UserError::new(format!("cannot write to {}: {e}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(command, folder).map_err(failed)?;
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    out::raw(&String::from_utf8_lossy(&page))
}
