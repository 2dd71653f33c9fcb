//! Expressions as rules of CustomResourceDefinitions use them.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn eval(text: &str, value: &Json) -> Result<bool, String> {
    let program =
        Program::compile(text, &["self", "oldSelf"]).map_err(|error| format!("compile: {error}"))?;
    program.is_true(&[("self", Binding::Value(value))]).map_err(|error| error.to_string())
}

fn holds(text: &str, value: Json) {
    assert_eq!(eval(text, &value), Ok(true), "{text} on {value}");
}

fn fails(text: &str, value: Json) {
    assert_eq!(eval(text, &value), Ok(false), "{text} on {value}");
}

#[test]
fn rules_of_definitions() {
    holds("self.replicas <= self.max", json!({"replicas": 2, "max": 3}));
    fails("!(has(self.a) && has(self.b))", json!({"a": 1, "b": {}}));
    holds("has(self.a) ? self.a > 1 : true", json!({}));
    holds("(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) <= 1", json!({"a": null, "b": 1}));
    holds("self.all(x, self.exists_one(y, x.n == y.n))", json!([{"n": 1}, {"n": 2}]));
    fails("self.all(x, self.exists_one(y, x.n == y.n))", json!([{"n": 1}, {"n": 1}]));
    holds("self.filter(f, f.type == 'A').size() <= 1 && 'x' in ['x', 'y']", json!([{"type": "A"}]));
    holds("duration(self) >= duration('1ms') && duration('1h') > duration('59m')", json!("1ms"));
    fails("duration(self) >= duration('1ms')", json!("0.5ms"));
    holds(r#"self.all(key, key.matches(r"""^[a-z]\.[a-z]$"""))"#, json!({"a.b": 1}));
    holds("self.startsWith('unix://') ? self.substring(7, 8) == '/' : true", json!("unix:///a"));
    holds("self.__namespace__ == 'n' && self.a__dash__b == 1", json!({"namespace": "n", "a-b": 1}));
    holds("url(self).getScheme() in ['http'] && url(self).getPort() == '80'", json!("http://a.b:80/c?d=e"));
    holds("isURL('http://' + self) && !isURL(self)", json!("a.b/c"));
    holds(
        "!isURL('http://%') && !isURL('http://a/%zz') && isURL('http://a/%20') && !isURL('http://{}') && isURL('http://[::1]:80/')",
        json!(1),
    );
    holds("isIP(self) && cidr('10.0.0.0/8').containsIP(ip(self))", json!("10.1.2.3"));
    holds("quantity(self).isLessThan(quantity('1Gi'))", json!("512Mi"));
    holds("self.?a.?b.orValue(5) == 5 && self[?'c'].hasValue()", json!({"c": 1}));
    holds("self.map(x, x > 1, x * 2) == [4, 6]", json!([1, 2, 3]));
    holds("self.split('/')[0].size() < 3 && 1.5 > 1 && size({'a': 1}) == 1", json!("ab/c"));
    holds("self.all(k, v, v > 0)", json!({"a": 1}));
}

#[test]
fn what_is_not_there_is_an_error_unless_settled_otherwise() {
    assert!(eval("self.a == 1", &json!({})).unwrap_err().contains("no such key: a"));
    holds("self.a == 1 || true", json!({}));
    fails("false && self.a == 1", json!({}));
    assert!(eval("self / 0 == 1", &json!(1)).is_err());
    assert!(eval("self + 9223372036854775807 == 1", &json!(1)).is_err());
    assert!(eval("oldSelf == self", &json!(1)).is_err());
}

#[test]
fn mistakes_are_found_when_compiled() {
    for (text, word) in [
        ("self.foo(", "ends too early"),
        ("other.x == 1", "undeclared reference to 'other'"),
        ("self.frobnicate()", "undeclared reference to 'frobnicate'"),
        ("self.startsWith()", "does not take"),
        ("has(self)", "has() takes a field"),
        ("self.matches('(')", "no regular expression"),
        ("'abc", "no end"),
        (&"(".repeat(5000), "nested too deeply"),
        (&"!".repeat(5000), "nested too deeply"),
        (&format!("1{}", "+1".repeat(5000)), "nested too deeply"),
    ] {
        let error = Program::compile(text, &["self"]).unwrap_err().to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn work_is_bounded() {
    let list: Json = (0..3000).collect();
    let error = eval("self.all(a, self.all(b, self.all(c, a + b + c > 0 || true)))", &list).unwrap_err();
    assert!(error.contains("too many steps"), "{error}");
}

#[test]
fn form_alone() {
    assert!(check_syntax("response.code >= 400 && any.thing(1, 'a') in {}").is_ok());
    assert!(check_syntax("response.code >=").is_err() && check_syntax("a b").is_err());
}

#[test]
fn which_variables_are_used() {
    let program = Program::compile("self.all(x, x in oldSelf)", &["self", "oldSelf"]).expect("a rule");
    assert!(program.uses("oldSelf") && !program.uses("x.y"));
}

proptest! {
    #[test]
    fn no_text_and_no_value_panics(text in "[a-z0-9().,?:+*/%<>=!&|\"'\\[\\]{} self\\-]{0,40}", number in any::<i64>(), word in ".{0,8}") {
        if let Ok(program) = Program::compile(&text, &["self", "s", "e"]) {
            let value = json!({"a": number, "b": [word], "c": null});
            let _ = program.is_true(&[("self", Binding::Value(&value)), ("s", Binding::Value(&value["b"])), ("e", Binding::Optional(None))]);
        }
    }
}
