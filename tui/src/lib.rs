//! The program `bellwether`: it reads the command line and either draws the dashboard, talks to the daemon, or becomes it.
//!
//! The dashboard and all commands speak the protocol of `docs/api.md`; only `commands/daemon.rs` and `commands/demo.rs` know the
//! daemon's crate.

pub mod alarm;
pub mod app;
pub mod cli;
pub mod client;
mod commands;
mod completing;
pub mod config_file;
pub mod doctor;
pub mod error;
#[cfg(test)]
mod figures_tests;
pub mod first_config;
pub mod folders;
pub mod launch;
pub mod launch_agent;
pub mod logins;
mod memory;
pub mod out;
pub mod rescue;
pub mod runtime;
pub mod settings_file;
pub mod systemd;
mod terminal;
pub mod unit;
mod view;
pub mod watched;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory as _, Parser as _};

/// Runs the program with these arguments, the program's name first. Errors go to standard error, with a hint.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A shell asks what may follow: that is answered, and nothing else is done.
    match clap_complete::CompleteEnv::with_factory(cli::Cli::command).try_complete(arguments.clone(), None) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            drop(error.print());
            return ExitCode::FAILURE;
        }
    }
    let cli = match cli::Cli::try_parse_from(cli::flags_first(arguments)) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed pipe is the reader's decision, not a failure.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    if std::env::var_os(CORE_DUMPS).is_none_or(|wanted| wanted != "1") {
        no_core_dumps();
    }
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            out::note(&format!("error: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The variable that, as `1`, leaves core dumps as they are: for whoever looks for a fault of this program.
const CORE_DUMPS: &str = "BELLWETHER_CORE_DUMPS";

/// The memory holds tokens and passwords: should the program crash, it is written nowhere (docs/reliability.md, P26). What takes core dumps
/// from the kernel, such as systemd-coredump, keeps none of a process with this limit. Where even that is forbidden, as in our unit, the unit
/// says it.
fn no_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

/// Without the numbers that the system gives its errors: what they mean stands before them.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.chars().all(|c| c.is_ascii_digit()) => kept.push_str(rest),
            _ => {
                kept.push_str(" (os error ");
                kept.push_str(part);
            }
        }
    }
    kept
}

/// The error and its causes, each once; control characters and the like are made visible.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    without_numbers(&text).lines().map(bellwether_core::text::sanitize).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_told_in_words() {
        for (text, told) in [
            ("cannot read /x: No such file or directory (os error 2)", "cannot read /x: No such file or directory"),
            ("a (os error 13), b (os error 5): c", "a, b: c"),
            ("a (os error x) b (os error ", "a (os error x) b (os error "),
        ] {
            assert_eq!(without_numbers(text), told);
        }
    }
}
