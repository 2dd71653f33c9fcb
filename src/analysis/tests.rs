//! Whatever a file holds, analysis ends, and points into the file.

use proptest::prelude::*;

use crate::incremental::STATES;
use crate::input::{Input, load};
use crate::message::Message;

/// A few objects with some pieces of text exchanged for odd ones.
fn odd() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "",
        " ",
        "\n",
        "\r\n",
        "---\n",
        "\t",
        "null",
        "~",
        "-1",
        "99999999999999999999",
        "1e400",
        ".nan",
        "[]",
        "{}",
        "''",
        "\"\"",
        "*",
        "'*.'",
        ".",
        "/",
        "é\u{301}",
        "\u{feff}",
        "\u{1f600}",
        "&a ",
        "*a",
        "!!str ",
        "|",
        "{a: [b",
        "a: b",
        "%",
        "#",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..6usize, pieces);
    let documents = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    (documents, prop::collection::vec(edit, 0..4)).prop_map(|(documents, edits)| {
        let states: Vec<&str> = STATES.lines().filter(|line| !line.is_empty()).collect();
        let documents: Vec<&str> = documents.iter().map(|at| states[at.index(states.len())]).collect();
        let mut text: Vec<char> = documents.join("\n---\n").chars().collect();
        for (at, length, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_finding_about_any_text_points_into_it(text in odd()) {
        let mut input = Input { files_alone: true, ..Input::default() };
        let errors = load(&mut input, "f.yaml", text.clone(), "default");
        let lines = text.split('\n').count();
        for error in errors {
            prop_assert!((1..=lines).contains(&error.line) && error.column > 0, "{error}");
        }
        let messages = crate::analyze(&input);
        let all: Vec<&Message> = messages.iter().collect();
        for (message, place) in messages.iter().zip(input.locations(&all)) {
            let Some(place) = place else { continue };
            prop_assert!(text.get(place.range.clone()).is_some(), "{message:?} {place:?}");
            prop_assert!((1..=lines).contains(&place.line) && place.column > 0, "{message:?} {place:?}");
            prop_assert_eq!(Some(place), input.location(message));
        }
        crate::validate(&input);
        crate::fix::plan(&input, &messages, "default", &crate::analyze);
    }
}
