//! `bellwether demo`: the dashboard on a simulated market. The daemon behind it is a real one, in this process, with temporary data.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt as _, sync::Mutex};

use bellwether_core::{
    price::Price,
    protocol::{DaemonFile, PriceView},
};
use bellwether_daemon::Daemon;
use rust_decimal::Decimal;

use super::{
    daemon::{filter, options, temporary_data},
    dashboard::{needs_a_terminal, on_a_runtime, reconnect, timezone},
};
use crate::{
    cli::Global,
    client::ApiClient,
    config_file,
    folders::Folders,
    launch, out,
    runtime::{self, DashboardOptions},
    settings_file::SettingsFile,
};

/// Opens the dashboard on a simulated market; a demo that already runs is joined.
pub(super) fn run(global: &Global) -> anyhow::Result<()> {
    needs_a_terminal()?;
    let global = Global { demo: true, ..global.clone() };
    let folders = Folders::find(&global)?;
    on_a_runtime(async {
        if let Ok(file) = launch::find(&folders.runtime).await {
            show(&global, &folders, file).await?;
            out::note("The demo's daemon keeps running.");
            return Ok(());
        }
        let loaded = config_file::load(&folders.config, global.config.is_some())?;
        let (folders, temporary) = temporary_data(&folders);
        let mut daemon = Daemon::start(options(&global, &folders, loaded.config.clone())).await?;
        log_to_file(&loaded.config, temporary.path())?;
        furnish(daemon.file()).await?;
        let shown = tokio::select! {
            shown = show(&global, &folders, daemon.file().clone()) => shown,
            error = daemon.failed() => Err(error),
        };
        daemon.stop().await?;
        shown?;
        out::note("The demo is over, and nothing of it is left. `bellwether` alone does the same on live markets.");
        Ok(())
    })
}

async fn show(global: &Global, folders: &Folders, file: DaemonFile) -> anyhow::Result<()> {
    runtime::run(DashboardOptions {
        address: file.address,
        token: file.token,
        simulated: file.simulated,
        readonly: global.readonly,
        reconnect: reconnect(global, folders),
        start: None,
        rescue: None,
        timezone: timezone(global, folders),
        settings: SettingsFile::of(folders, global.config.is_some()),
        data: folders.data.clone(),
        chart: None,
    })
    .await
}

/// The terminal belongs to the dashboard: the log goes beside the data.
fn log_to_file(config: &bellwether_core::config::Config, folder: &std::path::Path) -> anyhow::Result<()> {
    use tracing_subscriber::{fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(folder.join("daemon.log"))?;
    // A log that is set up already goes on as it is.
    let text = fmt::layer().with_writer(Mutex::new(file)).with_ansi(false);
    drop(tracing_subscriber::registry().with(filter(config)?).with(text).try_init());
    Ok(())
}

/// How the demo's alerts are placed: the instrument, the line with `{}` for the level, and the level in hundredths of a per cent of the price.
const STANDING: [(&str, &str, &[i64]); 9] = [
    ("BTC", "BTC crosses {} each cooldown 20s note \"the first round number\"", &[2]),
    ("ETH", "ETH crosses {} each cooldown 20s", &[-3]),
    ("SOL", "SOL > {} every 30s", &[4]),
    ("DOGE", "DOGE exits {}..{} each cooldown 30s", &[-6, 6]),
    ("AAPL", "AAPL crosses up {} each cooldown 1m", &[3]),
    ("GOLD", "GOLD outside {}..{} each", &[-150, 150]),
    ("EURUSD", "EURUSD < {} once", &[-80]),
    ("NVDA", "NVDA > {} once note \"take some profit\"", &[250]),
    ("TSLA", "TSLA in {}..{} each", &[-400, -200]),
];

/// Puts alerts around the market's prices, some so near that they fire within the first half minute.
pub(super) async fn furnish(file: &DaemonFile) -> anyhow::Result<()> {
    let client = ApiClient::new(&file.address, &file.token);
    let symbols = STANDING.iter().filter_map(|(symbol, ..)| symbol.parse().ok()).collect::<Vec<_>>();
    let prices = loop {
        let prices = client.prices(&symbols, false).await?;
        if prices.len() == symbols.len() {
            break prices;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    for line in standing(&prices) {
        client.create_alert(&line).await?;
    }
    Ok(())
}

fn standing(prices: &[PriceView]) -> Vec<String> {
    STANDING
        .iter()
        .filter_map(|(symbol, line, offsets)| {
            let price = prices.iter().find(|p| p.ticker.symbol.as_str() == *symbol)?.ticker.price;
            Some(
                offsets
                    .iter()
                    .fold((*line).to_owned(), |line, offset| line.replacen("{}", &near(price, *offset).to_string(), 1)),
            )
        })
        .collect()
}

/// The price moved by so many hundredths of a per cent, with no more places than people would write.
fn near(price: Price, hundredths: i64) -> Price {
    let moved = price.decimal() * (Decimal::ONE + Decimal::new(hundredths, 4));
    Price::new(moved.round_dp(price.natural_places().max(price.decimal().scale())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_lie_near_the_price() {
        let price: Price = "84000".parse().expect("a price");
        assert_eq!(near(price, 2).to_string(), "84016.8");
        assert_eq!(near(price, -150).to_string(), "82740");
    }
}
