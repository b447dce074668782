//! Every metric's name, help and labels. Names are `<role>_<what>_<unit>`; counters end in `_total`.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicU64},
};

use bellwether_core::{condition::ChannelName, instrument::FeedId};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Label `provider`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Provider {
    provider: &'static str,
}

impl From<FeedId> for Provider {
    fn from(feed: FeedId) -> Self {
        Self { provider: feed.as_str() }
    }
}

/// Labels `provider` and `reason`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Rejected {
    provider: &'static str,
    reason: &'static str,
}

/// Labels `from` and `to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Switch {
    from: &'static str,
    to: &'static str,
}

/// Label `condition`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Condition {
    condition: String,
}

/// Labels `channel` and `status`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Sending {
    channel: String,
    status: &'static str,
}

/// Labels `channel` and `state`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Standing {
    channel: String,
    state: &'static str,
}

/// Label `channel`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByChannel {
    channel: String,
}

/// Label `what`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Removal {
    what: &'static str,
}

/// What is removed because it is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// One-minute bars, which became hours.
    Minutes,
    /// Hours and fetched bars.
    Bars,
    /// Firings with their deliveries.
    Firings,
}

/// Labels `version` and `protocol`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Build {
    version: &'static str,
    protocol: u32,
}

impl Build {
    /// What is running.
    fn this() -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), protocol: bellwether_core::protocol::PROTOCOL }
    }
}

/// Labels `method` and `status`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Request {
    method: String,
    status: u16,
}

type ByProvider = Family<Provider, Histogram, fn() -> Histogram>;

/// All metrics; cheap to clone, shared by all roles.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    fetch_latency: ByProvider,
    ticks: Family<Provider, Counter>,
    ticks_rejected: Family<Rejected, Counter>,
    reconnects: Family<Provider, Counter>,
    switches: Family<Switch, Counter>,
    /// Alerts that are judged.
    pub(crate) alerts: Gauge,
    triggered: Family<Condition, Counter>,
    /// Time to judge one observation, in seconds.
    pub(crate) evaluation: Histogram,
    /// Time to commit one batch of firings, in seconds.
    pub(crate) commit: Histogram,
    /// From an observation's arrival to its firings' commit, in seconds.
    pub(crate) tick_to_commit: Histogram,
    sent: Family<Sending, Counter>,
    delivery: Family<ByChannel, Histogram, fn() -> Histogram>,
    tick_to_accepted: Family<ByChannel, Histogram, fn() -> Histogram>,
    build: Family<Build, Gauge>,
    deliveries: Family<Standing, Gauge>,
    queue_depth: Family<ByChannel, Gauge>,
    queue_age: Family<ByChannel, Gauge<f64, AtomicU64>>,
    /// Open WebSocket sessions.
    pub(crate) sessions: Gauge,
    requests: Family<Request, Counter>,
    removed: Family<Removal, Counter>,
    database: Gauge,
    database_free: Gauge,
}

fn latency(start: f64) -> Histogram {
    Histogram::new(exponential_buckets(start, 2.0, 16))
}

impl Metrics {
    /// All metrics, registered.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            registry: Arc::default(),
            fetch_latency: Family::new_with_constructor(|| latency(0.001)),
            ticks: Family::default(),
            ticks_rejected: Family::default(),
            reconnects: Family::default(),
            switches: Family::default(),
            alerts: Gauge::default(),
            triggered: Family::default(),
            evaluation: latency(0.000_000_5),
            commit: latency(0.000_1),
            tick_to_commit: latency(0.000_1),
            sent: Family::default(),
            delivery: Family::new_with_constructor(|| latency(0.001)),
            tick_to_accepted: Family::new_with_constructor(|| latency(0.001)),
            build: Family::default(),
            deliveries: Family::default(),
            queue_depth: Family::default(),
            queue_age: Family::default(),
            sessions: Gauge::default(),
            requests: Family::default(),
            removed: Family::default(),
            database: Gauge::default(),
            database_free: Gauge::default(),
        };
        metrics.build.get_or_create(&Build::this()).set(1);
        let r = &mut registry;
        r.register("bellwether_build_info", "Always 1; its labels tell what is running", metrics.build.clone());
        r.register(
            "ingestor_fetch_latency_seconds",
            "Time from a request to a provider to its parsed answer; for streams, from the source's time to the arrival",
            metrics.fetch_latency.clone(),
        );
        r.register("ingestor_ticks", "Prices that feeds delivered, of reserves too", metrics.ticks.clone());
        r.register("ingestor_ticks_rejected", "Prices that were not believed", metrics.ticks_rejected.clone());
        r.register("ingestor_reconnects", "Connections opened after a failure", metrics.reconnects.clone());
        r.register("ingestor_feed_switches", "Instruments that another feed has taken over", metrics.switches.clone());
        r.register("evaluator_alerts", "Standing alerts", metrics.alerts.clone());
        r.register("evaluator_alerts_triggered", "Firings by condition", metrics.triggered.clone());
        r.register("evaluator_evaluation_seconds", "Time to judge one observation", metrics.evaluation.clone());
        r.register("notifier_commit_seconds", "Time to record one batch of firings", metrics.commit.clone());
        r.register(
            "notifier_tick_to_commit_seconds",
            "Time from an observation's arrival to its firings' commit",
            metrics.tick_to_commit.clone(),
        );
        r.register(
            "notifier_notifications_sent",
            "Attempts to deliver by outcome, and deliveries merged or cancelled",
            metrics.sent.clone(),
        );
        r.register(
            "notifier_delivery_seconds",
            "Time of one attempt to deliver, accepted or not",
            metrics.delivery.clone(),
        );
        r.register(
            "notifier_tick_to_accepted_seconds",
            "Time from an observation's arrival to the acceptance of its message by the other side",
            metrics.tick_to_accepted.clone(),
        );
        r.register("notifier_deliveries", "Deliveries that are open or dead, by state", metrics.deliveries.clone());
        r.register("notifier_queue_depth", "Deliveries waiting", metrics.queue_depth.clone());
        r.register("notifier_queue_age_seconds", "Age of the oldest waiting delivery", metrics.queue_age.clone());
        r.register("gateway_websocket_sessions", "Open WebSocket sessions", metrics.sessions.clone());
        r.register("gateway_requests", "Answered HTTP requests", metrics.requests.clone());
        r.register("recorder_removed", "Rows that were removed because they were too old", metrics.removed.clone());
        r.register("recorder_database_bytes", "Size of the database, each hour", metrics.database.clone());
        r.register("recorder_database_free_bytes", "How much of it holds nothing", metrics.database_free.clone());
        Self { registry: Arc::new(registry), ..metrics }
    }

    /// The exposition in Prometheus' text format, 0.0.4.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        prometheus_text(&text)
    }

    /// A provider answered after `seconds`.
    pub(crate) fn fetched(&self, feed: FeedId, seconds: f64) {
        self.fetch_latency.get_or_create(&feed.into()).observe(seconds);
    }

    /// `count` prices were delivered.
    pub(crate) fn ticks(&self, feed: FeedId, count: u64) {
        self.ticks.get_or_create(&feed.into()).inc_by(count);
    }

    /// A price was not believed.
    pub(crate) fn rejected(&self, feed: FeedId, reason: &'static str) {
        self.ticks_rejected.get_or_create(&Rejected { provider: feed.as_str(), reason }).inc();
    }

    /// A connection is opened after a failure.
    pub(crate) fn reconnected(&self, feed: FeedId) {
        self.reconnects.get_or_create(&feed.into()).inc();
    }

    /// An instrument comes from another feed from now on.
    pub(crate) fn switched(&self, from: FeedId, to: FeedId) {
        self.switches.get_or_create(&Switch { from: from.as_str(), to: to.as_str() }).inc();
    }

    /// An alert fired.
    pub(crate) fn triggered(&self, condition: &str) {
        self.triggered.get_or_create(&Condition { condition: condition.to_owned() }).inc();
    }

    /// An attempt to deliver ended: `sent`, `retry`, `dead`, `unknown`.
    pub(crate) fn sent(&self, channel: &ChannelName, status: &'static str) {
        self.ended(channel, status, 1);
    }

    /// An attempt took so many seconds.
    pub(crate) fn attempted(&self, channel: &ChannelName, seconds: f64) {
        self.delivery.get_or_create(&ByChannel { channel: channel.to_string() }).observe(seconds);
    }

    /// A message was accepted so many seconds after the observation that caused it had come.
    pub(crate) fn accepted(&self, channel: &ChannelName, seconds: f64) {
        self.tick_to_accepted.get_or_create(&ByChannel { channel: channel.to_string() }).observe(seconds);
    }

    /// So many deliveries went that way: also `merged` into another's digest, or `cancelled`.
    pub(crate) fn ended(&self, channel: &ChannelName, status: &'static str, count: u64) {
        self.sent.get_or_create(&Sending { channel: channel.to_string(), status }).inc_by(count);
    }

    /// How many deliveries of a channel are in a state that may still change.
    pub(crate) fn deliveries(&self, channel: &ChannelName, state: &'static str, count: i64) {
        self.deliveries.get_or_create(&Standing { channel: channel.to_string(), state }).set(count);
    }

    /// How many deliveries of a channel wait, and how old the oldest is, in seconds.
    pub(crate) fn queue(&self, channel: &ChannelName, depth: i64, age: f64) {
        let label = ByChannel { channel: channel.to_string() };
        self.queue_depth.get_or_create(&label).set(depth);
        self.queue_age.get_or_create(&label).set(age);
    }

    /// So many were removed.
    pub(crate) fn removed(&self, what: Removed, count: u64) {
        let what = match what {
            Removed::Minutes => "minutes",
            Removed::Bars => "bars",
            Removed::Firings => "firings",
        };
        self.removed.get_or_create(&Removal { what }).inc_by(count);
    }

    /// The database takes so many bytes, of which so many hold nothing.
    pub(crate) fn database(&self, bytes: u64, free: u64) {
        self.database.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.database_free.set(i64::try_from(free).unwrap_or(i64::MAX));
    }

    /// A request was answered.
    pub(crate) fn request(&self, method: &str, status: u16) {
        self.requests.get_or_create(&Request { method: method.to_owned(), status }).inc();
    }
}

/// `OpenMetrics` text in Prometheus' own format: there the help and type of a counter carry its whole name, `_total` included,
/// and neither units nor an end are marked.
fn prometheus_text(open_metrics: &str) -> String {
    let counters: HashSet<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open_metrics.len() + 512);
    for line in open_metrics.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|kind| {
            let (name, rest) = line.strip_prefix(kind)?.split_once(' ')?;
            counters.contains(name).then(|| format!("{kind}{name}_total {rest}"))
        });
        text.push_str(described.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_the_names_that_others_rely_on() {
        let metrics = Metrics::new();
        metrics.fetched(FeedId::Yahoo, 0.2);
        metrics.triggered("above");
        metrics.sent(&ChannelName::new("email"), "sent");
        metrics.queue(&ChannelName::new("email"), 2, 1.5);
        metrics.attempted(&ChannelName::new("email"), 0.2);
        metrics.accepted(&ChannelName::new("email"), 0.3);
        let text = metrics.render();
        for line in [
            "ingestor_fetch_latency_seconds_count{provider=\"yahoo\"} 1",
            "# HELP evaluator_alerts_triggered_total Firings by condition.",
            "# TYPE evaluator_alerts_triggered_total counter",
            "# TYPE ingestor_fetch_latency_seconds histogram",
            concat!("bellwether_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\",protocol=\"1\"} 1"),
            "# TYPE bellwether_build_info gauge",
            "notifier_delivery_seconds_count{channel=\"email\"} 1",
            "notifier_tick_to_accepted_seconds_count{channel=\"email\"} 1",
            "evaluator_alerts_triggered_total{condition=\"above\"} 1",
            "notifier_notifications_sent_total{channel=\"email\",status=\"sent\"} 1",
            "notifier_queue_depth{channel=\"email\"} 2",
            "notifier_queue_age_seconds{channel=\"email\"} 1.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in:\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }
}
