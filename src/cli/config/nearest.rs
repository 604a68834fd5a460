//! The nearest known word to a mistyped one.

/// Edit distance with transpositions (optimal string alignment), in characters.
pub fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at =
                |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX);
            let swap_or_keep = at(&above, j).saturating_add(usize::from(a != b));
            let mut best = swap_or_keep
                .min(at(&above, j + 1).saturating_add(1))
                .min(at(&row, j).saturating_add(1));
            let swapped =
                i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, j - 1).saturating_add(1));
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(left.len())
}

/// The known word closest to `word`, if any is close enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_slip_finds_its_word() {
        let known = ["server.listen", "server.public_url", "twilio.auth_token"];
        assert_eq!(nearest("server.lsiten", known), Some("server.listen"));
        assert_eq!(
            nearest("server.public_ulr", known),
            Some("server.public_url")
        );
        assert_eq!(
            nearest("twillio.auth_token", known),
            Some("twilio.auth_token")
        );
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
