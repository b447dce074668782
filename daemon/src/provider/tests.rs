//! A provider against stand-ins that count how often they were asked.

use bellwether_core::time::Timestamp;

use super::{
    stand_in::{StandIn, gzip_of_zeros, http_answer, json_answer},
    *,
};
use crate::store::Ban;

const NOW: Timestamp = Timestamp::from_seconds(1_795_300_000);

fn four_minutes(_: Backoff, failures: u32) -> Span {
    Span::from_seconds(240).times(i64::from(failures))
}

/// The providers with Yahoo and `CoinGecko` at that address, and what the store knows.
async fn open(base: &str, store: &Store, clock: &Clock) -> Providers {
    let mut config = Config::default();
    config.feeds.yahoo.base_url = base.to_owned();
    config.feeds.yahoo.user_agents = vec!["one".to_owned(), "two".to_owned()];
    config.feeds.coingecko.base_url = base.to_owned();
    Providers::new(&config, &store.bans().await.expect("read"), Some(store), clock, four_minutes)
}

async fn ask(provider: &Provider) -> Result<Answer, Trouble> {
    provider.get("x", &[], HeaderMap::new(), Priority::Live).await
}

#[tokio::test]
async fn while_a_ban_lasts_nobody_is_asked_not_after_a_restart_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = http_answer("429 Too Many Requests", "Retry-After: 600\r\n", b"");
    let stand_in = StandIn::serving(vec![refusal, json_answer("{}")]).await;
    let clock = Clock::by_hand(NOW);
    let store = Store::open(folder.path()).expect("opened");
    let providers = open(&stand_in.base, &store, &clock).await;
    let trouble = ask(&providers.yahoo).await.expect_err("refused");
    assert_eq!((trouble.kind, trouble.status), (Kind::Held, Some(429)));
    assert!(trouble.text.contains("not asked again before 2026-"), "{trouble}");
    for priority in [Priority::Live, Priority::Gap, Priority::Person, Priority::Background] {
        let again = providers.yahoo.get("y", &[], HeaderMap::new(), priority).await.expect_err("held");
        assert_eq!((again.kind, again.after), (Kind::Held, Some(Span::from_seconds(600))));
    }
    store.close().await;

    clock.advance(Span::from_seconds(599));
    let store = Store::open(folder.path()).expect("opened again");
    let providers = open(&stand_in.base, &store, &clock).await;
    assert_eq!(ask(&providers.yahoo).await.expect_err("held").after, Some(Span::from_seconds(1)));
    assert_eq!(stand_in.requests().len(), 1, "0 requests before the ban is over");
    clock.advance(Span::from_seconds(1));
    assert!(ask(&providers.yahoo).await.is_ok());
    assert_eq!(stand_in.requests().len(), 2);
    assert_eq!(store.bans().await, Ok(Vec::new()), "a good answer strikes the ban out");
}

#[tokio::test]
async fn each_kind_of_ban_has_its_own_length() {
    for (status, headers, body, seconds) in [
        ("429 Too Many Requests", "Retry-After: 119\r\n", "", 119),
        ("429 Too Many Requests", "", "{}", 240),
        ("200 OK", "", "Edge: Too Many Requests", 240),
        ("200 OK", "", r#"{"error":["EGeneral:Too many requests"]}"#, 240),
        ("418 I'm a teapot", "", "{}", 240),
        ("418 I'm a teapot", "Retry-After: 7200\r\n", "{}", 7_200),
        ("403 Forbidden", "Content-Type: text/html\r\n", "<html>", 240),
        ("451 Unavailable For Legal Reasons", "", "{}", 6 * 3600),
        ("503 Service Unavailable", "Retry-After: 30\r\n", "", 30),
        ("429 Too Many Requests", "Retry-After: 99999999\r\n", "", 72 * 3600),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opened");
        let stand_in = StandIn::serving(vec![http_answer(status, headers, body.as_bytes())]).await;
        let clock = Clock::by_hand(NOW);
        let providers = open(&stand_in.base, &store, &clock).await;
        let trouble = ask(&providers.coingecko).await.expect_err(status);
        assert_eq!((trouble.kind, trouble.after), (Kind::Held, Some(Span::from_seconds(seconds))), "{status} {body}");
        assert!(providers.yahoo.banned().is_none(), "{status}: another provider is another matter");
        assert_eq!(ask(&providers.coingecko).await.expect_err("held").kind, Kind::Held);
        assert_eq!(stand_in.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn what_only_concerns_one_request_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opened");
    let json = "Content-Type: application/json\r\n";
    let bomb = gzip_of_zeros(16 << 20);
    let garbage = vec![b'x'; 10 << 20];
    for (answer, kind) in [
        (http_answer("404 Not Found", json, br#"{"error":"coin not found"}"#), Kind::Refused),
        (http_answer("401 Unauthorized", json, b"{}"), Kind::Refused),
        (
            http_answer("403 Forbidden", json, br#"{"status":{"error_code":10005,"error_message":"plan"}}"#),
            Kind::Refused,
        ),
        (http_answer("500 Internal Server Error", json, b"{}"), Kind::Failed),
        (http_answer("200 OK", "Content-Type: text/html\r\n", b"<html>Will be right back"), Kind::Failed),
        (http_answer("200 OK", json, b""), Kind::Failed),
        (http_answer("200 OK", json, &garbage), Kind::Failed),
        (http_answer("200 OK", "Content-Encoding: gzip\r\n", &bomb), Kind::Failed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"a\":".to_vec(), Kind::Failed),
    ] {
        let stand_in = StandIn::serving(vec![answer.clone(), json_answer("[]")]).await;
        let providers = open(&stand_in.base, &store, &Clock::by_hand(NOW)).await;
        let head = String::from_utf8_lossy(&answer[..40.min(answer.len())]).into_owned();
        let trouble = ask(&providers.coingecko).await.expect_err(&head);
        assert_eq!(trouble.kind, kind, "{head}: {trouble}");
        assert!(!trouble.text.contains("127.0.0.1"), "{trouble}");
        assert!(ask(&providers.coingecko).await.is_ok(), "{head}");
    }
    assert_eq!(store.bans().await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_refusal_changes_the_user_agent_and_each_one_in_a_row_makes_the_wait_longer() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path()).expect("opened");
    let refusal = http_answer("429 Too Many Requests", "", b"Too Many Requests");
    let stand_in = StandIn::serving(vec![refusal]).await;
    let clock = Clock::by_hand(NOW);
    let providers = open(&stand_in.base, &store, &clock).await;
    assert_eq!(ask(&providers.yahoo).await.expect_err("held").after, Some(Span::from_seconds(240)));
    clock.advance(Span::from_seconds(240));
    assert_eq!(ask(&providers.yahoo).await.expect_err("held").after, Some(Span::from_seconds(480)));
    // A restart does not make it a first refusal again.
    clock.advance(Span::from_seconds(480));
    let providers = open(&stand_in.base, &store, &clock).await;
    assert_eq!(ask(&providers.yahoo).await.expect_err("held").after, Some(Span::from_seconds(720)));
    let requests = stand_in.requests();
    assert!(requests[0].contains("user-agent: one\r\n") && requests[1].contains("user-agent: two\r\n"), "{requests:?}");
}

#[tokio::test]
async fn a_ban_is_of_one_host_and_a_clock_that_stood_wrong_makes_none_of_years() {
    let stand_in = StandIn::serving(vec![json_answer("{}")]).await;
    let clock = Clock::by_hand(NOW);
    let ban = |host: &str, until| Ban {
        provider: "yahoo".to_owned(),
        host: host.to_owned(),
        until,
        status: 451,
        failures: 1,
        reason: "HTTP 451".to_owned(),
    };
    let far = NOW.plus(Span::from_seconds(10 * 365 * 86_400));
    let mut config = Config::default();
    config.feeds.yahoo.base_url = stand_in.base.clone();
    let with = |ban| Providers::new(&config, &[ban], None, &clock, four_minutes).yahoo;
    assert!(with(ban("elsewhere.example", far)).banned().is_none());
    let host = stand_in.base.trim_start_matches("http://").trim_end_matches("/api");
    assert_eq!(with(ban(host, far)).banned().and_then(|t| t.after), Some(Span::from_seconds(72 * 3600)));
    assert!(with(ban(host, NOW)).banned().is_none(), "over");
    config.feeds.yahoo.base_url = "nonsense".to_owned();
    let broken = Providers::new(&config, &[], None, &clock, four_minutes).yahoo;
    assert!(ask(&broken).await.expect_err("no address").text.contains("base_url cannot be used"));
}

#[test]
fn a_paid_key_goes_to_the_paid_host() {
    let config = config::Coingecko { plan: CoingeckoPlan::Pro, ..config::Coingecko::default() };
    assert_eq!(coingecko(&config).base, COINGECKO_PRO);
    let own = config::Coingecko { base_url: "http://127.0.0.1:1".to_owned(), ..config };
    assert_eq!(coingecko(&own).base, "http://127.0.0.1:1");
}
