//! Shapes of every sort, read from values and trees, written and described.

#![expect(unreachable_pub, reason = "the macros declare for everybody")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Shape, Source, read, to_value};
use crate::{Duration, Tree};

shape! {
    /// A shape
    /// of fields.
    pub struct Whole {
        /// Its name.
        #[shape(length(max = 9))]
        pub name: String,
        /// Parts.
        #[shape(extend("maxItems" = 2))]
        pub parts: Vec<Part>,
        /// By number.
        pub by_number: BTreeMap<u32, Part>,
        /// How long.
        pub time_limit: Option<Duration>,
        /// Which way.
        pub way: Way,
        /// Whether at all.
        #[shape(name = "isON")]
        pub is_on: Option<bool>,
        /// Everything else.
        #[shape(rest)]
        pub other: Map<String, Value>,
    }

    /// A part.
    pub struct Part {
        /// How much.
        #[shape(range(min = 1))]
        pub weight: u16,
        /// How far.
        pub offset: i32,
    }
}

string_enum! {
    /// A direction.
    pub enum Way {
        /// There.
        There = "THERE",
        /// Back.
        Back = "BACK",
    }
}

shape_with_defaults! {
    /// A shape with defaults.
    pub struct Preset {
        /// How often.
        pub times: u32 = 3,
        /// Whether.
        pub enabled: bool = true,
        /// For whom.
        pub names: Vec<String> = Vec::new(),
    }
}

/// Reads from a value and from a tree: both say the same.
fn whole(value: &Value) -> Result<Whole, (String, String)> {
    let arena = bumpalo::Bump::new();
    let tree = Tree::of(value, &arena);
    let told = |mistake: super::Mistake| (mistake.place(), mistake.words());
    let of_value = read::<Whole>(Source::Value(value.clone())).map_err(told);
    let of_tree = read::<Whole>(Source::Tree(&tree)).map_err(told);
    assert_eq!(of_value, of_tree);
    of_value
}

#[test]
fn what_is_read_is_written_again() {
    let written = json!({
        "name": "a", "parts": [{"weight": 7, "offset": -1}, {}], "byNumber": {"80": {"weight": 1}},
        "timeLimit": "1.500s", "way": "BACK", "isON": false, "more": [null, 1.5, true],
    });
    let read = whole(&written).expect("a shape");
    assert_eq!((read.parts[0].offset, read.by_number[&80].weight, read.way), (-1, 1, Way::Back));
    assert_eq!(read.other["more"][1], 1.5);
    assert_eq!(to_value(&read), written);
    assert_eq!(serde_json::from_value::<Whole>(written).expect("the same through serde"), read);
}

#[test]
fn absent_null_and_zero_mean_the_default_and_are_not_written() {
    let read = whole(&json!({"name": null, "parts": null, "way": "THERE", "isON": null})).expect("a shape");
    assert_eq!(read, Whole::default());
    assert_eq!(to_value(&read), json!({}));
}

#[test]
fn defaults_other_than_zero_stand_where_nothing_is_said_and_every_scalar_is_written() {
    let preset = read::<Preset>(Source::Value(json!({"times": 0}))).expect("a shape");
    assert_eq!(preset, Preset { times: 0, enabled: true, names: Vec::new() });
    assert_eq!(to_value(&preset), json!({"times": 0, "enabled": true}));
    assert!(!Preset::default().is_blank());
}

#[test]
fn numbers_may_stand_in_quotes() {
    assert_eq!(whole(&json!({"parts": [{"weight": "7"}]})).expect("a number").parts[0].weight, 7);
}

#[test]
fn what_does_not_fit_is_named_with_its_place() {
    for (value, place, words) in [
        (json!(7), "", "invalid type: integer `7`, expected struct Whole"),
        (json!({"name": 7}), "name", "invalid type: integer `7`, expected a string"),
        (json!({"parts": {}}), "parts", "invalid type: map, expected a sequence"),
        (json!({"parts": [{}, [1]]}), "parts[1]", "invalid type: sequence, expected struct Part"),
        (json!({"parts": [{"weight": "x"}]}), "parts[0].weight", "invalid type: string \"x\", expected u16"),
        (
            json!({"parts": [{"weight": 65536}]}),
            "parts[0].weight",
            "invalid value: integer `65536`, expected u16",
        ),
        (json!({"parts": [{"weight": -1}]}), "parts[0].weight", "invalid value: integer `-1`, expected u16"),
        (
            json!({"parts": [{"offset": 1.5}]}),
            "parts[0].offset",
            "invalid type: floating point `1.5`, expected i32",
        ),
        (json!({"byNumber": {"http": {}}}), "byNumber.http", "invalid type: string \"http\", expected u32"),
        (
            json!({"byNumber": {"1": true}}),
            "byNumber.1",
            "invalid type: boolean `true`, expected struct Part",
        ),
        (json!({"timeLimit": "soon"}), "timeLimit", "duration"),
        (json!({"way": "UP"}), "way", "unknown variant `UP`, expected `THERE` or `BACK`"),
        (json!({"isON": "yes"}), "isON", "invalid type: string \"yes\", expected a boolean"),
    ] {
        let (found, told) = whole(&value).expect_err("a mistake");
        assert_eq!(found, place, "{value}");
        assert!(told.contains(words), "{value}: {told}");
    }
}

#[test]
fn schemas_say_what_the_fields_are() {
    let schema = Whole::schema();
    assert_eq!(schema["description"], "A shape of fields.");
    let properties = &schema["properties"];
    assert_eq!(properties["name"], json!({"type": "string", "description": "Its name.", "maxLength": 9}));
    assert_eq!(properties["parts"]["maxItems"], 2);
    let weight = json!({
        "type": "integer", "description": "How much.", "minimum": 1, "maximum": 65535,
    });
    assert_eq!(properties["parts"]["items"]["properties"]["weight"], weight);
    assert_eq!(properties["byNumber"]["additionalProperties"]["description"], "A part.");
    assert_eq!(properties["way"]["enum"], json!(["THERE", "BACK"]));
    assert_eq!(properties["isON"]["type"], "boolean");
    assert!(properties.get("other").is_none());
}
