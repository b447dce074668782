//! "Did you mean": the nearest known word to one that is not known.

/// How many single-letter insertions, deletions, replacements or swaps of neighbours lead from `a` to `b`
/// (optimal string alignment distance; Boytsov 2011), in bytes, upper and lower case being equal.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase().into_bytes(), b.to_ascii_lowercase().into_bytes());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX / 8;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Whether so many changes are few enough for one word to be a slip for the other: a third of the letters at most.
pub fn is_near(distance: usize, word: &str, known: &str) -> bool {
    distance * 3 <= known.len() && distance < word.len()
}

/// The word of `known` nearest to `word`, where one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().map(|k| (distance(word, k), k)).filter(|(d, k)| is_near(*d, word, k)).min().map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("accross", ["crosses", "above", "across"]), Some("across"));
        assert_eq!(nearest("emial", ["email", "desktop"]), Some("email"));
        assert_eq!(nearest("crosess", ["crosses", "exits"]), Some("crosses"));
        assert_eq!(nearest("zzz", ["email", "desktop"]), None);
        assert_eq!(nearest("", ["V"]), None);
    }
}
