//! A quick way through frames of the usual shape, which a busy exchange sends by the thousand.
//!
//! It knows objects, lists, numbers, words, and strings without escapes. Whatever else it meets, it gives up, and the frame is
//! read by `serde_json`, which decides: where both read a frame, they read the same.

/// A place in a frame.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// A scalar as it stands in the frame: a string without its quotes, or a number's digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Number(&'a str),
    /// `true` or `false`.
    Word,
}

impl<'a> Scalar<'a> {
    /// The string.
    pub(super) fn text(self) -> Option<&'a str> {
        if let Scalar::Text(text) = self { Some(text) } else { None }
    }

    /// What it says, written as a string or as a number.
    pub(super) fn either(self) -> Option<&'a str> {
        match self {
            Scalar::Text(text) | Scalar::Number(text) => Some(text),
            Scalar::Word => None,
        }
    }
}

/// Every byte of a word.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The first bit of each byte of the word that is a quote, a backslash or a control character; bits above the first that is set
/// may err.
const fn ends(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & (ONES << 7)
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.bytes().get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Nothing comes after this.
    pub(super) fn end(mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// The members of an object; `member` must read the value of each.
    #[inline]
    pub(super) fn object(&mut self, mut member: impl FnMut(&'a str, &mut Self) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        loop {
            self.take(b'"')?;
            let key = self.rest_of_string()?;
            self.take(b':')?;
            member(key, self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// The values of a list that is not empty; `value` must read each.
    #[inline]
    pub(super) fn list(&mut self, mut value: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        loop {
            value(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A string, a number or a word other than `null`.
    #[inline]
    pub(super) fn scalar(&mut self) -> Option<Scalar<'a>> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.rest_of_string().map(Scalar::Text)
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.number().map(Scalar::Number),
        }
    }

    fn word(&mut self, word: &str) -> Option<Scalar<'a>> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            Scalar::Word
        })
    }

    #[inline]
    fn rest_of_string(&mut self) -> Option<&'a str> {
        let (bytes, start) = (self.bytes(), self.at);
        let mut at = start;
        while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let found = ends(u64::from_le_bytes(*word));
            if found != 0 {
                at += (found.trailing_zeros() / 8) as usize;
                return self.string(start, at);
            }
            at += 8;
        }
        while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)) {
            at += 1;
        }
        self.string(start, at)
    }

    #[inline]
    fn string(&mut self, start: usize, end: usize) -> Option<&'a str> {
        if self.bytes().get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?`; an exponent is not usual.
    #[inline]
    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.at += usize::from(self.bytes().get(start) == Some(&b'-'));
        let whole = self.digits()?;
        if whole > 1 && self.bytes()[self.at - whole] == b'0' {
            return None;
        }
        if self.bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes().get(self.at) {
            return None;
        }
        self.text.get(start..self.at)
    }

    /// How many digits come: one at least.
    #[inline]
    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(self.at - start)
    }
}

/// Puts a value where none is yet: a frame that says a thing twice is not read the quick way.
#[inline]
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Option<Vec<(&str, Scalar<'_>)>> {
        let mut scan = Scan::new(text);
        let mut found = Vec::new();
        scan.object(|key, scan| {
            found.push((key, scan.scalar()?));
            Some(())
        })?;
        scan.end()?;
        Some(found)
    }

    #[test]
    fn ordinary_objects_are_read() {
        let text = "{\"a\": \"longer than eight bytes\" ,\"b\":-0.50,\"c\":true, \"ü\":\"ü\"} \n";
        let expected =
            [("a", Scalar::Text("longer than eight bytes")), ("b", Scalar::Number("-0.50")), ("c", Scalar::Word)];
        let found = members(text).expect("ordinary");
        assert_eq!((&found[..3], found[3]), (&expected[..], ("ü", Scalar::Text("ü"))));
    }

    #[test]
    fn whatever_is_read_is_json() {
        for text in [
            "{}",
            "{",
            "{\"a\":1",
            "{\"a\":1}}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":.5}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":1e5}",
            "{\"a\":+1}",
            "{\"a\":tru}",
            "{\"a\":truely}",
            "{\"a\":null}",
            "{\"a\":\"\\n\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"tab\tinside\"}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":[]}",
            "[1]",
            "{\"a\":\"",
            "",
        ] {
            assert_eq!(members(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_never_reads_what_serde_json_refuses(text in "\\{(\"[a-c\\\\\"é]{0,12}\":(-?[0-9.eE+-]{1,6}|\"[ -~é\t\\\\]{0,20}\"|true|null),?){1,4}\\}?.?") {
            if let Some(found) = members(&text) {
                let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).expect("JSON");
                for (key, scalar) in &found {
                    if let (Scalar::Text(said), 1) = (scalar, found.iter().filter(|(k, _)| k == key).count()) {
                        proptest::prop_assert_eq!(value[*key].as_str(), Some(*said));
                    }
                }
            }
        }
    }
}
