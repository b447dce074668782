//! `bellwether login` and `logout`: an account at a daemon on another machine.

use std::io::{BufRead as _, IsTerminal as _};

use crate::{cli::Global, client::ApiClient, error::UserError, logins, out, terminal};

fn address(global: &Global) -> Result<String, UserError> {
    let url = global.url.as_deref().ok_or_else(|| {
        UserError::with_hint(
            "a login is for the daemon of another machine, and none is named; the one of this machine needs none",
            "name it with --url https://alerts.example.org, or with BELLWETHER_URL",
        )
    })?;
    logins::address(url)
}

/// Logs in, and keeps the token.
pub(super) async fn enter(global: &Global, email: &str, register: bool) -> anyhow::Result<()> {
    let address = address(global)?;
    let client = ApiClient::new(&address, "");
    let password = password(&format!("password of {} at {address}: ", bellwether_core::text::sanitize(email)))?;
    if register {
        client.register(email, &password).await?;
    }
    let token = client.login(email, &password).await?;
    logins::keep_token(&address, &token)?;
    out::note(&format!("logged in at {address}: `bellwether --url {address}` opens its dashboard"));
    Ok(())
}

/// Ends all logins of the account, and forgets this one.
pub(super) async fn leave(global: &Global) -> anyhow::Result<()> {
    let address = address(global)?;
    let token = logins::token(&address).await?;
    let ended = ApiClient::new(&address, &token).logout().await;
    logins::forget(&address)?;
    ended?;
    out::note(&format!("logged out of {address}, everywhere"));
    Ok(())
}

/// The password: typed unseen where there is a terminal, otherwise the first line of standard input.
fn password(prompt: &str) -> Result<String, UserError> {
    let failed = |error: std::io::Error| UserError::new(format!("the password cannot be read: {error}"));
    if std::io::stdin().is_terminal() {
        return terminal::ask_secret(prompt).map_err(failed);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
