//! The program on a terminal: a pseudo-terminal by script(1), whose modes are written down before and after.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin},
    time::timeout,
};

use super::{Lab, PATIENCE, Task, eventually, lock};

/// A terminal of 120 columns and 40 rows with a program on it.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    seen: Arc<Mutex<Vec<u8>>>,
    _reader: Task,
}

impl Terminal {
    /// Runs the command there. Its environment is taken, its standard input and output are the terminal's.
    pub(crate) fn open(lab: &Lab, command: &Command) -> Self {
        let quote = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy());
        let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
        let line = format!("stty rows 40 cols 120; stty -g; {}; code=$?; stty -g; exit $code", words.join(" "));
        let mut script = lab.program(Path::new("script"), ["-q", "-e", "-f", "-c", &line, "/dev/null"]);
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm-256color");
        let mut script = tokio::process::Command::from(script);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = script.spawn().expect("script(1)");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut output) = (Arc::clone(&seen), child.stdout.take().expect("piped"));
        let reader = Task::spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok(length @ 1..) = output.read(&mut buffer).await {
                lock(&kept).extend_from_slice(&buffer[..length]);
            }
        });
        Self { keys: child.stdin.take().expect("piped"), child, seen, _reader: reader }
    }

    /// Everything that was written to it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.seen)).into_owned()
    }

    /// Waits until a text is shown.
    pub(crate) async fn shows(&self, text: &str) {
        self.shows_one_of(&[text]).await;
    }

    /// Waits until one of several texts is shown.
    pub(crate) async fn shows_one_of(&self, texts: &[&str]) {
        let shown = async || texts.iter().any(|text| self.text().contains(text)).then_some(());
        eventually(&format!("{texts:?} on the screen"), shown).await;
    }

    /// Types.
    pub(crate) async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.expect("the terminal takes keys");
        self.keys.flush().await.expect("the terminal takes keys");
    }

    /// Waits for the program's end: with 0, and with the terminal as it was.
    pub(crate) async fn ended(self) {
        let status = self.gives_back().await;
        assert!(status.success(), "it ended with {status}");
    }

    /// Waits for the program's end, with the terminal as it was: its modes as stty(1) has them, and the private ones of DEC and xterm.
    async fn gives_back(mut self) -> std::process::ExitStatus {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it can be waited for");
        let modes = |text: &str| -> Vec<String> {
            // What stty says is digits and colons alone; what was drawn may stand before it.
            let said = |c: char| c.is_ascii_hexdigit() || c == ':';
            let ends = text.lines().map(str::trim).map(|line| &line[line.trim_end_matches(said).len()..]);
            ends.filter(|end| end.matches(':').count() > 20).map(str::to_owned).collect()
        };
        eventually("the terminal's modes afterwards", async || (modes(&self.text()).len() == 2).then_some(())).await;
        let text = self.text();
        let modes = modes(&text);
        assert!(modes[1].ends_with(&modes[0]), "the terminal's modes were {} and are {}", modes[0], modes[1]);
        let (entered, left) = (text.rfind("\u{1b}[?1049h"), text.rfind("\u{1b}[?1049l"));
        assert!(entered.is_some() && left > entered, "the screen was not given back");
        assert_eq!(private_modes(&text), [], "modes that were not taken back");
        status
    }
}

/// The private modes that are not as they are at the start (ECMA-48's `CSI ? n h` and `l`): the visible cursor, 25, is on then, all others are off.
fn private_modes(text: &str) -> Vec<(String, bool)> {
    let mut modes = std::collections::BTreeMap::new();
    for sequence in text.split("\u{1b}[?").skip(1) {
        let Some(end) = sequence.find(|c: char| !c.is_ascii_digit() && c != ';') else { continue };
        let on = match sequence[end..].chars().next() {
            Some('h') => true,
            Some('l') => false,
            _ => continue,
        };
        modes.extend(sequence[..end].split(';').map(|mode| (mode.to_owned(), on)));
    }
    modes.into_iter().filter(|(mode, on)| *on != (mode == "25")).collect()
}
