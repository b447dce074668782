//! How far this machine's clock differs from the sources': the median of what prices of a stream say (docs/alerts.md, B16.3).

use std::collections::VecDeque;

use bellwether_core::time::{Span, Timestamp};

/// How many of the last prices are looked at, and how many there must be.
const SAMPLES: usize = 31;
const ENOUGH: usize = 11;
/// From which difference people are told.
pub(super) const WARN: Span = Span::from_seconds(30);

/// The last differences of one stream, in microseconds: arrival less source time.
#[derive(Clone, Debug, Default)]
pub(super) struct Offset(VecDeque<i64>);

impl Offset {
    pub(super) fn add(&mut self, received: Timestamp, source: Timestamp) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(received.as_micros().saturating_sub(source.as_micros()));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The difference that is in the middle of all, in microseconds, below nothing where the sources are ahead; nothing while there are few.
    pub(super) fn median(&self) -> Option<i64> {
        if self.0.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<i64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        Some(sorted[sorted.len() / 2])
    }

    /// The difference, where it is worth a word.
    pub(super) fn trouble(&self) -> Option<String> {
        let median = self.median()?;
        let size = Span::from_seconds(Span::from_micros(median.abs()).as_seconds());
        let direction = if median > 0 { "ahead of" } else { "behind" };
        (median.abs() > WARN.as_micros())
            .then(|| format!("this machine's clock is {size} {direction} the source's; set it right"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(seconds: &[i64]) -> Option<String> {
        let mut offset = Offset::default();
        for &seconds in seconds {
            offset.add(Timestamp::from_seconds(1_795_300_000 + seconds), Timestamp::from_seconds(1_795_300_000));
        }
        offset.trouble()
    }

    #[test]
    fn only_a_clock_that_is_wrong_for_most_prices_is_told() {
        assert_eq!(offset(&[40; 10]), None, "too few to say");
        assert_eq!(offset(&[30; 31]), None);
        assert_eq!(
            offset(&[40; 11]).as_deref(),
            Some("this machine's clock is 40s ahead of the source's; set it right")
        );
        assert_eq!(
            offset(&[-40; 11]).as_deref(),
            Some("this machine's clock is 40s behind the source's; set it right")
        );
        let mut thin = vec![1; 16];
        thin.extend([300; 15]);
        assert_eq!(offset(&thin), None, "some prices are old by themselves");
        let mut set_right = vec![86_400; 100];
        set_right.extend([0; 16]);
        assert_eq!(offset(&set_right), None);
    }
}
