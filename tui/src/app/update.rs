//! The one place where the dashboard changes: a message in, effects out, no I/O.

use bellwether_core::{
    alert::AlertId,
    board::{Board, Snapshot},
    catalog::Catalog,
    condition::ChannelName,
    event::{AlertRow, Event},
    firing::Firing,
    instrument::Symbol,
    protocol::{AlertAnswer, ChannelTest, ChannelView, ServerFrame},
    text,
    time::{Span, Timestamp},
};

use super::{
    App, Done, Effect, Entry, Frozen, Levels, Link, Message, Overlay, Pane, Purpose, Reply, Screen, Tone,
    Understanding, Undo, levels::can_fire,
};
use crate::{
    client::{ApiError, stream::StreamMessage},
    rescue::Rescued,
};

/// How long a deleted alert can be brought back.
const UNDO: Span = Span::from_seconds(10);
/// How often everything may be asked for anew by hand.
const REFRESH: Span = Span::from_seconds(10);
/// How often live sorting re-orders the rows.
const RESORT: Span = Span::from_seconds(2);
/// How long rows stay put after the cursor moved.
const REST: Span = Span::from_seconds(5);

/// Changes the dashboard by what has happened, and says what is to be done in the world.
#[must_use = "an effect that is not carried out is not asked for again"]
pub(crate) fn update(app: &mut App, message: Message) -> Vec<Effect> {
    let mut effects = match message {
        Message::Frame(now) => on_time(app, now),
        Message::Key(key) => super::keys::on_key(app, key),
        Message::Mouse(mouse) => super::keys::on_mouse(app, mouse),
        Message::Paste(text) => super::keys::on_paste(app, &text),
        Message::Server(message) => on_stream(app, *message),
        Message::Reply(reply) => on_reply(app, *reply),
        Message::Settings(answer) => super::settings::on_read(app, *answer),
    };
    app.settle_chart();
    effects.append(&mut wishes(app));
    effects
}

/// What the picture lacks and the daemon could give.
fn wishes(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    if !app.is_live() || !app.synced {
        return effects;
    }
    let now = app.now;
    if let Some(Overlay::Entry(entry)) = &mut app.overlay
        && !entry.saving
        && let Some(line) = entry.alert().map(str::to_owned)
        && entry.past.ask(&line, now)
    {
        effects.push(Effect::FetchPast(line));
    }
    if let Some(Overlay::Level(draft)) = &mut app.overlay
        && !draft.saving
    {
        let line = draft.line();
        if draft.past.ask(&line, now) {
            effects.push(Effect::FetchPast(line));
        }
    }
    for (symbol, interval) in indicator_bars(app) {
        if app.market.wants_bars(symbol, interval, now) {
            effects.push(Effect::FetchCandles(symbol, interval, None));
        }
    }
    if app.market.wants_sparks(now, app.board.tickers().count()) {
        effects.push(Effect::FetchSparklines);
    }
    if let Some(symbol) = app.subject() {
        let interval = app.bar_span();
        for symbol in [Some(symbol), app.chart.compare].into_iter().flatten() {
            let held = app.frozen.is_some() && app.market.bars(symbol, interval).is_some_and(|bars| bars.known);
            if !held && app.market.wants_bars(symbol, interval, now) {
                effects.push(Effect::FetchCandles(symbol, interval, None));
            }
        }
        if let Some((symbol, interval, before)) = app.older_bars_wanted()
            && app.market.wants_older(symbol, interval, before, now)
        {
            effects.push(Effect::FetchCandles(symbol, interval, Some(before)));
        }
    }
    if app.screen == Screen::Health && app.is_live() && app.inside.is_due(app.now) {
        effects.push(Effect::FetchStatus);
    }
    effects.append(&mut counts(app));
    effects
}

/// The bars that the indicators of the alert being written are computed from.
fn indicator_bars(app: &App) -> Vec<(Symbol, Span)> {
    match &app.overlay {
        Some(Overlay::Entry(entry)) => match &entry.meaning {
            Understanding::Rule(rule) => super::study::bars_needed(rule),
            Understanding::Empty | Understanding::Wrong(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The alerts in sight that the past is to be asked about.
fn counts(app: &mut App) -> Vec<Effect> {
    if !app.hits_of_alerts.is_due(app.now) {
        return Vec::new();
    }
    let ids = match app.screen {
        Screen::Watch | Screen::Chart => app.pane_ids(),
        Screen::Alerts => app.alert_ids(),
        Screen::History | Screen::Health => return Vec::new(),
    };
    let rows = ids.iter().filter_map(|id| app.board.alert(*id));
    let asked = app.hits_of_alerts.wanted(rows, app.now);
    if asked.is_empty() { Vec::new() } else { vec![Effect::FetchHits(asked)] }
}

fn on_time(app: &mut App, now: Timestamp) -> Vec<Effect> {
    // A clock that is set back must not bring old flashes and toasts back to life.
    app.now = now;
    app.toasts.expire(now);
    if app.undo.as_ref().is_some_and(|undo| undo.until <= now) {
        app.undo = None;
    }
    let rested = now.since(app.sorted_at) >= RESORT && now.since(app.moved_at) >= REST;
    if (app.sort != super::Sort::Mine || app.filter.is_some()) && rested && app.frozen.is_none() {
        app.sorted_at = now;
        app.refill_rows();
    }
    Vec::new()
}

fn on_stream(app: &mut App, message: StreamMessage) -> Vec<Effect> {
    match message {
        StreamMessage::Connected { version, simulated, .. } => {
            if matches!(app.link, Link::Lost { .. }) {
                app.toasts.push(Tone::Info, "the daemon is back", app.now);
            }
            app.link = Link::Live { version };
            app.fallen = None;
            app.simulated = simulated;
            app.synced = false;
            app.market.expire();
            vec![Effect::FetchInstruments, Effect::FetchChannels]
        }
        StreamMessage::Lost { reason, retry_at } => {
            let since = match app.link {
                Link::Lost { since, .. } => since,
                Link::Live { .. } | Link::Connecting => app.now,
            };
            app.link = Link::Lost { since, reason, retry_at };
            if let Some(Overlay::Entry(entry)) = &mut app.overlay
                && entry.saving
            {
                entry.saving = false;
                entry.refusal =
                    Some("the daemon was lost before it answered: look whether the alert is there".to_owned());
            }
            if let Some(Overlay::Level(draft)) = &mut app.overlay
                && draft.saving
            {
                draft.saving = false;
                draft.refusal = Some("the daemon was lost before it answered: Enter tries again".to_owned());
            }
            vec![Effect::Rescue]
        }
        StreamMessage::Frame(frame) => on_frame(app, *frame),
    }
}

/// Says what was done about a daemon that died.
fn on_rescued(app: &mut App, done: Rescued) -> Vec<Effect> {
    match done {
        Rescued::Again { times, words } => {
            let said =
                format!("the daemon died and was started again ({times} of 3 in 10 minutes); its log ended: {words}");
            app.toasts.push(Tone::Trouble, said, app.now);
            return vec![Effect::Reconnect];
        }
        Rescued::Refused(error) => app.toasts.push(Tone::Trouble, text::sanitize(&error), app.now),
        Rescued::GivenUp { words } => app.fallen = Some(words),
    }
    Vec::new()
}

fn on_frame(app: &mut App, frame: ServerFrame) -> Vec<Effect> {
    match frame {
        ServerFrame::Snapshot { seq, prices, alerts, firings, deliveries, feeds } => {
            let alerts = alerts.into_iter().map(AlertRow::from).collect();
            app.board = Board::from_snapshot(Snapshot { seq, prices, alerts, firings, deliveries, feeds });
            app.levels = Levels::of_board(&app.board);
            app.synced = true;
            app.refill_rows();
            Vec::new()
        }
        ServerFrame::Error { problem } => {
            app.toasts.push(Tone::Trouble, problem.detail, app.now);
            Vec::new()
        }
        frame => match frame.into_event() {
            Some((seq, event)) => on_event(app, seq, event),
            None => Vec::new(),
        },
    }
}

/// Applies one numbered event; where events are missing before it, asks for a fresh snapshot.
fn on_event(app: &mut App, seq: u64, event: Event) -> Vec<Effect> {
    // While a fresh picture is awaited, what comes before it is in it.
    if !app.synced || seq <= app.board.seq() {
        return Vec::new();
    }
    let mut effects = Vec::new();
    let mut rows_changed = false;
    if seq == app.board.seq() + 1 {
        match &event {
            Event::Price(ticker) => {
                match app.board.ticker(ticker.symbol) {
                    Some(before) => app.motions.on_price(ticker.symbol, before.price, ticker.price, app.now),
                    None => rows_changed = true,
                }
                // What is held stands still as a whole; the bars are fetched when it is let go.
                if app.frozen.is_none() {
                    app.market.on_price(ticker);
                }
            }
            Event::AlertPut(row) => {
                let newer = app.board.alert(row.alert.id).is_none_or(|known| known.alert.version <= row.alert.version);
                if newer {
                    app.levels.put(row);
                    rows_changed = row.alert.rule.symbols().iter().any(|s| !app.rows.contains(s));
                }
            }
            Event::AlertDeleted { id, .. } => app.levels.remove(*id),
            Event::Fired(firing) => effects.append(&mut on_firing(app, firing)),
            Event::Delivery(_) | Event::Feed(_) => {}
        }
    }
    if app.board.apply(seq, event).is_err() {
        app.synced = false;
        return vec![Effect::Snapshot];
    }
    if rows_changed {
        app.refill_rows();
    }
    effects
}

fn on_firing(app: &mut App, firing: &Firing) -> Vec<Effect> {
    if app.board.firings().any(|known| known.id == firing.id) {
        return Vec::new();
    }
    if app.screen != Screen::History {
        app.unseen = app.unseen.saturating_add(1);
    }
    let note = firing.note().map_or(String::new(), |note| format!(" ({note})"));
    let news = text::sanitize(&format!("{} fired: {}{note}", firing.id.alert, firing.reason()));
    app.toasts.push(Tone::Fired, news, app.now);
    let (bell, sound) = (app.look.bell, app.settings.sound.clone());
    if bell || sound.is_some() { vec![Effect::Ring { bell, sound }] } else { Vec::new() }
}

fn on_reply(app: &mut App, reply: Reply) -> Vec<Effect> {
    if matches!(reply, Reply::SettingsSaved(_)) {
        app.saving = app.saving.saturating_sub(1);
    }
    match reply {
        Reply::Sparklines(Ok(prices)) => {
            for price in prices {
                app.market.set_spark(price.ticker.symbol, price.sparkline.unwrap_or_default());
            }
        }
        // The sparklines on the screen stay; they are asked for again by and by. And an alert that could not be tried on the past
        // is no worse for it: whoever writes is not to be disturbed. The instruments that are built in do for now.
        Reply::Sparklines(Err(_))
        | Reply::Past(_, Err(_))
        | Reply::Instruments(Err(_))
        | Reply::SettingsSaved(Ok(None)) => {}
        Reply::Candles(symbol, interval, before, answer) => {
            let answer = answer.map(|c| c.items).map_err(|e| e.to_string());
            match before {
                None => app.market.set_bars(symbol, interval, answer),
                Some(before) => app.market.add_older(symbol, interval, before, answer),
            }
        }
        Reply::Hits(asked, answer) => app.hits_of_alerts.answered(&asked, answer.as_ref().ok(), app.now),
        Reply::Instruments(Ok(instruments)) => {
            app.catalog = Catalog::new(instruments);
            app.refill_rows();
            reread(app);
        }
        Reply::Channels(Ok(channels)) => {
            app.set_channels(channels);
            reread(app);
        }
        Reply::Channels(Err(error)) => trouble(app, "channels", &error),
        Reply::Status(answer) => {
            app.inside.answered(answer.map(|status| *status).map_err(|error| text::sanitize(&error.to_string())));
        }
        Reply::Tested(name, Ok(test)) => return on_tested(app, &name, &test),
        Reply::Tested(name, Err(error)) => trouble(app, &format!("test over {name}"), &error),
        Reply::ChannelSetUp(name, Ok(())) => {
            app.toasts.push(Tone::Info, format!("{name} is set up; a test is on its way …"), app.now);
            return vec![Effect::FetchChannels, Effect::TestChannel(name)];
        }
        Reply::ChannelSetUp(name, Err(error)) => trouble(app, &format!("{name} is not set up"), &error),
        Reply::Resent(id, Ok(delivery)) => {
            app.toasts.push(Tone::Info, format!("{id} over {} is sent again", delivery.channel), app.now);
        }
        Reply::Resent(id, Err(error)) => trouble(app, &format!("{id} is not sent again"), &error),
        Reply::Past(line, Ok(answer)) => {
            if let Some(Overlay::Entry(entry)) = &mut app.overlay {
                entry.past.answered(line, &answer, &app.zone);
            } else if let Some(Overlay::Level(draft)) = &mut app.overlay {
                draft.past.answered(line, &answer, &app.zone);
            }
        }
        Reply::Searched(name, answer) => super::find::on_searched(app, &name, answer),
        Reply::Added(answer) => return super::find::on_added(app, answer),
        Reply::SettingsSaved(Ok(Some(where_to))) => app.toasts.push(Tone::Info, text::sanitize(&where_to), app.now),
        Reply::SettingsSaved(Err(error)) | Reply::Started(Err(error)) => {
            app.toasts.push(Tone::Trouble, text::sanitize(&error), app.now);
        }
        Reply::Started(Ok(())) => return vec![Effect::Reconnect],
        Reply::Rescued(done) => return done.map_or_else(Vec::new, |done| on_rescued(app, done)),
        Reply::Saved(answer) => return on_saved(app, answer),
        Reply::Paused(id, paused, answer) => match answer {
            Ok(_) => {
                app.toasts.push(Tone::Info, format!("{id} {}", if paused { "paused" } else { "resumed" }), app.now);
            }
            Err(error) => trouble(app, &format!("{id} was not {}", if paused { "paused" } else { "resumed" }), &error),
        },
        Reply::Snoozed(id, until, answer) => match answer {
            Ok(_) if until <= app.now => app.toasts.push(Tone::Info, format!("{id} is awake"), app.now),
            Ok(_) => {
                let until = local(app, until);
                app.toasts.push(Tone::Info, format!("{id} is silent until {until}"), app.now);
            }
            Err(error) => trouble(app, &format!("{id} was not silenced"), &error),
        },
        Reply::Acknowledged(ids, None) => {
            let what = match &ids[..] {
                [id] => format!("{id} is acknowledged: no repeats until its condition ends"),
                ids => format!("{} alerts are acknowledged", ids.len()),
            };
            app.toasts.push(Tone::Info, what, app.now);
        }
        Reply::Acknowledged(_, Some((id, error))) => trouble(app, &format!("{id} was not acknowledged"), &error),
        Reply::Deleted(id, answer) => match answer {
            Ok(()) => app.toasts.push(Tone::Info, format!("{id} deleted, u brings it back"), app.now),
            Err(error) => {
                app.undo = None;
                trouble(app, &format!("{id} was not deleted"), &error);
            }
        },
        Reply::Restored(id, answer) => match answer {
            Ok(new) => {
                app.pane_alert.put(new.alert.id);
                app.alert.put(new.alert.id);
                app.toasts.push(Tone::Info, format!("{id} is back as it was"), app.now);
            }
            Err(error) => trouble(app, &format!("{id} was not brought back"), &error),
        },
    }
    Vec::new()
}

/// The answer to Enter in the alert line. A refusal keeps the line as it is.
fn on_saved(app: &mut App, answer: Result<AlertAnswer, ApiError>) -> Vec<Effect> {
    let mut effects = Vec::new();
    match answer {
        Ok(answer) => {
            let id = answer.alert.id;
            if matches!(&app.overlay, Some(Overlay::Entry(entry)) if entry.saving && entry.tests) {
                effects = tests_of(app, &answer);
            }
            if matches!(&app.overlay, Some(Overlay::Entry(entry)) if entry.saving)
                || matches!(&app.overlay, Some(Overlay::Level(draft)) if draft.saving)
            {
                app.overlay = None;
            }
            if let Some((_, expr)) = app.edited.take().filter(|(edited, _)| *edited == id) {
                let done = Done::Edited { version: answer.alert.version };
                app.undo = Some(Undo { id, expr, done, until: app.now.plus(UNDO) });
            }
            app.pane_alert.put(id);
            app.alert.put(id);
            if app.screen == Screen::Watch {
                app.watch.put(answer.alert.symbol);
            }
            app.toasts.push(Tone::Info, text::sanitize(&format!("{id} stands: {}", answer.words)), app.now);
            for warning in answer.warnings {
                app.toasts.push(Tone::Info, text::sanitize(&format!("{id}: {warning}")), app.now);
            }
        }
        Err(error) => {
            let sentence = text::sanitize(&error.to_string());
            match &mut app.overlay {
                Some(Overlay::Entry(entry)) if entry.saving => {
                    entry.saving = false;
                    entry.refusal = Some(sentence);
                }
                Some(Overlay::Level(draft)) if draft.saving => {
                    draft.saving = false;
                    draft.refusal = Some(sentence);
                }
                _ => app.toasts.push(Tone::Trouble, sentence, app.now),
            }
        }
    }
    effects
}

/// Says what became of a test.
fn on_tested(app: &mut App, name: &ChannelName, test: &ChannelTest) -> Vec<Effect> {
    let (tone, word) = if test.accepted { (Tone::Info, "accepted") } else { (Tone::Trouble, "failed") };
    app.toasts.push(tone, text::sanitize(&format!("test over {name} {word}: {}", test.answer)), app.now);
    vec![Effect::FetchChannels]
}

/// A test over each channel that an alert goes to.
fn tests_of(app: &App, answer: &AlertAnswer) -> Vec<Effect> {
    let via = &answer.alert.channels;
    let goes = |channel: &&ChannelView| if via.is_empty() { channel.default } else { via.contains(&channel.name) };
    app.channels.iter().filter(goes).map(|channel| Effect::TestChannel(channel.name.clone())).collect()
}

/// A time as the user reads it: `14:02`, with the day if it is not today.
fn local(app: &App, at: Timestamp) -> String {
    let zoned = |at: Timestamp| at.to_jiff().to_zoned(app.zone.clone());
    let form = if zoned(at).date() == zoned(app.now).date() { "%H:%M" } else { "%b %-d %H:%M" };
    zoned(at).strftime(form).to_string()
}

fn trouble(app: &mut App, what: &str, error: &ApiError) {
    app.toasts.push(Tone::Trouble, text::sanitize(&format!("{what}: {error}")), app.now);
}

/// Reads an open alert line anew, because what it is read against has changed.
fn reread(app: &mut App) {
    with_entry(app, |entry, app| {
        let refusal = entry.refusal.take();
        entry.understand(&app.parse_context());
        entry.refusal = refusal;
    });
}

/// Lends the open alert line out together with the rest of the dashboard.
pub(super) fn with_entry(app: &mut App, change: impl FnOnce(&mut Entry, &App)) {
    match app.overlay.take() {
        Some(Overlay::Entry(mut entry)) => {
            change(&mut entry, app);
            app.overlay = Some(Overlay::Entry(entry));
        }
        other => app.overlay = other,
    }
}

/// Opens the alert line for a new alert on the selected instrument.
pub(super) fn open_new(app: &mut App) {
    let text = match (app.screen, app.selected()) {
        (Screen::Watch | Screen::Chart, Some(symbol)) => {
            format!("{} ", bellwether_core::condition::Operand::Price(symbol))
        }
        _ => String::new(),
    };
    app.overlay = Some(Overlay::Entry(Box::new(Entry::proposing(text, &app.parse_context()))));
}

/// Opens the alert line with an alert that stands.
pub(super) fn open_edit(app: &mut App, id: AlertId) {
    let Some(row) = app.board.alert(id) else { return };
    let (purpose, text) = (Purpose::Edit(id, row.alert.version), row.alert.rule.to_string());
    app.overlay = Some(Overlay::Entry(Box::new(Entry::new(purpose, text, &app.parse_context()))));
}

/// Deletes an alert, and remembers it for [`UNDO`].
pub(super) fn delete(app: &mut App, id: AlertId) -> Vec<Effect> {
    let Some(row) = app.board.alert(id) else { return Vec::new() };
    let expr = row.alert.rule.to_string();
    app.undo = Some(Undo { id, expr, done: Done::Deleted, until: app.now.plus(UNDO) });
    vec![Effect::Delete(id)]
}

/// Remembers what an alert said that is being changed, so that the change can be taken back.
pub(super) fn remember_edit(app: &mut App, id: AlertId, before: String) {
    app.edited = Some((id, before));
}

/// Brings the last deleted alert back, or takes the last change of one back.
pub(super) fn undo(app: &mut App) -> Vec<Effect> {
    if let Some(undo) = app.undo.take() {
        return vec![match undo.done {
            Done::Deleted => Effect::Restore(undo.id),
            Done::Edited { version } => Effect::Edit(undo.id, version, undo.expr),
        }];
    }
    app.toasts.push(Tone::Info, "nothing to take back", app.now);
    Vec::new()
}

/// Pauses an alert that waits, or takes one up that does not.
pub(super) fn pause(app: &App, id: AlertId) -> Vec<Effect> {
    let Some(row) = app.board.alert(id) else { return Vec::new() };
    vec![Effect::Pause(id, !row.alert.paused && can_fire(row.state))]
}

/// Holds the picture, or lets it go.
pub(super) fn freeze(app: &mut App) {
    app.frozen = match app.frozen.take() {
        Some(_) => {
            app.market.expire();
            None
        }
        None => Some(Frozen { board: app.board.clone(), since: app.now }),
    };
    app.refill_rows();
}

/// Connects at once, or asks for everything anew; not more often than providers would like.
pub(super) fn refresh(app: &mut App) -> Vec<Effect> {
    if !app.is_live() {
        return vec![Effect::Reconnect];
    }
    if let Some(ago) = app.refreshed.map(|at| app.now.since(at)).filter(|ago| *ago < REFRESH) {
        let wait = REFRESH.as_seconds() - ago.as_seconds();
        app.toasts.push(Tone::Info, format!("fetched a moment ago: again in {wait} s"), app.now);
        return Vec::new();
    }
    app.refreshed = Some(app.now);
    app.market.expire();
    app.toasts.push(Tone::Info, "fetching prices, bars and channels anew", app.now);
    vec![Effect::Snapshot, Effect::FetchChannels]
}

/// Goes to a screen.
pub(super) fn go(app: &mut App, screen: Screen) -> Vec<Effect> {
    app.screen = screen;
    app.pane = Pane::Table;
    app.expanded = false;
    app.feed = None;
    if screen == Screen::History {
        app.unseen = 0;
    }
    if screen == Screen::Health { vec![Effect::FetchChannels] } else { Vec::new() }
}
