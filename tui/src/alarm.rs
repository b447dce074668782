//! What is heard when an alert fires while the dashboard is open: the terminal's bell, a program of the user's, or both.

use std::{
    io,
    process::{Child, Command, Stdio},
};

use bellwether_core::config::Dashboard;

/// The bell and the sound.
#[derive(Debug)]
pub struct Alarm {
    bell: bool,
    sound: Option<Vec<String>>,
    /// The sound that is being played.
    playing: Option<Child>,
}

impl Alarm {
    /// What the configuration asks for; `BELLWETHER_BELL` (`1`, `0`) says otherwise of the bell. `get` looks a variable up.
    pub fn new(config: &Dashboard, get: impl Fn(&str) -> Option<String>) -> Self {
        let bell = match get("BELLWETHER_BELL") {
            Some(said) => !["", "0", "false"].contains(&said.as_str()),
            None => config.bell,
        };
        Self { bell, sound: config.sound.clone().filter(|program| !program.is_empty()), playing: None }
    }

    /// Rings by `bell`, and begins the sound unless it is still playing: a storm is one sound. A program that cannot be started is no reason to
    /// disturb the screen.
    pub fn ring(&mut self, bell: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let playing = self.playing.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if let Some([program, arguments @ ..]) = self.sound.as_deref()
            && !playing
        {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            self.playing = command.spawn().ok();
        }
        if self.bell { bell() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(bell: bool, sound: Option<&[&str]>, variable: Option<&str>) -> Alarm {
        let sound = sound.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
        Alarm::new(&Dashboard { bell, sound, ..Dashboard::default() }, |_| variable.map(str::to_owned))
    }

    #[test]
    fn the_bell_is_as_configured_unless_the_variable_says_otherwise() {
        for (configured, variable, expected) in [
            (false, None, false),
            (true, None, true),
            (true, Some("0"), false),
            (true, Some(""), false),
            (false, Some("1"), true),
        ] {
            let mut rung = false;
            let mut alarm = alarm(configured, None, variable);
            alarm
                .ring(|| {
                    rung = true;
                    Ok(())
                })
                .expect("rung");
            assert_eq!(rung, expected, "{configured} {variable:?}");
        }
    }

    #[test]
    fn a_sound_is_played_once_at_a_time_and_a_missing_program_disturbs_nobody() {
        let mut long = alarm(false, Some(&["sleep", "600"]), None);
        long.ring(|| unreachable!("no bell")).expect("begun");
        let first = long.playing.as_ref().map(Child::id);
        long.ring(|| unreachable!("no bell")).expect("goes on");
        assert!(first.is_some() && long.playing.as_ref().map(Child::id) == first);
        long.playing.take().expect("playing").kill().expect("stopped");

        let mut missing = alarm(true, Some(&["/nowhere/at/all"]), None);
        let mut rung = false;
        missing
            .ring(|| {
                rung = true;
                Ok(())
            })
            .expect("the bell all the same");
        assert!(rung && missing.playing.is_none());
        assert!(alarm(false, Some(&[]), None).sound.is_none());
    }
}
