//! One file a subcommand, or a few that share their shape.

mod alerts;
mod backtest;
mod backup;
mod daemon;
mod dashboard;
mod demo;
mod doctor;
mod events;
mod init;
mod instruments;
mod login;
mod notify;
mod prices;
mod service;
mod service_mac;
mod settings;
mod shell;
mod transfer;
mod watch;

use std::future::Future;

use crate::cli::{Cli, Command, ConfigCommand, Deliveries, Notify, Service};

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    let global = cli.global;
    match cli.command {
        None if global.demo => demo::run(&global),
        None => dashboard::run(&global, cli.chart.as_deref()),
        Some(Command::Demo) => demo::run(&global),
        Some(Command::Daemon(args)) => daemon::run(&global, &args),
        Some(Command::Login { email, register }) => wait(login::enter(&global, &email, register)),
        Some(Command::Logout) => wait(login::leave(&global)),
        Some(Command::Add { line }) => wait(alerts::add(&global, &line)),
        Some(Command::List) => wait(alerts::list(&global)),
        Some(Command::Edit { id, line }) => wait(alerts::edit(&global, &id, &line)),
        Some(Command::Pause { ids }) => wait(alerts::pause(&global, &ids, true)),
        Some(Command::Resume { ids }) => wait(alerts::pause(&global, &ids, false)),
        Some(Command::Snooze { id, duration }) => wait(alerts::snooze(&global, &id, &duration)),
        Some(Command::Ack { ids }) => wait(alerts::acknowledge(&global, &ids)),
        Some(Command::Rm { ids }) => wait(alerts::remove(&global, &ids)),
        Some(Command::Undelete { ids }) => wait(alerts::undelete(&global, &ids)),
        Some(Command::Prices { symbols }) => wait(prices::run(&global, &symbols)),
        Some(Command::Watch { symbols, plain }) => wait(watch::run(&global, &symbols, plain)),
        Some(Command::Events { limit, dead: true, .. }) => wait(events::dead(&global, limit)),
        Some(Command::Events { limit, follow, .. }) => wait(events::run(&global, limit, follow)),
        Some(Command::Deliveries(Deliveries::Retry { id, .. })) => wait(events::resend(&global, id.as_deref())),
        Some(Command::Backtest(args)) => backtest::run(&global, &args),
        Some(Command::Instruments(args)) => wait(instruments::run(&global, &args)),
        Some(Command::Notify(Notify::Test { channel })) => wait(notify::test(&global, &channel)),
        Some(Command::Notify(Notify::List)) => wait(notify::list(&global)),
        Some(Command::Config(ConfigCommand::Example)) => settings::example(),
        Some(Command::Config(ConfigCommand::Check)) => settings::check(&global),
        Some(Command::Export { format }) => wait(transfer::export(&global, format)),
        Some(Command::Import { file }) => wait(transfer::import(&global, &file)),
        Some(Command::Init { force }) => wait(init::run(&global, force)),
        Some(Command::Completions { shell }) => shell::completions(shell),
        Some(Command::Man { dir }) => shell::man(dir.as_deref()),
        Some(Command::Doctor) => wait(doctor::run(&global)),
        Some(Command::Service(Service::Install(args))) => wait(service::install(&global, args)),
        Some(Command::Service(Service::Uninstall)) => service::uninstall(&global),
        Some(Command::Service(Service::Status)) => service::status(&global),
        Some(Command::Backup { file }) => backup::back_up(&global, &file),
        Some(Command::Restore { file }) => backup::restore(&global, &file),
        Some(Command::Config(ConfigCommand::Keys)) => settings::keys(&global),
    }
}

/// Runs a command that talks to the daemon, on this thread.
fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}
