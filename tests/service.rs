//! What a service manager hears of the daemon, and `bellwether service` where there is no systemd. With a real one:
//! `counterparts::the_service_lives_under_a_real_systemd`.

use std::path::PathBuf;

use tokio::{net::UnixDatagram, time::timeout};

use crate::harness::{Daemon, Lab, PATIENCE, Settings, daemon::Starting, lab::finish};

/// A service manager's end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn listen(lab: &Lab) -> Self {
        let path = lab.path("notify");
        Self { socket: UnixDatagram::bind(&path).expect("a socket"), path }
    }

    /// The next message that has this line.
    async fn hears(&self, line: &str) -> String {
        let heard = async {
            let mut buffer = vec![0; 4_096];
            loop {
                let length = self.socket.recv(&mut buffer).await.expect("a message");
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.lines().any(|l| l == line) {
                    return text;
                }
            }
        };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| panic!("never heard {line}"))
    }

    fn start(&self, lab: &Lab) -> Starting {
        let mut command = lab.command(["daemon"]);
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "4000000");
        Starting::spawn(command, &lab.data())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_is_said_when_the_api_answers_and_the_watchdog_is_fed_while_all_parts_turn() {
    let lab = Lab::with(&Settings::quiet());
    let manager = Manager::listen(&lab);
    let starting = manager.start(&lab);
    let ready = manager.hears("READY=1").await;
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(lab.data().join("daemon.json")).expect("it is announced"))
            .expect("JSON");
    let address = file["address"].as_str().expect("an address");
    assert!(ready.contains(&format!("STATUS=answers at {address}")), "{ready}");
    let health = lab.run(["list"]).await;
    assert_eq!(health.code, Some(0), "READY=1 came before the API: {health:?}");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }

    let daemon: Daemon = starting.ready().await;
    lab.configure("[servr]\n");
    daemon.signal("HUP").await;
    let reloading = manager.hears("RELOADING=1").await;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.hears("READY=1").await;
    let refused = format!(
        "STATUS=the configuration stays as it was: {}:1:2: unknown key `servr`; did you mean `server`?  hint: `bellwether \
         config example` prints every setting with its default",
        lab.config().display()
    );
    manager.hears(&refused).await;
    manager.hears("WATCHDOG=1").await;
    daemon.signal("TERM").await;
    manager.hears("STOPPING=1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_hangs_says_nothing() {
    let lab = Lab::with(&Settings::quiet());
    let manager = Manager::listen(&lab);
    let daemon = manager.start(&lab).ready().await;
    manager.hears("WATCHDOG=1").await;
    daemon.signal("STOP").await;
    // What was said before may still lie there.
    let mut buffer = [0; 4_096];
    while manager.socket.try_recv(&mut buffer).is_ok() {}
    let heard = timeout(std::time::Duration::from_secs(4), manager.socket.recv(&mut buffer)).await;
    assert!(heard.is_err(), "within the watchdog's period it said something");
    daemon.signal("CONT").await;
    manager.hears("WATCHDOG=1").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_systemd_it_is_said_what_to_run_instead() {
    let lab = Lab::with(&Settings::quiet());
    for what in ["install", "status"] {
        let mut command = lab.command(["service", what]);
        command.env("PATH", "/nonexistent");
        let said = finish(command).await;
        let words = said.refused();
        assert!(words.contains("no systemd") && words.contains("`bellwether daemon`"), "{what}: {words}");
    }
    let mut command = lab.command(["service", "uninstall"]);
    command.env("PATH", "/nonexistent");
    assert!(finish(command).await.refused().contains("there is no service"));
}

/// A daemon to which a service manager hands a socket that listens already.
fn activated(lab: &Lab, socket: &std::net::TcpListener) -> Starting {
    let command = lab.command(["daemon"]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.display()))
        .collect();
    // A shell moves it to where such sockets lie, and names its own process, which becomes the daemon's.
    let line = format!("exec 3<&0 < /dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec {}", words.join(" "));
    let mut shell = lab.program(std::path::Path::new("/bin/sh"), ["-c", &line]);
    shell.stdin(std::os::fd::OwnedFd::from(socket.try_clone().expect("a socket")));
    Starting::spawn(shell, &lab.data())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_of_the_service_manager_is_listened_on_and_outlives_the_daemon() {
    let lab = Lab::with(&Settings::quiet().with("server", "listen = \"127.0.0.1:1\""));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", socket.local_addr().expect("an address"));
    let mut daemon = activated(&lab, &socket).ready().await;
    assert_eq!(daemon.address(), address, "not on the socket that it was given");
    daemon.api().alert("BTC > 60k").await;
    daemon.reload().await;
    assert_eq!(daemon.address(), address, "after a reload");
    daemon.stop().await;

    // Nobody is there, and yet nobody is refused: the question waits for the next one.
    let asking = tokio::spawn({
        let health = format!("{address}/health/ready");
        async move { crate::harness::api::client().get(health).send().await.expect("an answer").status().as_u16() }
    });
    let daemon = activated(&lab, &socket).ready().await;
    assert_eq!(asking.await.expect("asked"), 200);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_others_can_reach_must_be_meant() {
    let lab = Lab::with(&Settings::quiet());
    let socket = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let (status, log) = activated(&lab, &socket).ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("others can reach the socket") && log.contains("server.listen"), "{log}");
}
