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
    let left: Vec<char> = left.chars().map(|character| character.to_ascii_lowercase()).collect();
    let right: Vec<char> = right.chars().map(|character| character.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = previous[column] + usize::from(letter != other);
            let mut least = replaced.min(previous[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().filter(|distance| *distance <= limit)
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
