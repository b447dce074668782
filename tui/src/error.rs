//! What went wrong, as the user reads it: what happened, an empty line, and `hint: what to do`.

use std::{fmt, io};

/// An error with a hint.
#[derive(Debug)]
pub struct UserError {
    what: String,
    hint: Option<String>,
}

impl UserError {
    /// What happened, without a hint.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    /// What happened, and what to do about it.
    pub fn with_hint(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }
}

impl UserError {
    /// What happened, alone.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UserError {}

/// Whether the reader of our output has gone (`bellwether list | head -1`): then the program ends quietly.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_stands_apart() {
        let error = UserError::with_hint("no alert a7", "bellwether list shows them");
        assert_eq!(error.to_string(), "no alert a7\n\nhint: bellwether list shows them");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("write the list");
        assert!(is_closed_pipe(&error));
        assert!(!is_closed_pipe(&anyhow::anyhow!("else")));
    }
}
