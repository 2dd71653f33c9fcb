//! Whether what was printed is what a guide shows: line by line, any run of blanks alike, `...` for anything.

/// `...` alone on a line stands for any lines, within a line for any text.
pub(crate) fn matches(expected: &str, printed: &str) -> bool {
    let expected: Vec<String> = expected.lines().map(single_spaced).collect();
    let printed: Vec<String> = printed.lines().map(single_spaced).collect();
    lines_match(&trimmed(&expected), &trimmed(&printed))
}

/// Without empty lines at both ends.
fn trimmed(lines: &[String]) -> Vec<&str> {
    let start = lines.iter().take_while(|line| line.is_empty()).count();
    let end = lines.iter().rev().take_while(|line| line.is_empty()).count();
    lines.get(start..lines.len().saturating_sub(end)).unwrap_or_default().iter().map(String::as_str).collect()
}

fn single_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    wildcard(expected, printed, |line| *line == "...", |expected, line| line_matches(expected, line))
}

fn line_matches(expected: &str, line: &str) -> bool {
    let pattern: Vec<char> = expected.replace("...", "\u{0}").chars().collect();
    let text: Vec<char> = line.chars().collect();
    wildcard(&pattern, &text, |character| *character == '\u{0}', |expected, character| expected == character)
}

/// The usual greedy match with one step back: linear in practice, quadratic at worst.
fn wildcard<T>(
    pattern: &[T],
    text: &[T],
    is_any: impl Fn(&T) -> bool,
    same: impl Fn(&T, &T) -> bool,
) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while here < text.len() {
        if at < pattern.len() && is_any(&pattern[at]) {
            resume = Some((at + 1, here));
            at += 1;
        } else if at < pattern.len() && same(&pattern[at], &text[here]) {
            at += 1;
            here += 1;
        } else if let Some((after, taken)) = resume {
            resume = Some((after, taken + 1));
            (at, here) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(is_any)
}

#[test]
fn dots_stand_for_anything_and_blanks_are_alike() {
    for (expected, printed, same) in [
        ("a\n", "a", true),
        ("NAME READY\nx 2/2 ...\n", "NAME   READY\nx      2/2    Running  3s\n", true),
        ("...\nb\n...\n", "b\n", true),
        ("...\nb\n", "a\nab\nb\n", true),
        ("HTTP/1.1 200\n...\n", "HTTP/1.1 503\n", false),
        ("a ... c", "a b d", false),
        ("a", "a\nb", false),
        ("", "\n", true),
    ] {
        assert_eq!(matches(expected, printed), same, "{expected:?} {printed:?}");
    }
}
