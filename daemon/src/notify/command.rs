//! A program of the user's own: run for each message, without a shell, with the firing on its standard input.
//!
//! It has its own process group, which is killed when the program ends, when its time is over, and when the daemon stops:
//! nothing that it started stays behind, and nothing of it holds anything up.

use std::{
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bellwether_core::{condition::ChannelName, config::Command as Config, rate::Allowance, time::Span};
use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::Child,
    task::JoinSet,
};

use super::{
    channel::{Channel, ChannelConfigError, Limits, Outgoing, Receipt, SendError, clean_answer},
    trace::Trace,
};

/// The most of its output that is kept; the rest is read and forgotten, so that it never waits for us.
const OUTPUT: usize = 4 * 1024;
/// How long its output may stay open after it has ended, for programs that handed it to somebody outside of their group.
const LEFTOVER: Duration = Duration::from_millis(300);
/// The longest time limit that can be configured.
const LONGEST: Span = Span::from_seconds(300);
/// What a program needs of the daemon's environment. The rest stays here: it may hold secrets.
const INHERITED: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
    "DBUS_SESSION_BUS_ADDRESS",
    "PULSE_SERVER",
];

/// A channel `command:NAME`.
pub(super) struct Command {
    name: ChannelName,
    program: Program,
}

impl Command {
    /// The channel `[channels.command.<name>]` as configured; runs nothing.
    pub(super) fn new(name: &str, config: &Config) -> Result<Self, ChannelConfigError> {
        let wrong =
            |key: &str, problem: &str| Err(ChannelConfigError::new(format!("channels.command.{name}.{key}"), problem));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
            return Err(ChannelConfigError::new("channels.command", "a name has letters, digits, - and _ only"));
        }
        if !config.program.is_absolute() {
            return wrong("program", "expected the whole path of a program, such as /usr/local/bin/alarm");
        }
        if config.args.iter().any(|arg| arg.contains('\0')) || config.program.to_string_lossy().contains('\0') {
            return wrong("args", "contains a NUL character");
        }
        if config.timeout < Span::from_seconds(1) || config.timeout > LONGEST {
            return wrong("timeout", "expected a duration from 1s to 5m");
        }
        let program =
            Program { path: config.program.clone(), args: config.args.clone(), timeout: config.timeout.into() };
        Ok(Self { name: ChannelName::new(&format!("command:{name}")), program })
    }

    async fn deliver(&self, message: &Outgoing, trace: &Trace) -> Result<Receipt, SendError> {
        let input = format!("{}\n", message.notification.json);
        let ended = self.program.run(&variables(message), input.into_bytes(), trace).await;
        match ended {
            Err(Trouble::NotStarted(error)) => {
                Err(SendError::refused(format!("{} cannot be run: {}", self.program.shown(), error.kind())))
            }
            Err(Trouble::TimeOver(said)) => {
                let seconds = self.program.timeout.as_secs();
                Err(SendError::retry(format!("killed after {seconds} s, its time limit {}", quoted(&said)).trim_end()))
            }
            Ok(ended) => judge(ended.status, &ended.said()),
        }
    }
}

/// 0: accepted. 64 to 78 as in sysexits.h, which say that this will never do, but for 75 (`EX_TEMPFAIL`): never. All else: later.
fn judge(status: ExitStatus, said: &str) -> Result<Receipt, SendError> {
    let text = match status.code() {
        Some(code) => format!("exit status {code} {}", quoted(said)),
        None => format!("ended by a signal {}", quoted(said)),
    };
    let text = text.trim_end().to_owned();
    match status.code() {
        Some(0) => Ok(Receipt { answer: text }),
        Some(64..=74 | 76..=78) => Err(SendError::permanent(text)),
        _ => Err(SendError::retry(text)),
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("({said})") }
}

impl Channel for Command {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits {
            allowance: Allowance { burst: 10, refill: Span::from_seconds(1), daily: None },
            deadline: Span::from_millis(i64::try_from(self.program.timeout.as_millis()).unwrap_or(300_000) + 2_000),
            give_up: Span::from_seconds(3600),
            repeatable: true,
        }
    }

    fn target(&self) -> String {
        format!("the program {}", self.program.shown())
    }

    fn send<'a>(&'a self, message: &'a Outgoing) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(async move { self.deliver(message, &Trace::off()).await })
    }

    fn send_traced<'a>(&'a self, message: &'a Outgoing, trace: &'a Trace) -> BoxFuture<'a, Result<Receipt, SendError>> {
        Box::pin(self.deliver(message, trace))
    }
}

/// The message as variables: `BELLWETHER_TITLE`, `BELLWETHER_BODY`, and each plain value of the JSON under its own name.
fn variables(message: &Outgoing) -> Vec<(String, String)> {
    let told = &message.notification;
    let mut variables = vec![
        ("BELLWETHER_DELIVERY".to_owned(), message.key.clone()),
        ("BELLWETHER_ATTEMPT".to_owned(), message.attempt.to_string()),
        ("BELLWETHER_TITLE".to_owned(), told.title.clone()),
        ("BELLWETHER_BODY".to_owned(), told.body.clone()),
        ("BELLWETHER_URGENT".to_owned(), message.urgent.to_string()),
    ];
    let json: Value = serde_json::from_str(&told.json).unwrap_or_default();
    if let Some(kind) = json["type"].as_str() {
        variables.push(("BELLWETHER_TYPE".to_owned(), kind.to_owned()));
    }
    for (key, value) in json["data"].as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let name = format!("BELLWETHER_{}", key.to_ascii_uppercase());
        if !variables.iter().any(|(known, _)| *known == name) {
            variables.push((name, text));
        }
    }
    for (_, text) in &mut variables {
        text.retain(|c| c != '\0');
    }
    variables
}

/// A program with its arguments and its time limit.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The whole path.
    pub(super) path: PathBuf,
    /// The arguments, as they are.
    pub(super) args: Vec<String>,
    /// How long it may run.
    pub(super) timeout: Duration,
}

/// A program that came to its end by itself.
#[derive(Debug)]
pub(super) struct Ended {
    /// How it ended.
    pub(super) status: ExitStatus,
    /// The first bytes of its standard output.
    pub(super) output: String,
    /// The first bytes of its standard error.
    pub(super) errors: String,
}

impl Ended {
    /// What it said, in one line.
    pub(super) fn said(&self) -> String {
        clean_answer(&format!("{} {}", self.output, self.errors), &[])
    }
}

/// A program that did not.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It could not be started.
    NotStarted(io::Error),
    /// It was killed; what it had said.
    TimeOver(String),
}

impl Program {
    /// Its path, fit to be shown.
    pub(super) fn shown(&self) -> String {
        clean_answer(&self.path.to_string_lossy(), &[])
    }

    /// Runs it to its end or to the end of its time.
    pub(super) async fn run(
        &self,
        variables: &[(String, String)],
        input: Vec<u8>,
        trace: &Trace,
    ) -> Result<Ended, Trouble> {
        let mut command = tokio::process::Command::new(&self.path);
        command.args(&self.args).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn().map_err(|error| {
            trace.failed("started", &format!("{}: {error}", self.shown()));
            Trouble::NotStarted(error)
        })?;
        trace.done("started", &self.shown());
        let group = Group::of(&child);
        let (output, errors) = (Kept::default(), Kept::default());
        let mut talk = JoinSet::new();
        if let Some(mut stdin) = child.stdin.take() {
            // It need not read: whoever wants no input closes it.
            talk.spawn(async move { drop(stdin.write_all(&input).await) });
        }
        if let Some(stdout) = child.stdout.take() {
            talk.spawn(output.clone().fill(stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            talk.spawn(errors.clone().fill(stderr));
        }
        let status = tokio::time::timeout(self.timeout, child.wait()).await;
        // Whatever it left running ends here, and with it the last hands on its output.
        drop(group);
        let rest = async { while talk.join_next().await.is_some() {} };
        if tokio::time::timeout(LEFTOVER, rest).await.is_err() {
            talk.shutdown().await;
        }
        let (output, errors) = (output.text(), errors.text());
        match status {
            Ok(Ok(status)) => Ok(Ended { status, output, errors }),
            Ok(Err(error)) => Err(Trouble::NotStarted(error)),
            Err(_) => {
                trace.failed("ended", &format!("not within its time limit of {} s", self.timeout.as_secs()));
                Err(Trouble::TimeOver(clean_answer(&format!("{output} {errors}"), &[])))
            }
        }
    }
}

/// The first bytes of a stream, kept outside of the task that reads it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    async fn fill(self, mut from: impl AsyncRead + Unpin) {
        let mut chunk = [0; 1024];
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = OUTPUT.saturating_sub(kept.len());
            kept.extend_from_slice(&chunk[..n.min(room)]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// The process group of a program; killed when this goes.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Nobody left in it is what we hope for.
            let killed = kill_process_group(group, Signal::KILL);
            tracing::trace!(left_something = killed.is_ok(), "a program's group has ended");
        }
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
