//! Words that were probably meant: the nearest of some that exist.

/// Longest word that is compared; longer ones are near to nothing.
const LONGEST: usize = 128;

/// The only word of `words` that is near to `word`; `None` where none is, or several are equally near. Case does not count.
pub fn nearest<'w>(word: &str, words: &[&'w str]) -> Option<&'w str> {
    let limit = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=11 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &'w str)> = None;
    let mut tied = false;
    for candidate in words {
        let Some(distance) = distance(word, candidate, limit) else { continue };
        match best {
            Some((least, chosen)) if distance == least => tied |= chosen != *candidate,
            Some((least, _)) if distance > least => {}
            _ => {
                best = Some((distance, candidate));
                tied = false;
            }
        }
    }
    best.filter(|_| !tied).map(|(_, word)| word)
}

/// All words near to `word`, nearest first.
pub fn near<'w>(word: &str, words: &[&'w str]) -> Vec<&'w str> {
    let mut found: Vec<(usize, &'w str)> =
        words.iter().filter_map(|candidate| Some((distance(word, candidate, 2)?, *candidate))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, word)| word).collect()
}

/// How many characters have to be put in, taken out, replaced or exchanged with their neighbor; `None` beyond `limit`.
fn distance(left: &str, right: &str, limit: usize) -> Option<usize> {
    if left.len() > LONGEST || right.len() > LONGEST || left.len().abs_diff(right.len()) > limit * 4 {
        return None;
    }
    let found = strsim::osa_distance(&left.to_ascii_lowercase(), &right.to_ascii_lowercase());
    (found <= limit).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_near_word_is_meant_and_two_are_not() {
        assert_eq!(nearest("reveiws", &["reviews", "ratings"]), Some("reviews"));
        assert_eq!(nearest("review", &["reviews", "review1"]), None);
        assert_eq!(nearest("v3", &["v1", "v2"]), None);
        assert_eq!(nearest("cart", &["basket"]), None);
        assert_eq!(near("IST0111", &["IST0110", "IST0101", "SGN0001"]), ["IST0101", "IST0110"]);
    }
}
