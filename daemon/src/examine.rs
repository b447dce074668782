//! What can be looked at without a running daemon, for `bellwether doctor` and `init`: the database and the channels.

use std::path::Path;

use bellwether_core::{condition::ChannelName, config::Config, protocol::ChannelTest};

use crate::{clock::Clock, notify, store::Store};

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

/// Sends one test message through a channel, without a daemon; nothing where none is called that.
pub async fn test_channel(config: &Config, name: &ChannelName) -> anyhow::Result<Option<ChannelTest>> {
    let channels = notify::ChannelSet::new(config, Clock::system(), &notify::Hands::default())?;
    Ok(channels.test(name).await)
}
