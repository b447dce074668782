//! `init`: writes a first configuration. On a terminal it asks which channels one wants, and sends a test through each.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde_json::json;

use super::daemon;
use crate::{
    cli::Global,
    config_file,
    error::UserError,
    first_config::{self, Wishes},
    folders::Folders,
    out, terminal,
};

/// Writes the file; with `force` over one that is there.
pub(super) async fn run(global: &Global, force: bool) -> anyhow::Result<()> {
    let folders = Folders::find(global)?;
    let file = &folders.config;
    if file.exists() && !force {
        return Err(UserError::with_hint(
            format!("{} is there already", file.display()),
            "edit it, or begin anew with --force: the old one is kept beside it",
        )
        .into());
    }
    let asking = io::stdin().is_terminal() && io::stderr().is_terminal();
    let wishes = if asking {
        out::note("Which channels shall bellwether use? Enter takes what stands in capitals or brackets.");
        let topic = format!("bellwether-{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff);
        first_config::ask(&topic, &mut ask).map_err(|e| UserError::new(format!("nothing was written: {e}")))?
    } else {
        Wishes { desktop: true, ..Wishes::default() }
    };
    let secret = file.with_file_name("mail-password");
    let kept = write(&wishes, file, &secret)?;
    if let Some(kept) = &kept {
        out::note(&format!("the old one is kept as {kept}"));
    }
    if asking {
        test(global, &folders).await?;
    }
    if global.json {
        return out::json(&json!({"file": file, "kept": kept}));
    }
    out::line(&format!("wrote {}", file.display()))?;
    out::note(
        "Next: `bellwether` opens the dashboard and starts the daemon; `bellwether service install` keeps that running.",
    );
    Ok(())
}

/// One question and its answer.
fn ask(question: &str, secret: bool) -> io::Result<String> {
    if secret {
        return terminal::ask_secret(question);
    }
    let mut err = io::stderr().lock();
    err.write_all(question.as_bytes())?;
    err.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the questions were not answered"));
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Writes the file and the password, both for their owner alone, and keeps what was there. Answers where that is now.
fn write(wishes: &Wishes, file: &Path, secret: &Path) -> anyhow::Result<Option<String>> {
    let failed = |path: &Path, e: &io::Error| {
        UserError::with_hint(format!("cannot write {}: {e}", path.display()), "name another file with --config")
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| failed(folder, &e))?;
    }
    let private = |path: &Path, text: &str| -> io::Result<()> {
        let draft = path.with_extension("new");
        drop(fs::remove_file(&draft));
        let mut out = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&draft, path)
    };
    if let Some(mail) = &wishes.mail {
        private(secret, &format!("{}\n", mail.password)).map_err(|e| failed(secret, &e))?;
    }
    let mut kept = None;
    if file.exists() {
        let stamp: String = jiff::Timestamp::now().to_string().chars().filter(char::is_ascii_digit).take(14).collect();
        let old = file.with_extension(format!("toml.before-{stamp}"));
        fs::copy(file, &old).map_err(|e| failed(&old, &e))?;
        kept = Some(old.display().to_string());
    }
    private(file, &first_config::text(wishes, secret)).map_err(|e| failed(file, &e))?;
    Ok(kept)
}

/// Sends a message through each channel of the new file, and says what the other side answered.
async fn test(global: &Global, folders: &Folders) -> anyhow::Result<()> {
    let loaded = config_file::load(&folders.config, true)?;
    daemon::check(&loaded)?;
    let config = daemon::options(global, folders, loaded.config).config;
    for name in config.channel_names() {
        let said = match daemon::test_channel(&config, &name).await? {
            Some(tested) if tested.accepted => format!("{name}: a test message was accepted: {}", tested.answer),
            Some(tested) => format!(
                "{name}: the test message was NOT accepted: {}\n  correct [channels.{}] in {}, then: bellwether notify test {name}",
                tested.answer,
                name.as_str().replacen(':', ".", 1),
                folders.config.display()
            ),
            None => continue,
        };
        out::note(&said.lines().map(bellwether_core::text::sanitize).collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn the_file_and_the_password_are_private_and_what_was_there_is_kept() {
        let place = tempfile::tempdir().expect("a folder");
        let (file, secret) = (place.path().join("a/config.toml"), place.path().join("a/mail-password"));
        let mail = first_config::Mail {
            host: "smtp.example.org".to_owned(),
            username: "me@example.org".to_owned(),
            password: "canary".to_owned(),
            to: "me@example.org".to_owned(),
        };
        let wishes = Wishes { desktop: true, phone: None, mail: Some(mail) };
        assert_eq!(write(&wishes, &file, &secret).expect("written"), None);
        for path in [&file, &secret] {
            assert_eq!(fs::metadata(path).expect("there").mode() & 0o777, 0o600);
        }
        assert!(!fs::read_to_string(&file).expect("there").contains("canary"));
        fs::write(&file, "# mine\n").expect("written");
        let kept = write(&Wishes::default(), &file, &secret).expect("written").expect("kept");
        assert_eq!(fs::read_to_string(kept).expect("there"), "# mine\n");
        assert!(config_file::load(&file, true).is_ok());
    }
}
