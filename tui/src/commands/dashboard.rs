//! `bellwether` alone: the dashboard, and a daemon in the background when none answers.

use std::io::IsTerminal as _;

use bellwether_core::catalog::Catalog;

use crate::{
    cli::Global,
    client::stream::Reconnect,
    config_file,
    error::UserError,
    folders::Folders,
    launch::{self, Absent},
    logins, out,
    rescue::Rescue,
    runtime::{self, DashboardOptions, Starter},
    settings_file::SettingsFile,
};

/// Opens the dashboard, on the chart of this instrument where one is named.
pub(super) fn run(global: &Global, chart: Option<&str>) -> anyhow::Result<()> {
    let catalog = Catalog::builtin();
    let chart = match chart {
        Some(name) => Some(
            catalog
                .resolve(name)
                .map_err(|_| {
                    UserError::with_hint(
                        format!("there is no instrument `{}`", bellwether_core::text::sanitize(name)),
                        "`bellwether instruments` lists them",
                    )
                })?
                .symbol,
        ),
        None => None,
    };
    needs_a_terminal()?;
    let folders = Folders::find(global)?;
    on_a_runtime(async {
        let file = match launch::daemon(global).await {
            Ok(file) => file,
            Err(Absent::Unusable(error)) => return Err(error.into()),
            Err(Absent::NoFile(_) | Absent::NoAnswer(_)) => {
                out::note("starting the daemon …");
                launch::start(global, &folders).await?
            }
        };
        let options = DashboardOptions {
            address: file.address,
            token: file.token,
            simulated: file.simulated,
            readonly: global.readonly,
            reconnect: reconnect(global, &folders),
            start: Some(starter(global, &folders)),
            rescue: global.url.is_none().then(|| Rescue::new(global, &folders)),
            timezone: timezone(global, &folders),
            settings: SettingsFile::of(&folders, global.config.is_some()),
            data: folders.data.clone(),
            chart,
        };
        let renewing = global.url.clone().map(|url| tokio::spawn(logins::keep(url)));
        let done = runtime::run(options).await;
        if let Some(renewing) = renewing {
            renewing.abort();
            return done;
        }
        done?;
        out::note(
            "The daemon keeps running and watches your alerts. `bellwether` opens this again; `bellwether list` shows the alerts.",
        );
        Ok(())
    })
}

/// One sentence where there is no terminal to draw on.
pub(super) fn needs_a_terminal() -> Result<(), UserError> {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !dumb {
        return Ok(());
    }
    Err(UserError::new(
        "the dashboard needs a terminal to draw on, and this is none; without one, use `bellwether daemon` to run the daemon and `bellwether watch` to see prices and firings",
    ))
}

/// The user's time zone, where the configuration names one. What is wrong with the file is the daemon's to say.
pub(super) fn timezone(global: &Global, folders: &Folders) -> Option<String> {
    config_file::load(&folders.config, global.config.is_some()).ok().and_then(|loaded| loaded.config.user.timezone)
}

/// How the dashboard finds the daemon again: by the file that a new one writes, or by the login that is kept for its address.
pub(super) fn reconnect(global: &Global, folders: &Folders) -> Reconnect {
    let (runtime, url) = (folders.runtime.clone(), global.url.clone());
    Box::new(move || {
        let (runtime, url) = (runtime.clone(), url.clone());
        Box::pin(async move {
            if let Some(url) = url {
                let address = logins::address(&url)?;
                let token = logins::token(&address).await?;
                return Ok((address, token));
            }
            match launch::read_daemon_file(&runtime) {
                Ok(file) => Ok((file.address, file.token)),
                Err(_) => Err(anyhow::anyhow!("no daemon has announced itself")),
            }
        })
    })
}

/// How the dashboard starts a daemon when its own is gone.
fn starter(global: &Global, folders: &Folders) -> Starter {
    let (global, folders) = (global.clone(), folders.clone());
    Box::new(move || {
        let (global, folders) = (global.clone(), folders.clone());
        Box::pin(async move { launch::start(&global, &folders).await.map(drop) })
    })
}

/// Runs the dashboard's tasks.
pub(super) fn on_a_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}
