//! `bellwether backtest` as a script meets it: real histories in, lines of JSON out, exit codes, and what it says of bad files.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::harness::{Lab, Settings, lab::finish, root};

/// The lines of JSON that a command printed.
fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_history_runs_without_a_daemon() {
    let lab = Lab::new();
    let tape = root().join("tests/data/replay/btc-eth-20170904.csv").display().to_string();
    let said = finish(lab.bare(["backtest", "BTC crosses up 4450 each", "ETH/BTC < 0.0715", "--ticks", &tape])).await;
    let firings = lines(said.done());
    // The first row above 4450 after one below it, looked up in the file.
    let mut below = false;
    let text = fs::read_to_string(&tape).expect("the tape");
    let first = text.lines().skip(1).find_map(|row| {
        let [time, symbol, price] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let price: rust_decimal::Decimal = price.parse().expect("a number");
        let crossed = symbol == "BTC" && below && price >= 4450.into();
        below = if symbol == "BTC" { price < 4450.into() } else { below };
        crossed.then(|| (time.parse::<i64>().expect("milliseconds"), price.normalize().to_string()))
    });
    let (millis, price) = first.expect("it crosses");
    let firing = firings.iter().find(|f| f["alert"] == 0).expect("it fired");
    let time = jiff::Timestamp::from_millisecond(millis).expect("a time");
    assert_eq!((&firing["symbol"], &firing["price"]), (&"BTC".into(), &Value::from(price)));
    assert_eq!(firing["time"], format!("{time:.3}"));
    assert!(firing["reason"].as_str().is_some_and(|r| r.contains("4,450")), "{firing}");
    let ratio: Vec<&Value> = firings.iter().filter(|f| f["alert"] == 1).collect();
    assert_eq!((ratio.len(), &ratio[0]["price"]), (1, &Value::Null), "once, and a ratio has no price of its own");
    for told in ["[0] BTC crosses up 4450 each: ", "longest quiet", "360 rows judged", "from 2017-09-04T08:00:00.000Z"]
    {
        assert!(said.err.contains(told), "{told}: {}", said.err);
    }
    assert!(!lab.data().exists() && !lab.path("home/.local/share/bellwether").exists(), "nothing was written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_rows_are_told_and_skipped_and_a_bad_header_is_refused_at_once() {
    let lab = Lab::new();
    let run = async |text: &[u8], expr: &str| {
        fs::write(lab.path("t.csv"), text).expect("written");
        finish(lab.bare(["backtest", expr, "--ticks", "t.csv"])).await
    };
    let said = run(b"time,symbol,price\n1000,BTC,1\nsoon,BTC,2\n2000,BTC,9\n3000,BTC,abc\n\xff\xfe\n", "BTC > 5").await;
    assert_eq!((said.code, lines(&said.out).len()), (Some(1), 1), "{said:?}");
    for told in ["line 3: `soon` is no time", "line 5: `abc` is no price", "line 6: ", "3 rows could not be read"] {
        assert!(said.err.contains(told), "{told}: {}", said.err);
    }
    for header in ["price,symbol,time\n1,BTC,1000\n", "1000,BTC,1\n", "", "\u{1b}[31m\n"] {
        let said = run(header.as_bytes(), "BTC > 5").await;
        assert!(said.refused().contains("time,symbol,price"), "{header:?}: {said:?}");
        assert!(!said.err.contains('\u{1b}'), "{said:?}");
    }
    let said = run(b"time,symbol,price\n", "BTC > 5").await;
    assert_eq!(said.done(), "", "an empty history has no firings");
    let said = run(b"time,symbol,price\n1000,BTC,1\n", "BTC accross 5").await;
    let text = said.refused();
    assert!(text.contains("E_SYNTAX") && text.contains("\n      ^^^^^^^") && text.contains("crosses"), "{text}");
    let said = finish(lab.bare(["backtest", "BTC > 5", "--ticks", "nowhere.csv"])).await;
    assert!(said.refused().contains("cannot read nowhere.csv"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_come_from_a_file_too_and_names_as_they_are() {
    let lab = Lab::new();
    fs::write(lab.path("alerts.txt"), "# mine\nFUND-1 > 5 via webhook:x\n\nBITCON > 1\n").expect("written");
    fs::write(lab.path("t.csv"), "time,symbol,price\n1000,FUND-1,4\n200000,FUND-1,6\n").expect("written");
    let words = ["backtest", "FUND-1 < 5", "--alerts", "alerts.txt", "--ticks", "t.csv", "--json"];
    let said = finish(lab.bare(words)).await;
    let told: Vec<(Value, Value)> =
        lines(said.done()).iter().map(|f| (f["alert"].clone(), f["symbol"].clone())).collect();
    assert_eq!(told, [(0.into(), "FUND-1".into()), (1.into(), "FUND-1".into())]);
    assert!(said.err.contains("there is no row of BITCON; did you mean BTC?"), "{}", said.err);
    fs::write(lab.path("alerts.txt"), "BTC > 5\nBTC >\n").expect("written");
    let said = finish(lab.bare(["backtest", "--alerts", "alerts.txt", "--ticks", "t.csv"])).await;
    assert!(said.refused().contains("alerts.txt, line 2: "), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_of_backtest_is_2() {
    let lab = Lab::new();
    for words in [
        &["backtest"][..],
        &["backtest", "BTC > 5", "--days", "0"],
        &["backtest", "BTC > 5", "--days", "3", "--ticks", "t.csv"],
        &["backtest", "BTC > 5", "--tz", "UTC"],
        &["backtest", "BTC > 5", "--ticks", "t.csv", "--tz", "Atlantis"],
        &["backtest", "BTC > 5", "--ticks", "t.csv", "--stale-after", "soon"],
    ] {
        let said = finish(lab.bare(words)).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{words:?}: {said:?}");
    }
}

fn piped(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

#[test]
fn standard_input_is_judged_as_it_comes_and_a_closed_pipe_ends_quietly() {
    let lab = Lab::new();
    let mut child = piped(lab.bare(["backtest", "BTC > 5 each", "--ticks", "-"]));
    let (mut rows, out) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    rows.write_all(b"time,symbol,price\n1000,BTC,1\n2000,BTC,9\n").expect("written");
    let mut out = BufReader::new(out);
    let mut line = String::new();
    // The firing comes while the input is still open.
    out.read_line(&mut line).expect("a line");
    assert!(line.starts_with(r#"{"alert":0,"symbol":"BTC","time":"1970-01-01T00:00:02.000Z","price":"9","#), "{line}");
    drop(out);
    // The reader has gone: the program ends before its input does, or at the latest with it.
    let mut at = 3_000;
    while at < 40_000_000 && rows.write_all(format!("{at},BTC,1\n{},BTC,9\n", at + 1_000).as_bytes()).is_ok() {
        at += 2_000;
    }
    drop(rows);
    let status = child.wait().expect("it ends");
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    assert!(at < 40_000_000, "it read on for nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemons_own_history_is_asked_of_the_daemon() {
    let lab = Lab::with(&Settings::quiet());
    let said = lab.run(["backtest", "BTC > 60k"]).await;
    assert!(said.refused().contains("no daemon is running"), "{said:?}");
    lab.daemon().await.stop().await;
    // An hour of history, as the daemon writes it: a minute in the middle is above.
    let now = jiff::Timestamp::now().as_second() / 60;
    let db = rusqlite::Connection::open(lab.data().join("bellwether.db")).expect("the database");
    db.execute("INSERT INTO instruments (id, symbol) VALUES (1, 'BTC') ON CONFLICT DO NOTHING", ()).expect("written");
    for minute in now - 60..now - 5 {
        let high = if minute == now - 30 { "60500" } else { "59500" };
        let row = rusqlite::params![minute, high];
        db.execute("INSERT INTO bars (instrument, minute, session, open, high, low, close) VALUES (1, ?1, 1, '59000', ?2, '58000', '59000')", row).expect("written");
    }
    drop(db);
    let daemon = lab.daemon().await;
    let said = lab.run(["backtest", "btc > 60k each", "BTC < 1", "--days", "2", "--json"]).await;
    let firings = lines(said.done());
    assert_eq!((firings.len(), &firings[0]["alert"], &firings[0]["price"]), (1, &0.into(), &"60500".into()));
    assert!(said.err.contains("[1] BTC < 1 once: 0 firings") && said.err.contains("55 bars"), "{}", said.err);
    let said = lab.run(["backtest", "btc > 60k each"]).await;
    assert!(said.done().contains("BTC rose above 60,000") && !said.out.starts_with('{'), "{said:?}");
    let said = lab.run(["backtest", "BTC > 5", "BTC accross 5"]).await;
    assert!(said.refused().contains("^^^^^^^") && said.err.contains("crosses"), "{said:?}");
    assert!(lab.run(["backtest", "ETH > 5"]).await.err.contains("no history"));
    daemon.stop().await;
}
