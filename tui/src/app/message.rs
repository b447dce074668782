//! What comes into the dashboard and what goes out of it.

use std::ops::Range;

use bellwether_core::{
    alert::AlertId,
    backtest::BacktestAnswer,
    condition::ChannelName,
    config::Dashboard,
    delivery::{Delivery, DeliveryId},
    firing::FiringId,
    instrument::{FeedId, Instrument, Symbol},
    protocol::{
        AddedInstrument, AlertAnswer, Candles, ChannelTest, ChannelView, NewInstrument, PriceView, SearchAnswer, Status,
    },
    time::{Span, Timestamp},
};
use crossterm::event::{KeyEvent, MouseEvent};

use super::{Pane, Screen, hits::Question};
use crate::{
    client::{ApiError, stream::StreamMessage},
    rescue::Rescued,
};

/// Everything that can happen to the dashboard.
#[derive(Debug)]
pub(crate) enum Message {
    /// Time has passed: it is now.
    Frame(Timestamp),
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// From the daemon's stream.
    Server(Box<StreamMessage>),
    /// An effect has come to its end.
    Reply(Box<Reply>),
    /// The configuration was read anew, or cannot be used.
    Settings(Box<Result<Dashboard, String>>),
}

/// How an effect ended.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Sparklines.
    Sparklines(Result<Vec<PriceView>, ApiError>),
    /// Bars of a chart, those before a time where one is named.
    Candles(Symbol, Span, Option<Timestamp>, Result<Candles, ApiError>),
    /// The instruments.
    Instruments(Result<Vec<Instrument>, ApiError>),
    /// The channels.
    Channels(Result<Vec<ChannelView>, ApiError>),
    /// How the daemon is doing.
    Status(Result<Box<Status>, ApiError>),
    /// A channel's test.
    Tested(ChannelName, Result<ChannelTest, ApiError>),
    /// A channel was to be set up.
    ChannelSetUp(ChannelName, Result<(), ApiError>),
    /// A delivery was to be sent again.
    Resent(DeliveryId, Result<Delivery, ApiError>),
    /// What this line would have done.
    Past(String, Result<BacktestAnswer, ApiError>),
    /// How often these alerts would have fired.
    Hits(Vec<Question>, Result<BacktestAnswer, ApiError>),
    /// An alert was made or changed out of the entry line.
    Saved(Result<AlertAnswer, ApiError>),
    /// An alert was paused or resumed.
    Paused(AlertId, bool, Result<AlertAnswer, ApiError>),
    /// An alert was made silent until then.
    Snoozed(AlertId, Timestamp, Result<AlertAnswer, ApiError>),
    /// Firings were acknowledged: how many, and the first refusal.
    Acknowledged(Vec<AlertId>, Option<(AlertId, ApiError)>),
    /// An alert was deleted.
    Deleted(AlertId, Result<(), ApiError>),
    /// A deleted alert was brought back.
    Restored(AlertId, Result<AlertAnswer, ApiError>),
    /// What the providers know under a name.
    Searched(String, Result<SearchAnswer, ApiError>),
    /// An instrument was to be added.
    Added(Result<AddedInstrument, ApiError>),
    /// The settings were to be saved: where they are now, in words where that is not the configuration file.
    SettingsSaved(Result<Option<String>, String>),
    /// The daemon was to be started.
    Started(Result<(), String>),
    /// The daemon was lost: what was done about it, if it was for the dashboard to do something.
    Rescued(Option<Rescued>),
}

/// What the runtime is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Get all sparklines.
    FetchSparklines,
    /// Get the newest bars of a chart, or those before a time.
    FetchCandles(Symbol, Span, Option<Timestamp>),
    /// Get the instruments, those that were added too.
    FetchInstruments,
    /// Get the channels.
    FetchChannels,
    /// Ask the daemon how it is doing.
    FetchStatus,
    /// Send a test message.
    TestChannel(ChannelName),
    /// Set up a channel.
    SetUpChannel(Box<super::setup::Setup>),
    /// Have a delivery sent again.
    Resend(DeliveryId),
    /// Ask what this line would have done.
    FetchPast(String),
    /// Ask how often these alerts would have fired.
    FetchHits(Vec<Question>),
    /// Make an alert.
    Create(String),
    /// Change an alert that stands at this version.
    Edit(AlertId, u32, String),
    /// Pause or resume an alert.
    Pause(AlertId, bool),
    /// Make an alert silent until then.
    Snooze(AlertId, Timestamp),
    /// Say that what these alerts told of was seen.
    Acknowledge(Vec<AlertId>),
    /// Delete an alert.
    Delete(AlertId),
    /// Bring a deleted alert back.
    Restore(AlertId),
    /// Ask the providers for instruments of this name.
    Search(String),
    /// Add an instrument.
    AddInstrument(Box<NewInstrument>),
    /// Write the settings into the configuration.
    SaveSettings(Box<Dashboard>),
    /// Start the daemon in the background.
    StartDaemon,
    /// Start the daemon again if it was started in the background and has died.
    Rescue,
    /// Ask the daemon for a fresh snapshot.
    Snapshot,
    /// Connect now, not at the end of the countdown.
    Reconnect,
    /// Put text into the clipboard of whoever sits at the terminal.
    Copy(String),
    /// Let it be heard that an alert fired: by the terminal's bell or not, and by a program that plays a sound.
    Ring { bell: bool, sound: Option<Vec<String>> },
    /// Give the mouse to the dashboard or back to the terminal.
    Mouse(bool),
    /// Forget what the terminal shows and draw everything.
    Redraw,
    /// Leave.
    Quit,
}

/// What lies under a part of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A tab.
    Screen(Screen),
    /// A pane as a whole.
    Pane(Pane),
    /// The chart.
    Chart,
    /// A range in the chart's title.
    Range(usize),
    /// The tag of an alert's line in the chart.
    Tag(AlertId),
    /// A row of the table.
    Row(Symbol),
    /// A row of the pane with the instrument's alerts.
    PaneAlert(AlertId),
    /// A row of the Alerts screen.
    Alert(AlertId),
    /// A row of History.
    Firing(FiringId),
    /// A channel on the Health screen.
    Channel(ChannelName),
    /// A hint in the last line.
    Hint(super::Action),
    /// The heading of the table, which sorts.
    Sort(super::Sort),
    /// What is said of a feed: Health says more.
    Feed(FeedId),
    /// An entry of the palette.
    Command(super::palette::Command),
    /// Something that was found.
    Found(super::Found),
    /// A line of the settings.
    Setting(super::settings::Row),
}

/// A part of the screen that can be clicked. Later ones lie on top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) columns: Range<u16>,
    pub(crate) rows: Range<u16>,
    pub(crate) target: Target,
}
