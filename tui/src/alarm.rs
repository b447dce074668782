//! What is heard when an alert fires while the dashboard is open: the terminal's bell, a program of the user's, or both.

use std::{
    io,
    process::{Child, Command, Stdio},
};

/// The sound that is being played.
#[derive(Debug, Default)]
pub struct Alarm {
    playing: Option<Child>,
}

impl Alarm {
    /// Rings where `bell` is on, by `ring`, and begins the sound, a program with its arguments, unless one is still playing: a storm is one
    /// sound. A program that cannot be started is no reason to disturb the screen.
    ///
    /// # Errors
    /// Those of `ring`.
    pub fn ring(
        &mut self,
        bell: bool,
        sound: Option<&[String]>,
        ring: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let playing = self.playing.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if let Some([program, arguments @ ..]) = sound
            && !playing
        {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            self.playing = command.spawn().ok();
        }
        if bell { ring() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_sound_is_played_once_at_a_time_and_a_missing_program_disturbs_nobody() {
        let (mut alarm, sleep) = (Alarm::default(), program(&["sleep", "600"]));
        alarm.ring(false, Some(&sleep), || unreachable!("no bell")).expect("begun");
        let first = alarm.playing.as_ref().map(Child::id);
        alarm.ring(false, Some(&sleep), || unreachable!("no bell")).expect("goes on");
        assert!(first.is_some() && alarm.playing.as_ref().map(Child::id) == first);
        alarm.playing.take().expect("playing").kill().expect("stopped");

        let mut heard = false;
        let bell = || {
            heard = true;
            Ok(())
        };
        alarm.ring(true, Some(&program(&["/nowhere/at/all"])), bell).expect("the bell all the same");
        assert!(heard && alarm.playing.is_none());
        alarm.ring(false, Some(&[]), || unreachable!("no bell")).expect("nothing");
    }
}
