//! The terminal taken and given back: raw mode, alternate screen, mouse, bracketed paste. Whatever way the program ends,
//! by return, error, panic or signal, the terminal is as it was before (`docs/reliability.md`, P29).

use std::{
    cell::RefCell,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crossterm::{
    cursor::{Hide, Show},
    event::{
        DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, KeyCode,
        KeyEventKind, KeyModifiers, read,
    },
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Holds the terminal; dropping it gives the terminal back.
#[derive(Debug)]
pub(crate) struct Guard(());

impl Guard {
    /// Takes the terminal, and sees to it that a panic gives it back before it speaks, and is written down in `log`.
    pub(crate) fn take(log: &Path) -> io::Result<Self> {
        hook_panics(log);
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let guard = Self(());
        enter(&mut io::stdout())?;
        Ok(guard)
    }

    /// Whether the terminal is still ours: after a panic in some task it is not.
    pub(crate) fn is_taken() -> bool {
        TAKEN.load(Ordering::SeqCst)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

/// Asks for a secret on standard error; what is typed is not shown. Ctrl-C is an error.
pub(crate) fn ask_secret(prompt: &str) -> io::Result<String> {
    /// Gives the terminal its manners back, however this ends.
    struct Raw;
    impl Drop for Raw {
        fn drop(&mut self) {
            drop(disable_raw_mode());
        }
    }
    let mut shown = io::stderr();
    write!(shown, "{prompt}")?;
    shown.flush()?;
    enable_raw_mode()?;
    let raw = Raw;
    let mut typed = String::new();
    let outcome = loop {
        let Event::Key(key) = read()? else { continue };
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Enter => break Ok(typed),
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                break Err(io::ErrorKind::Interrupted.into());
            }
            KeyCode::Backspace => drop(typed.pop()),
            KeyCode::Char(letter) => typed.push(letter),
            _ => {}
        }
    };
    drop(raw);
    writeln!(shown)?;
    outcome
}

/// Gives the terminal back once, however often it is called.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nobody can be told when even this fails: the terminal is gone.
        drop(leave(&mut io::stdout()));
        drop(disable_raw_mode());
    }
}

fn hook_panics(log: &Path) {
    static HOOKED: AtomicBool = AtomicBool::new(false);
    if !HOOKED.swap(true, Ordering::SeqCst) {
        let before = std::panic::take_hook();
        let log = log.to_owned();
        std::panic::set_hook(Box::new(move |panic| {
            let ours = TAKEN.load(Ordering::SeqCst);
            give_back();
            if !ours {
                return before(panic);
            }
            let trace = std::backtrace::Backtrace::force_capture();
            let told = match write_down(&log, &format!("{panic}\n{trace}")) {
                Ok(()) => format!("{} says where", log.display()),
                Err(error) => format!("{} cannot be written: {error}", log.display()),
            };
            let panic = bellwether_core::text::sanitize(&panic.to_string().replace('\n', " "));
            let words = format!("the dashboard failed: {panic}\n\nhint: {told}; the daemon watches on\n");
            // Nobody can be told when standard error is closed.
            drop(io::stderr().write_all(words.as_bytes()));
        }));
    }
}

/// Appends to the log, which nobody else can read.
fn write_down(log: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
    writeln!(file, "{} bellwether {}: {text}", jiff::Timestamp::now(), env!("CARGO_PKG_VERSION"))
}

fn enter(out: &mut impl Write) -> io::Result<()> {
    execute!(out, EnterAlternateScreen, EnableMouseCapture, EnableBracketedPaste, Hide)
}

fn leave(out: &mut impl Write) -> io::Result<()> {
    // Ends a synchronized update that a panic may have cut short.
    out.write_all(END_UPDATE)?;
    execute!(out, DisableBracketedPaste, DisableMouseCapture, Show, LeaveAlternateScreen)
}

/// Gives the mouse to the dashboard, or back to the terminal.
pub(crate) fn capture_mouse(on: bool) -> io::Result<()> {
    let mut out = io::stdout();
    if on { execute!(out, EnableMouseCapture) } else { execute!(out, DisableMouseCapture) }
}

/// Rings the bell.
pub(crate) fn ring() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(b"\x07")?;
    out.flush()
}

/// Asks the terminal to put text into the clipboard (OSC 52 of xterm's control sequences). It works over SSH too; a terminal that
/// does not know it, or does not allow it, does nothing.
pub(crate) fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(&clipboard(text))?;
    out.flush()
}

fn clipboard(text: &str) -> Vec<u8> {
    format!("\x1b]52;c;{}\x07", STANDARD.encode(text)).into_bytes()
}

const BEGIN_UPDATE: &[u8] = b"\x1b[?2026h";
const END_UPDATE: &[u8] = b"\x1b[?2026l";

/// Gathers the bytes of a frame, so that they go out in one write, inside a synchronized update, and not at all where nothing changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameBytes(Rc<RefCell<Vec<u8>>>);

impl FrameBytes {
    /// Writes what was gathered to `out`. A frame that places nothing is dropped.
    pub(crate) fn send(&self, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = self.0.borrow_mut();
        if draws_something(&bytes) {
            let mut all = Vec::with_capacity(bytes.len() + BEGIN_UPDATE.len() + END_UPDATE.len());
            all.extend_from_slice(BEGIN_UPDATE);
            all.append(&mut bytes);
            all.extend_from_slice(END_UPDATE);
            out.write_all(&all)?;
            out.flush()?;
        }
        bytes.clear();
        Ok(())
    }
}

/// Whether the bytes hold anything beside colour resets and the hiding of the cursor: every drawn cell comes behind a move (`CSI … H`)
/// or an erasure (`CSI … J`).
fn draws_something(bytes: &[u8]) -> bool {
    bytes.split(|b| *b == 0x1b).skip(1).any(|sequence| {
        let end = sequence.iter().position(u8::is_ascii_alphabetic);
        end.is_some_and(|at| matches!(sequence[at], b'H' | b'J'))
    })
}

impl Write for FrameBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn leaving_undoes_every_mode_that_entering_sets() {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        enter(&mut on).expect("a Vec takes all");
        leave(&mut off).expect("a Vec takes all");
        let modes = |bytes: &[u8], end: u8| -> Vec<String> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let found =
                text.split("\x1b[?").filter(|s| s.as_bytes().last() == Some(&end) || s.contains(char::from(end)));
            found.map(|s| s.trim_end_matches(|c: char| c.is_ascii_alphabetic()).to_owned()).collect()
        };
        let (set, reset) = (modes(&on, b'h'), modes(&off, b'l'));
        assert!(set.len() >= 6, "{set:?}");
        for mode in set {
            assert!(reset.contains(&mode), "mode {mode} is never reset: {reset:?}");
        }
        assert!(modes(&off, b'h').contains(&"25".to_owned()), "the cursor comes back");
    }

    /// The other half of the next test: it runs on a terminal of its own and fails there.
    #[test]
    fn fails_on_its_terminal() {
        let Some(log) = std::env::var_os("BELLWETHER_TEST_LOG") else { return };
        let _guard = Guard::take(Path::new(&log)).expect("a terminal");
        panic!("on purpose\nwith a second line");
    }

    #[test]
    fn a_failure_gives_the_terminal_back_and_names_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("data").join("dashboard.log");
        let program = std::env::current_exe().expect("this program");
        let line = format!(
            "stty -g; '{}' --exact terminal::tests::fails_on_its_terminal --nocapture; stty -g",
            program.display()
        );
        let output = std::process::Command::new("script")
            .args(["-q", "-c", &line, "/dev/null"])
            .env("BELLWETHER_TEST_LOG", &log)
            .env("TERM", "xterm-256color")
            .stdin(std::process::Stdio::piped())
            .output()
            .expect("script(1)");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what:?} in {text:?}"));
        let (entered, left, told) = (place("\x1b[?1049h"), place("\x1b[?1049l"), place("the dashboard failed:"));
        assert!(entered < left && left < told, "first the terminal, then the words: {text:?}");
        assert!(text[told..].contains("on purpose with a second line"), "{text:?}");
        assert!(text[told..].contains("dashboard.log says where"), "{text:?}");
        let modes: Vec<&str> = text.lines().map(str::trim).filter(|l| l.matches(':').count() > 20).collect();
        assert!(modes.len() == 2 && modes[1].ends_with(modes[0]), "{modes:?}");
        let written = fs::read_to_string(&log).expect("the log");
        assert!(written.contains("on purpose") && written.contains("fails_on_its_terminal"), "{written}");
        assert_eq!(fs::metadata(&log).expect("the log").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn copied_text_cannot_end_its_own_sequence() {
        assert_eq!(clipboard("BTC > 1"), b"\x1b]52;c;QlRDID4gMQ==\x07");
        let evil = clipboard("\x07\x1b]0;x");
        assert_eq!(evil.split(|b| *b == 0x07).count(), 2);
    }

    #[test]
    fn a_frame_without_changes_sends_nothing() {
        let mut frame = FrameBytes::default();
        frame.write_all(b"\x1b[39m\x1b[49m\x1b[59m\x1b[0m\x1b[?25l").expect("a Vec takes all");
        let mut out = Vec::new();
        frame.send(&mut out).expect("a Vec takes all");
        assert!(out.is_empty());
        frame.write_all(b"\x1b[3;4Hx\x1b[0m").expect("a Vec takes all");
        frame.send(&mut out).expect("a Vec takes all");
        assert_eq!(out, b"\x1b[?2026h\x1b[3;4Hx\x1b[0m\x1b[?2026l");
    }
}
