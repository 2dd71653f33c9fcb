//! What is told of YAML as it was written: where a key is set twice, and what is no YAML.

use super::*;

/// Findings of reading and documents that cannot be read, each with its place.
fn told(name: &str, text: &str) -> Vec<String> {
    let mut input = Input::default();
    let errors = load(&mut input, name, text.to_owned(), "default");
    let mut told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for problem in &input.problems {
        let place =
            input.location(problem).map_or_else(String::new, |it| format!("{}:{}", it.line, it.column));
        let words = problem.text.strip_prefix("Schema validation error: ").unwrap_or(&problem.text);
        told.push(format!("{place} {words}"));
    }
    told
}

const HEAD: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n";

#[test]
fn a_key_that_is_set_again_is_told_with_both_lines() {
    let again = |path: &str, key: &str, line: usize| {
        format!("{path}: key {key:?} is set again, first on line {line}; remove one of them")
    };
    let block = format!("{HEAD}spec:\n  selector: {{a: b}}\n  servers: []\n  selector: {{a: c}}\n");
    assert_eq!(told("f.yaml", &block), [format!("7:3 {}", again("spec.selector", "selector", 5))]);
    assert_eq!(
        told("f.yaml", &block.replace('\n', "\r\n")),
        [format!("7:3 {}", again("spec.selector", "selector", 5))],
        "lines of Windows"
    );
    let flow = format!("# comment\n---\n{HEAD}spec: {{selector: {{a: b, a: c}}}}\n");
    assert_eq!(told("f.yaml", &flow), [format!("6:28 {}", again("spec.selector.a", "a", 6))]);
    let json = "{\"apiVersion\": \"v1\", \"kind\": \"Service\",\n \"metadata\": {\"name\": \"s\"},\n \"kind\": \"Service\"}";
    assert_eq!(told("f.json", json), [format!("3:10 {}", again("kind", "kind", 1))]);
    let item = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: s\n    name: t\n";
    assert_eq!(told("f.yaml", item), [format!("8:11 {}", again("metadata.name", "name", 7))]);
    assert_eq!(told("f.json", "{\"kind\": Gateway}"), ["f.json:1:10: expected value"]);
    // Only the complete reader knows a folded text.
    let folded = item.replace("kind: Secret\n", "kind: Secret\n  type: >-\n    a\n    b\n");
    assert_eq!(told("f.yaml", &folded), [format!("11:11 {}", again("metadata.name", "name", 10))]);
}

#[test]
fn a_list_tells_of_its_own_keys_and_of_what_its_items_are() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}}\nitems: []\n";
    let words = "key \"items\" is set again, first on line 3; remove one of them";
    assert_eq!(told("f.yaml", list), [format!("f.yaml:5:1: {words}")]);
    let folded = format!("{list}x: >-\n  a\n  b\n");
    assert_eq!(told("f.yaml", &folded), [format!("f.yaml:5:1: {words}")], "read by the complete reader");
    let mut input = Input::default();
    let services = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: s}\n";
    assert!(load(&mut input, "f.yaml", services.to_owned(), "default").is_empty());
    assert!(input.snapshot.services.get("default", "s").is_some());
}

#[test]
fn a_label_without_value_is_empty() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    a:\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: \
                {template: {metadata: {annotations: {a: null}}}}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, annotations: {a: }}\n";
    assert_eq!(told("f.yaml", text), Vec::<String>::new());
    let mut input = Input::default();
    load(&mut input, "f.yaml", text.to_owned(), "default");
    let pod = input.snapshot.pods.get("default", "p").expect("a pod");
    assert_eq!(pod.metadata.labels.get("a").map(String::as_str), Some(""));
}

#[test]
fn an_object_counts_once_however_often_it_is_told() {
    let mut input = Input::default();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {}\n";
    input.insert_live(
        serde_yaml::from_str(&service.replace("name: s", "name: s, namespace: default")).expect("YAML"),
    );
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n";
    let text = format!("{service}---\n{service}---\n{job}");
    for file in ["f.yaml", "g.yaml"] {
        assert!(load(&mut input, file, text.clone(), "default").is_empty());
    }
    assert_eq!(
        input.counts.iter().map(|(kind, count)| (kind.as_str(), *count)).collect::<Vec<_>>(),
        [("Job", 1), ("Service", 1)]
    );
}

#[test]
fn what_is_not_set_again_is_left_alone() {
    for text in [
        format!("{HEAD}spec: {{selector: {{a: b}}}}\n---\n{HEAD}").replace("{name: g}\nspec", "{name: h}\nspec"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: &a x\n  b: *a\n".to_owned(),
        "apiVersion: v1\nkind: Service\nmetadata: &m\n  name: c\nspec:\n  selector:\n    <<: *m\n    name: d\n".to_owned(),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: |\n    x: 1\n    x: 2\n".to_owned(),
        "# nothing\n---\n---\n\n".to_owned(),
    ] {
        assert_eq!(told("f.yaml", &text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn one_bad_document_leaves_the_others_their_findings() {
    let text = format!(
        "{HEAD}spc: {{}}\n---\na: [\n---\n{HEAD}\tspec: {{}}\n---\nkind: Gateway\n---\n{HEAD}spec: {{selctor: {{}}}}\n"
    );
    let text = text.replacen("{name: g}", "{name: f}", 1);
    let found = told("f.yaml", &text);
    assert_eq!(found.len(), 5, "{found:#?}");
    for (part, line) in found.iter().zip(["f.yaml:6:", "f.yaml:11:1: ", "f.yaml:13:1: ", "4:1 ", "18:8 "]) {
        assert!(part.starts_with(line), "{line} {found:#?}");
    }
    assert!(found[1].contains("not with tabs") && found[2].contains("apiVersion must be set"), "{found:#?}");
    assert!(found[3].contains("\"spec\"?") && found[4].contains("\"selector\"?"), "{found:#?}");
}

#[test]
fn every_document_is_judged_where_several_tell_the_same_object() {
    let text = format!(
        "{HEAD}spec: {{servers: [], selctor: {{}}}}\n---\n{HEAD}spec: {{servers: [{{hosts: [a.b], port: {{number: 80, name: a, protocol: HTTP}}}}]}}\n"
    );
    assert_eq!(
        told("f.yaml", &text),
        [
            "4:21 spec.selctor: unknown field \"selctor\"; did you mean \"selector\"?",
            "4:1 spec: gateway must have at least one server"
        ]
    );
}
