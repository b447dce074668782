//! The systemd user unit that `bellwether service install` writes: what it runs, when it is restarted, and what it may not do.
//!
//! Hardened as far as a user's own manager can: `PrivateUsers=yes` is what lets it apply the rest. Home folders stay readable
//! (`ProtectHome=read-only`): the configuration, the files that it names and the socket of the desktop's bus lie there.

use std::{fmt::Write as _, path::PathBuf};

/// The name of the unit.
pub const NAME: &str = "bellwether.service";
/// The first line, by which a file of ours is known.
pub const MARK: &str =
    "# Written by `bellwether service install`; changes belong into `systemctl --user edit bellwether`.";

/// What the unit is made of.
#[derive(Clone, Debug)]
pub struct Unit {
    /// This program.
    pub program: PathBuf,
    /// What stands behind it, before `daemon`.
    pub arguments: Vec<String>,
    /// Folders that it writes.
    pub writes: Vec<PathBuf>,
    /// Credentials: their names and files.
    pub credentials: Vec<(String, PathBuf)>,
    /// Whether it is confined.
    pub hardened: bool,
}

/// What it may not do. `systemd-analyze security` judges it, and a test does.
const HARDENING: &str = "\
NoNewPrivileges=yes
PrivateUsers=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateIPC=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

impl Unit {
    /// The text of the file.
    pub fn text(&self) -> String {
        let mut words = vec![word(&self.program.to_string_lossy())];
        words.extend(self.arguments.iter().map(|argument| word(argument)));
        words.push("daemon".to_owned());
        let mut text = format!(
            "{MARK}\n\
             [Unit]\n\
             Description=bellwether: price alerts\n\
             StartLimitIntervalSec=300\n\
             StartLimitBurst=10\n\
             \n\
             [Service]\n\
             Type=notify\n\
             ExecStart={}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             Restart=on-failure\n\
             RestartSec=2\n\
             WatchdogSec=60\n\
             TimeoutStartSec=60\n\
             TimeoutStopSec=20\n\
             UMask=0077\n\
             LimitCORE=0\n",
            words.join(" ")
        );
        for (name, file) in &self.credentials {
            let _ = writeln!(text, "LoadCredential={name}:{}", path(file));
        }
        if self.hardened {
            text.push_str(HARDENING);
            text.push_str("RuntimeDirectory=bellwether\nRuntimeDirectoryMode=0700\n");
            for folder in &self.writes {
                let _ = writeln!(text, "ReadWritePaths={}", word(&folder.to_string_lossy()));
            }
        }
        text.push_str("\n[Install]\nWantedBy=default.target\n");
        text
    }
}

/// One word of a command line or list of a unit file: quoted, without specifiers and variables (`systemd.syntax(7)`, `systemd.unit(5)`).
fn word(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || "\"'\\;".contains(c)) {
        format!("\"{text}\"")
    } else {
        text
    }
}

/// A path that ends its line.
fn path(path: &std::path::Path) -> String {
    path.to_string_lossy().replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> Unit {
        Unit {
            program: "/opt/my tools/bellwether".into(),
            arguments: vec!["--config".into(), "/home/me/100%/$x.toml".into()],
            writes: vec!["/home/me/.local/share/bellwether".into()],
            credentials: vec![("SMTP_PASSWORD".into(), "/home/me/c/SMTP_PASSWORD".into())],
            hardened: true,
        }
    }

    #[test]
    fn paths_survive_spaces_percent_and_dollar_signs() {
        let text = unit().text();
        let expected = "ExecStart=\"/opt/my tools/bellwether\" --config /home/me/100%%/$$x.toml daemon\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("\nReadWritePaths=/home/me/.local/share/bellwether\n"), "{text}");
        assert!(text.contains("\nLoadCredential=SMTP_PASSWORD:/home/me/c/SMTP_PASSWORD\n"), "{text}");
    }

    #[test]
    fn it_is_restarted_when_it_fails_or_stands_still_and_may_do_little() {
        let text = unit().text();
        for line in [
            "Type=notify",
            "WatchdogSec=60",
            "Restart=on-failure",
            "LimitCORE=0",
            "PrivateUsers=yes",
            "WantedBy=default.target",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        // It would hide the socket of the desktop's bus.
        assert!(!text.contains("ProtectHome=yes"), "{text}");
        let plain = Unit { hardened: false, ..unit() }.text();
        assert!(!plain.contains("Protect") && !plain.contains("ReadWritePaths") && plain.contains("Type=notify"));
    }
}
