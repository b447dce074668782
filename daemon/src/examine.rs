//! What can be looked at without a running daemon, for `bellwether doctor` and `init`: the database and the channels.

use std::path::Path;

use bellwether_core::{condition::ChannelName, config::Config, instrument::FeedId, protocol::ChannelTest};

use crate::{clock::Clock, notify, provider, store::Store};

/// Reads the whole database of a data folder without changing it, also beside a daemon; `false`: there is none yet. The error says
/// what is wrong and what to do.
pub fn database(data: &Path) -> anyhow::Result<bool> {
    Ok(Store::examine(data)?)
}

/// Looks at each channel as far as that goes without a message: connects, logs in. What it said, or why it would not send;
/// nothing where only a message would tell.
pub async fn channels(config: &Config) -> anyhow::Result<Vec<(ChannelName, Option<Result<String, String>>)>> {
    let channels = notify::ChannelSet::new(config, Clock::system(), &notify::Hands::default())?;
    Ok(channels.examine().await)
}

/// How many calls an hour the prices of each polled feed take, and how many its provider allows.
pub fn budgets(config: &Config) -> Vec<(FeedId, u32, u32)> {
    provider::hourly(config)
}

/// Sends one test message through a channel, without a daemon; nothing where none is called that.
pub async fn test_channel(config: &Config, name: &ChannelName) -> anyhow::Result<Option<ChannelTest>> {
    let channels = notify::ChannelSet::new(config, Clock::system(), &notify::Hands::default())?;
    Ok(channels.test(name).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_core::time::Span;

    #[test]
    fn the_defaults_stay_within_the_budgets_and_a_hasty_interval_does_not() {
        let mut config = Config::default();
        let usual = budgets(&config);
        assert_eq!(usual.len(), 2, "{usual:?}");
        assert!(usual.iter().all(|(_, taken, allowed)| taken <= allowed), "{usual:?}");
        config.feeds.yahoo.interval = Span::from_seconds(30);
        config.feeds.coingecko.enabled = false;
        assert_eq!(budgets(&config), [(FeedId::Yahoo, 480, 288)]);
    }
}
