//! The first run, and what the shell and `man` know of the program.

use std::{fs, os::unix::fs::MetadataExt as _};

use crate::harness::{Lab, Settings, lab::finish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_asks_nothing_without_a_terminal_and_never_writes_over_a_file() {
    let lab = Lab::new();
    let file = lab.path("home/.config/bellwether/config.toml");
    let said = finish(lab.bare(["init"])).await;
    assert!(said.done().contains("config.toml") && !said.err.contains('?'), "{said:?}");
    assert_eq!(fs::metadata(&file).expect("written").mode() & 0o777, 0o600);
    assert!(finish(lab.bare(["config", "check"])).await.done().is_empty());

    fs::write(&file, "# mine\n").expect("written");
    let refused = finish(lab.bare(["init"])).await;
    assert!(refused.refused().contains("--force"), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "# mine\n");
    let forced = finish(lab.bare(["init", "--force", "--json"])).await.json();
    let kept = forced["kept"].as_str().expect("where the old one is");
    assert_eq!(fs::read_to_string(kept).expect("there"), "# mine\n");
}

/// What bash would offer at the end of this line.
async fn offered(lab: &Lab, line: &[&str]) -> Vec<String> {
    let folder = lab.data();
    let mut words = vec!["--".to_owned(), "bellwether".to_owned(), format!("--data-dir={}", folder.display())];
    words.extend(line.iter().map(|word| (*word).to_owned()));
    let index = words.len() - 2;
    let mut command = lab.bare(&words);
    command
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", index.to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n");
    finish(command).await.done().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shell_completes_commands_alerts_and_instruments() {
    let lab = Lab::with(&Settings::quiet());
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef bellwether"), ("fish", "complete")] {
        let script = finish(lab.bare(["completions", shell])).await;
        assert!(script.done().contains(word), "{shell}: {script:?}");
    }
    assert_eq!(offered(&lab, &["pri"]).await, ["prices"]);
    assert!(offered(&lab, &["prices", "BT"]).await.contains(&"BTC".to_owned()), "also without a daemon");
    assert!(offered(&lab, &["rm", "a"]).await.is_empty());
    let daemon = lab.daemon().await;
    for line in ["BTC > 60k", "ETH > 3k"] {
        daemon.api().alert(line).await;
    }
    assert_eq!(offered(&lab, &["rm", "a"]).await, ["a1", "a2"]);
    assert_eq!(offered(&lab, &["pause", "a2"]).await, ["a2"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_a_man_page_for_every_command() {
    let lab = Lab::new();
    let page = finish(lab.bare(["man"])).await;
    assert!(page.done().contains(".TH") && page.out.contains("EXIT STATUS"), "{}", page.out);
    let folder = lab.path("man");
    finish(lab.bare([std::ffi::OsStr::new("man"), "--dir".as_ref(), folder.as_os_str()])).await.done();
    for name in ["bellwether.1", "bellwether-add.1", "bellwether-service-install.1"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
}
