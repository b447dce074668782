//! A mail as it is sent (RFC 5322): text and HTML, and a small picture inside the HTML.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    Message,
    message::{
        Attachment, Mailbox, MultiPart, SinglePart,
        header::{ContentType, Header, HeaderName, HeaderValue},
    },
};

use super::{
    channel::{BoxError, Outgoing},
    chart::SIZE,
};

/// The name of the picture inside the mail.
const PICTURE: &str = "chart";

/// The whole mail with its headers.
pub(super) fn format(
    outgoing: &Outgoing,
    from: &Mailbox,
    to: &[Mailbox],
    picture: Option<Vec<u8>>,
) -> Result<Vec<u8>, BoxError> {
    let micros = u64::try_from(outgoing.fired.as_micros()).unwrap_or_default();
    let domain = from.email.domain();
    // From the row, not from the attempt: whoever gets it twice can tell. The time keeps the rows of two databases apart.
    let id = format!("<{}.{}@{domain}.bellwether>", outgoing.key, outgoing.created.as_micros());
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(outgoing.notification.title.clone())
        .date(UNIX_EPOCH + Duration::from_micros(micros))
        .message_id(Some(id))
        .header(AutoSubmitted)
        .header(ListId(format!("<alerts.bellwether.{domain}>")));
    for to in to {
        builder = builder.to(to.clone());
    }
    let text = SinglePart::plain(outgoing.notification.text.clone());
    let html = outgoing.notification.html.clone();
    let parts = MultiPart::alternative().singlepart(text);
    let parts = match picture {
        None => parts.singlepart(SinglePart::html(html)),
        Some(png) => {
            let picture = Attachment::new_inline(PICTURE.to_owned()).body(png, ContentType::parse("image/png")?);
            parts.multipart(MultiPart::related().singlepart(SinglePart::html(with_picture(&html))).singlepart(picture))
        }
    };
    Ok(builder.multipart(parts)?.formatted())
}

/// The picture stands below everything else.
fn with_picture(html: &str) -> String {
    let (width, height) = SIZE;
    let picture = format!(
        "<p><img src=\"cid:{PICTURE}\" width=\"{width}\" height=\"{height}\" alt=\"The price around the firing\"></p>\n"
    );
    match html.rsplit_once("</body>") {
        Some((before, after)) => format!("{before}{picture}</body>{after}"),
        None => format!("{html}{picture}"),
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834): no out-of-office reply, please.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, BoxError> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// `List-Id: <alerts.bellwether.example.org>` (RFC 2919): by which mail programs sort.
#[derive(Clone)]
struct ListId(String);

impl Header for ListId {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Id")
    }

    fn parse(text: &str) -> Result<Self, BoxError> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
}
