//! A webhook's own body: a template of the user's, in minijinja, without loops that never end and without a way to anything outside.
//!
//! It knows the words of the message and nothing else: no file, no other template, no environment. Steps and size are limited.

use std::io;

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, context};

use super::channel::Outgoing;

/// The one template's name.
const NAME: &str = "body";
/// The most steps that a template may take.
const FUEL: u64 = 50_000;
/// The most bytes of a template, and of what becomes of it.
const SIZE: usize = 64 * 1024;

/// A template that was understood.
pub(super) struct Template(Environment<'static>);

impl Template {
    /// Reads a template. Values are written as JSON literals where `content_type` is JSON, with entities where it is HTML or XML,
    /// and as they are otherwise.
    pub(super) fn new(source: &str, content_type: &str) -> Result<Self, String> {
        if source.len() > SIZE {
            return Err(format!("has more than {SIZE} bytes"));
        }
        let escape = if content_type.contains("json") {
            AutoEscape::Json
        } else if content_type.contains("html") || content_type.contains("xml") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(move |_| escape);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(20);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|e| in_words(&e))?;
        Ok(Self(environment))
    }

    /// The body of this message.
    pub(super) fn render(&self, message: &Outgoing) -> Result<String, String> {
        let json: serde_json::Value = serde_json::from_str(&message.notification.json).unwrap_or_default();
        let values = context! {
            key => message.key,
            attempt => message.attempt,
            urgent => message.urgent,
            title => message.notification.title,
            body => message.notification.body,
            text => message.notification.text,
            type => json["type"],
            data => Value::from_serialize(&json["data"]),
        };
        let mut out = Bounded(Vec::new());
        let template = self.0.get_template(NAME).map_err(|e| in_words(&e))?;
        template.render_captured_to(values, &mut out).map_err(|e| in_words(&e))?;
        String::from_utf8(out.0).map_err(|_| "makes no text".to_owned())
    }
}

/// What is wrong with a template, with its line.
fn in_words(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let what = match error.kind() {
        ErrorKind::OutOfFuel => format!("takes more than {FUEL} steps"),
        ErrorKind::WriteFailure => format!("makes more than {SIZE} bytes"),
        kind => error.detail().map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    format!("{what}{line}")
}

/// Takes no more than [`SIZE`] bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > SIZE {
            return Err(io::Error::other("too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bellwether_core::time::Timestamp;

    use super::*;

    fn message(body: &str) -> Outgoing {
        Outgoing::message("channel.test", "a \"title\" <b>", body, Timestamp::from_seconds(100))
    }

    fn rendered(source: &str, content_type: &str) -> Result<String, String> {
        Template::new(source, content_type)?.render(&message("x"))
    }

    #[test]
    fn values_are_escaped_for_who_reads_them() {
        let source = "[{{ title }}]";
        let value: Vec<String> =
            serde_json::from_str(&rendered(source, "application/json").expect("valid")).expect("JSON");
        assert_eq!(value, ["a \"title\" <b>"]);
        assert_eq!(rendered(source, "text/html"), Ok("[a &quot;title&quot; &lt;b&gt;]".to_owned()));
        assert_eq!(rendered(source, "text/plain; charset=utf-8"), Ok("[a \"title\" <b>]".to_owned()));
        assert_eq!(
            rendered("{{ data.delivery }} {{ type }} {{ attempt }}", "text/plain"),
            Ok("channel-test-100000 channel.test 1".to_owned())
        );
    }

    #[test]
    fn a_template_cannot_run_for_ever_nor_grow_for_ever_nor_read_anything() {
        let steps =
            rendered("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "text/plain");
        assert!(steps.as_ref().is_err_and(|e| e.starts_with("takes more than")), "{steps:?}");
        let size =
            rendered("{% for a in range(2000) %}0123456789012345678901234567890123456789{% endfor %}", "text/plain");
        assert!(size.as_ref().is_err_and(|e| e.starts_with("makes more than")), "{size:?}");
        assert!(rendered("{% include '/etc/passwd' %}", "text/plain").is_err());
        assert!(Template::new(&"x".repeat(SIZE + 1), "text/plain").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = Template::new("a\n{% if %}", "text/plain").err().expect("refused");
        assert!(wrong.contains("in line 2"), "{wrong}");
        let unknown = rendered("{{ data.nothing.more }}", "text/plain").expect_err("unknown");
        assert!(unknown.contains("undefined"), "{unknown}");
    }
}
