//! A file line by line in bounded memory, whatever it holds.

use std::io::{self, BufRead, Read as _};

use bellwether_core::backtest::tape::{MAX_ROW, RowError};

/// The lines of an input, one at a time.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The next line; nothing at the end. Of a line that is too long no more than the limit is kept.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<&[u8], RowError>>> {
        self.line.clear();
        let limit = u64::try_from(MAX_ROW).unwrap_or(u64::MAX).saturating_add(1);
        if (&mut self.input).take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.len() > MAX_ROW && self.line.last() != Some(&b'\n') {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Err(RowError::TooLong)));
        }
        Ok(Some(Ok(&self.line)))
    }

    /// The number of the line that was last given, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let text = [&b"time,symbol,price\n"[..], &vec![b'x'; 3 << 20], b"\n1,BTC,5\r\n2,BTC,6"].concat();
        let mut lines = Lines::new(BufReader::with_capacity(64, &text[..]));
        let mut seen = Vec::new();
        while let Some(line) = lines.next().expect("read") {
            seen.push(line.map(|l| String::from_utf8_lossy(l).into_owned()));
        }
        let line = |text: &str| Ok(text.to_owned());
        assert_eq!(seen, [line("time,symbol,price\n"), Err(RowError::TooLong), line("1,BTC,5\r\n"), line("2,BTC,6")]);
        assert_eq!(lines.number(), 4);
        assert!(lines.line.capacity() < 8 * MAX_ROW, "{}", lines.line.capacity());
    }
}
