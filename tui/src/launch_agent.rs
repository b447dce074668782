//! What `bellwether service install` writes on macOS: a launch agent (`launchd.plist(5)`). Its text is tested; nobody has tried it on a Mac yet.

use std::{fmt::Write as _, path::PathBuf};

/// The label, by which `launchctl` knows it; with `.plist` the name of its file.
pub const LABEL: &str = "bellwether";
/// What tells a file of ours.
pub const MARK: &str = "<!-- Written by `bellwether service install`. -->";

/// What the agent is made of.
#[derive(Clone, Debug)]
pub struct Agent {
    /// This program.
    pub program: PathBuf,
    /// What stands behind it, before `daemon`.
    pub arguments: Vec<String>,
    /// Where what it says is written: launchd has no journal.
    pub log: PathBuf,
}

impl Agent {
    /// The text of the file. It is started at login, and again when it ends with another status than 0.
    pub fn text(&self) -> String {
        let mut words = String::new();
        let program = self.program.to_string_lossy();
        for word in std::iter::once(&*program).chain(self.arguments.iter().map(String::as_str)).chain(["daemon"]) {
            let _ = writeln!(words, "    <string>{}</string>", encoded(word));
        }
        let log = encoded(&self.log.to_string_lossy());
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
{MARK}
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ExitTimeOut</key>
  <integer>20</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>HardResourceLimits</key>
  <dict>
    <key>Core</key>
    <integer>0</integer>
  </dict>
  <key>StandardErrorPath</key>
  <string>{log}</string>
</dict>
</plist>
"#
        )
    }
}

/// Text between two tags of XML.
fn encoded(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_runs_the_daemon_with_its_flags_and_again_when_it_fails() {
        let agent = Agent {
            program: "/Applications/R&D/bellwether".into(),
            arguments: vec!["--config".into(), "/Users/me/<x>.toml".into()],
            log: "/Users/me/Library/Application Support/bellwether/daemon.log".into(),
        };
        let text = agent.text();
        let words = "<array>\n    <string>/Applications/R&amp;D/bellwether</string>\n    <string>--config</string>\n    \
                     <string>/Users/me/&lt;x&gt;.toml</string>\n    <string>daemon</string>\n  </array>";
        assert!(text.contains(words), "{text}");
        assert!(text.contains("<key>SuccessfulExit</key>\n    <false/>"), "{text}");
        assert!(
            text.contains("<string>/Users/me/Library/Application Support/bellwether/daemon.log</string>"),
            "{text}"
        );
        // Every tag that is opened is closed.
        for tag in ["plist", "dict", "array", "key", "string", "integer"] {
            let opened = text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "{tag}: {text}");
        }
        // The numbers of a umask are decimal there: 0077.
        assert!(text.contains("<key>Umask</key>\n  <integer>63</integer>") && 0o077 == 63, "{text}");
    }
}
