//! The quick reader against a YAML library: where it answers at all, it answers the same.

use proptest::prelude::*;
use serde_json::Value;

use super::{Arena, Content, Entry, Node, events, quick, seek, tree};
use crate::path::FieldPath;

fn library(text: &str) -> Result<Value, String> {
    sagene_api::yaml::value(text).map_err(|error| error.to_string())
}

/// Compares what the quick reader makes of a text; true where it made something.
fn agrees(text: &str) -> Result<bool, TestCaseError> {
    let arena = Arena::new();
    let Some(node) = quick(text, 0..text.len(), &arena) else { return Ok(false) };
    check_spans(&node, text)?;
    if node.repeats().is_empty() {
        is_sought(&node, &FieldPath::default(), text)?;
    }
    if let Some(value) = node.to_value() {
        match library(text) {
            Ok(expected) => prop_assert_eq!(&value, &expected, "{}", text),
            Err(error) => return Err(TestCaseError::fail(format!("{error}: quick {value} of {text:?}"))),
        }
    }
    if let Some(complete) = events::tree(text, 0..text.len(), &arena) {
        same_scalars(&node, &complete, text)?;
    }
    Ok(true)
}

fn check_spans(node: &Node<'_>, text: &str) -> Result<(), TestCaseError> {
    prop_assert!(text.get(node.span.clone()).is_some(), "{:?} of {text:?}", node.span);
    match &node.content {
        Content::Map(entries) => {
            for entry in *entries {
                prop_assert!(text.get(entry.place.clone()).is_some());
                check_spans(&entry.value, text)?;
            }
        }
        Content::List(items) => {
            for item in *items {
                check_spans(item, text)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Every field that is found without the tree is where the tree says; fields that are not there are not found.
fn is_sought(node: &Node<'_>, path: &FieldPath, text: &str) -> Result<(), TestCaseError> {
    for missing in [path.key("zz"), path.index(9).key("a"), path.key("zz").key("a")] {
        prop_assert_eq!(seek(text, 0..text.len(), &missing), None, "{} of {:?}", missing, text);
    }
    match &node.content {
        Content::Map(entries) => {
            for Entry { key, place, value } in *entries {
                let path = path.key(key);
                if let Some(found) = seek(text, 0..text.len(), &path) {
                    let is_plain = matches!(value.content, Content::Plain(_));
                    let expected = if is_plain { &value.span } else { place };
                    prop_assert_eq!(&found, expected, "{} of {:?}", path, text);
                }
                is_sought(value, &path, text)?;
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                is_sought(item, &path.index(index), text)?;
            }
        }
        _ => prop_assert_eq!(seek(text, 0..text.len(), &path.key("a")), None, "{} of {:?}", path, text),
    }
    Ok(())
}

fn same_scalars(one: &Node<'_>, other: &Node<'_>, text: &str) -> Result<(), TestCaseError> {
    match (&one.content, &other.content) {
        (Content::Map(left), Content::Map(right)) => {
            prop_assert_eq!(left.len(), right.len(), "{}", text);
            for (left, right) in left.iter().zip(*right) {
                prop_assert_eq!(&left.key, &right.key);
                prop_assert_eq!(left.place.start, right.place.start, "{:?}", text);
                same_scalars(&left.value, &right.value, text)?;
            }
        }
        (Content::List(left), Content::List(right)) => {
            prop_assert_eq!(left.len(), right.len(), "{}", text);
            for (left, right) in left.iter().zip(*right) {
                same_scalars(left, right, text)?;
            }
        }
        (Content::Plain(_) | Content::Text(_), _) if text[one.span.clone()].starts_with('|') => {}
        (Content::Plain(_) | Content::Text(_), Content::Text(_)) => {
            prop_assert_eq!(&one.span, &other.span, "{:?}", text);
        }
        _ => {}
    }
    Ok(())
}

const SCALARS: &[&str] = &[
    "a",
    "true",
    "null",
    "~",
    "10",
    "-1",
    "0.5",
    "1.2.3.4",
    "10s",
    "10.0.0.0/8",
    "'it''s'",
    "\"x\\n\\\"y\\u00e9\"",
    "http://a:80/?x#y",
    "\"80\"",
    "a b",
    "*",
    "&a b",
    "*a",
    "!x y",
    "007",
    "1e3",
    ".5",
    "0x1f",
    "yes",
    "é",
    "-",
    "- x",
    "a: b",
    "a #c",
    "''",
    "\"\"",
    "{}",
    "[]",
    "[a, 'b', {c: d}]",
    "{a: 1, \"b\": [x], c: }",
    "|\n",
    "?",
    "2001-01-01",
    "a:b",
    "@x",
    "%x",
    "-x",
    "+1",
    "infinity",
    ".inf",
    "=",
];

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(SCALARS).prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
    ]
}

/// A block of YAML without its indentation.
fn block(depth: u32) -> BoxedStrategy<Vec<String>> {
    let leaf = scalar().prop_map(|text| text.split('\n').map(str::to_owned).collect::<Vec<_>>());
    if depth == 0 {
        return leaf.boxed();
    }
    let literal = prop::collection::vec("[ -~]{0,8}", 1..4);
    let key =
        prop::sample::select(&["a", "b-c", "d.e/f", "\"q\"", "'s'", "80", "k:v", "<<", "x y", "true"][..]);
    let entry = (key, block(depth - 1), 0..6usize, literal).prop_map(|(key, value, style, literal)| {
        let mut lines = Vec::new();
        match style {
            0 | 1 if value.len() == 1 => lines.push(format!("{key}: {}", value[0])),
            2 => {
                lines.push(format!("{key}: |"));
                lines.extend(literal.iter().map(|line| format!("  {line}")));
            }
            3 => {
                lines.push(format!("{key}: |- # c"));
                lines.extend(literal.iter().map(|line| format!("   {line}")));
            }
            4 => {
                lines.push(format!("{key}:"));
                lines.extend(value);
            }
            _ => {
                lines.push(format!("{key}: # c"));
                lines.extend(value.iter().map(|line| format!("  {line}")));
            }
        }
        lines
    });
    let map = prop::collection::vec(entry, 1..4).prop_map(|entries| entries.concat());
    let item = block(depth - 1).prop_map(|value| {
        let mut lines = Vec::new();
        for (index, line) in value.iter().enumerate() {
            lines.push(if index == 0 { format!("- {line}") } else { format!("  {line}") });
        }
        lines
    });
    let list = prop::collection::vec(item, 1..4).prop_map(|items| items.concat());
    prop_oneof![2 => map, 1 => list, 1 => leaf].boxed()
}

/// Text with a few characters exchanged.
fn mutated() -> impl Strategy<Value = String> {
    let marks: Vec<&str> = vec![
        " ", "\n", ":", "-", "#", "\"", "'", "{", "}", "[", "]", ",", "\t", "\r", "|", "  ", "\u{feff}", "é",
        "\u{85}",
    ];
    let edit = (any::<prop::sample::Index>(), prop::sample::select(marks), any::<bool>());
    (block(3), prop::collection::vec(edit, 0..3), any::<bool>()).prop_map(|(lines, edits, ended)| {
        let mut text: Vec<char> = lines.join("\n").chars().collect();
        for (at, mark, replace) in edits {
            let at = at.index(text.len() + 1);
            let end = if replace { (at + 1).min(text.len()) } else { at };
            text.splice(at..end, mark.chars());
        }
        let mut text: String = text.into_iter().collect();
        if ended {
            text.push('\n');
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn answers_as_the_library_does(text in mutated()) {
        agrees(&text)?;
    }

    #[test]
    fn never_panics(text in "\\PC{0,40}", range in (0..20usize, 0..60usize)) {
        let end = range.1.min(text.len()).max(range.0.min(text.len()));
        let start = range.0.min(text.len());
        if text.is_char_boundary(start)
            && text.is_char_boundary(end)
            && let Some(node) = tree(&text, start..end, &Arena::new())
        {
            check_spans(&node, &text)?;
        }
    }
}

#[test]
fn ordinary_configuration_is_read_quickly() {
    for text in [
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a # why\n  labels: {app: a, \"x\": 'y'}\nspec:\n  ports:\n  - port: 80\n    name: http\n\n  # more\n  - {port: 443}\n",
        "{\n\t\"a\": [1, -2, 0.5, true, null, \"b\\tc\"],\r\n \"b\":{}}\n",
        "a: |\n  function f()\n    -- x\n\n  end\nb: |-\n  x\n",
        "- a: b\n  c:\n  - d\n  -\n    e: f\n-\n- - 1\n  - 2\n",
        "f:metadata: {}\nk:{\"a\":\"b\"}:\n  .: {}\n",
    ] {
        assert!(agrees(text).expect(text), "{text}");
    }
}

#[test]
fn fields_of_ordinary_configuration_are_found_without_its_tree() {
    let text = "# head\nkind: A\nspec:\n  hosts:\n  - one\n  http:\n  - match:\n    - x: y\n\n  # why\n    route:\n    - a: 1 # c\n      b:\n  -\n    d: |\n      b: 2\n    c: 3  \n";
    for (path, shown) in [
        ("kind", "A"),
        ("spec", "spec"),
        ("spec.http", "http"),
        ("spec.http[0].match[0].x", "y"),
        ("spec.http[0].route", "route"),
        ("spec.http[0].route[0].a", "1"),
        ("spec.http[0].route[0].b", "b"),
        ("spec.http[1].c", "3"),
    ] {
        let found = seek(text, 0..text.len(), &FieldPath::parse(path));
        assert_eq!(found.map(|range| &text[range]), Some(shown), "{path}");
    }
    for path in
        ["", "spec.hosts[0]", "spec.hosts.http", "spec.http[1].b", "spec.http[1].d", "spec.http[2].c", "c"]
    {
        assert_eq!(seek(text, 0..text.len(), &FieldPath::parse(path)), None, "{path}");
    }
}
