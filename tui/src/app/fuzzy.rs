//! Ranking by a few letters: what the search and the command palette have in common.

use nucleo_matcher::{
    Config, Matcher, Utf32Str,
    pattern::{CaseMatching, Normalization, Pattern},
};

/// The things whose text holds the letters of `wanted` in their order, the best first and `most` of them at most; equals stay in
/// the order they came in. What is `exact` for its whole name stands before everything else.
pub(super) fn rank<T>(
    things: impl IntoIterator<Item = (T, String)>,
    wanted: &str,
    exact: impl Fn(&T) -> bool,
    most: usize,
) -> Vec<T> {
    let pattern = Pattern::parse(wanted, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut scored: Vec<(u32, usize, T)> = things
        .into_iter()
        .enumerate()
        .filter_map(|(i, (thing, text))| {
            let score = pattern.score(Utf32Str::new(&text, &mut buffer), &mut matcher)?;
            Some((if exact(&thing) { u32::MAX } else { score }, i, thing))
        })
        .collect();
    scored.sort_by_key(|&(score, i, _)| (std::cmp::Reverse(score), i));
    scored.into_iter().take(most).map(|(_, _, thing)| thing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_comes_first_and_equals_keep_their_order() {
        let things = ["alert", "a better alert", "chart", "alerts"].map(|t| (t, t.to_owned()));
        assert_eq!(rank(things.clone(), "alert", |t| *t == "alerts", 9)[0], "alerts", "what is called so");
        assert_eq!(rank(things.clone(), "", |_| false, 3), ["alert", "a better alert", "chart"]);
        assert!(rank(things, "zzz", |_| false, 9).is_empty());
    }
}
