//! The terminal taken and given back: raw mode, alternate screen, mouse, bracketed paste. Whatever way the program ends,
//! by return, error, panic or signal, the terminal is as it was before (`docs/reliability.md`, P29).

use std::{
    cell::RefCell,
    io::{self, Write},
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crossterm::{
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Holds the terminal; dropping it gives the terminal back.
#[derive(Debug)]
pub(crate) struct Guard(());

impl Guard {
    /// Takes the terminal, and sees to it that a panic gives it back before it speaks.
    pub(crate) fn take() -> io::Result<Self> {
        hook_panics();
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

/// Gives the terminal back once, however often it is called.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Nobody can be told when even this fails: the terminal is gone.
        drop(leave(&mut io::stdout()));
        drop(disable_raw_mode());
    }
}

fn hook_panics() {
    static HOOKED: AtomicBool = AtomicBool::new(false);
    if !HOOKED.swap(true, Ordering::SeqCst) {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    }
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
