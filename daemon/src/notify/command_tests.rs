use std::{os::unix::fs::PermissionsExt as _, path::Path};

use bellwether_core::time::Timestamp;

use super::{super::channel::word, *};

/// A script of the test's own.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("script");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

fn config(program: PathBuf, timeout: i64) -> Config {
    let limits = bellwether_core::config::ChannelLimits::default();
    Config { program, args: Vec::new(), timeout: Span::from_seconds(timeout), limits }
}

fn message(body: &str) -> Outgoing {
    Outgoing::message("channel.test", "a title", body, Timestamp::from_seconds(100))
}

async fn run(text: &str) -> Result<Receipt, SendError> {
    let folder = tempfile::tempdir().expect("a folder");
    let channel = Command::new("x", &config(script(folder.path(), text), 60)).expect("valid");
    channel.send(&message("a body")).await
}

#[tokio::test]
async fn the_firing_comes_on_standard_input_and_in_variables() {
    let said = run("cat; echo \"$BELLWETHER_TITLE|$BELLWETHER_DELIVERY|$BELLWETHER_TYPE|$BELLWETHER_TEXT\"").await;
    let answer = said.expect("accepted").answer;
    assert!(answer.starts_with("exit status 0 ({\"data\":{\"delivery\":\"channel-test-100000\""), "{answer}");
    assert!(answer.ends_with("a title|channel-test-100000|channel.test|a body)"), "{answer}");
}

#[tokio::test]
async fn what_its_exit_status_means() {
    for (status, expected) in
        [(0, "sent"), (1, "retry"), (7, "retry"), (64, "permanent"), (75, "retry"), (78, "permanent"), (127, "retry")]
    {
        assert_eq!(word(&run(&format!("exit {status}")).await), expected, "{status}");
    }
    assert_eq!(word(&run("kill -9 $$").await), "retry");
    let said = run("echo no such light >&2; exit 65").await.expect_err("refused").to_string();
    assert_eq!(said, "exit status 65 (no such light)");
}

#[tokio::test]
async fn there_is_no_shell_between() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = vec!["$HOME; `id`".to_owned(), "a b".to_owned()];
    let config = Config { args, ..config(script(folder.path(), "printf '%s|' \"$@\""), 60) };
    let channel = Command::new("x", &config).expect("valid");
    let answer = channel.send(&message("$(id)")).await.expect("accepted").answer;
    assert_eq!(answer, "exit status 0 ($HOME; `id`|a b|)");
}

#[tokio::test]
async fn what_exceeds_its_time_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid_file = folder.path().join("pid");
    let text = format!("sleep 1000 & echo $! > {}; echo begun; wait", pid_file.display());
    let channel = Command::new("x", &config(script(folder.path(), &text), 1)).expect("valid");
    let error = channel.send(&message("x")).await.expect_err("killed");
    assert!(matches!(error, SendError::Retry { after: None, .. }));
    assert_eq!(error.to_string(), "killed after 1 s, its time limit (begun)");
    let pid = std::fs::read_to_string(pid_file).expect("a pid");
    gone(pid.trim()).await;
}

#[tokio::test]
async fn what_it_leaves_running_is_killed_when_it_ends() {
    let answer = run("sleep 1000 & echo $!").await.expect("accepted").answer;
    let pid = answer.trim_start_matches("exit status 0 (").trim_end_matches(')').to_owned();
    gone(&pid).await;
}

/// Waits until a process is gone, or is only waiting to be collected.
async fn gone(pid: &str) {
    let path = format!("/proc/{pid}/stat");
    tokio::time::timeout(Duration::from_mins(1), async {
        while std::fs::read_to_string(&path).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("it ends");
}

#[tokio::test]
async fn endless_output_and_unread_input_hold_nothing_up() {
    let answer = run("head -c 1000000 /dev/zero | tr '\\0' x").await.expect("accepted").answer;
    assert!(answer.len() < 400, "{answer}");
    let folder = tempfile::tempdir().expect("a folder");
    let channel = Command::new("x", &config(script(folder.path(), "exit 0"), 60)).expect("valid");
    let mut large = message("x");
    large.notification.json = "x".repeat(1_000_000);
    assert_eq!(word(&channel.send(&large).await), "sent");
}

#[tokio::test]
async fn a_program_that_is_not_there_says_so_and_the_test_shows_the_step() {
    let channel = Command::new("x", &config("/nonexistent/program".into(), 5)).expect("valid");
    let trace = Trace::on();
    let error = channel.send_traced(&message("x"), &trace).await.expect_err("not there");
    assert!(matches!(error, SendError::Refused { .. }));
    assert_eq!(error.to_string(), "/nonexistent/program cannot be run: entity not found");
    let steps = trace.ended(false, &error.to_string());
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].step == "started" && !steps[0].ok, "{steps:?}");
}

#[tokio::test]
async fn the_daemons_own_secrets_are_not_handed_on() {
    // Cargo sets this one for every test, and it is none of those that are handed on.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    let answer = run("echo \"[$CARGO_PKG_NAME]\"").await.expect("accepted").answer;
    assert_eq!(answer, "exit status 0 ([])");
}

#[test]
fn a_wrong_setting_is_named() {
    let good = || config("/bin/true".into(), 10);
    for (name, config, expected) in [
        ("a b", good(), "channels.command: a name has letters, digits, - and _ only"),
        (
            "x",
            config("true".into(), 10),
            "channels.command.x.program: expected the whole path of a program, such as /usr/local/bin/alarm",
        ),
        ("x", config("/bin/true".into(), 0), "channels.command.x.timeout: expected a duration from 1s to 5m"),
        ("x", config("/bin/true".into(), 301), "channels.command.x.timeout: expected a duration from 1s to 5m"),
        ("x", Config { args: vec!["a\0".to_owned()], ..good() }, "channels.command.x.args: contains a NUL character"),
    ] {
        assert_eq!(Command::new(name, &config).err().expect("refused").to_string(), expected);
    }
}
