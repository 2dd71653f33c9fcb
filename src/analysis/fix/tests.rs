//! What is fixed, that nothing else is touched, and that it stays fixed.

use proptest::prelude::*;

use super::{FileChange, plan};
use crate::input::{Input, load};
use crate::message::Message;

fn read(text: &str) -> Input {
    let mut input = Input { files_alone: true, ..Input::default() };
    let errors = load(&mut input, "f.yaml", text.to_owned(), "default");
    assert!(errors.is_empty(), "{errors:?}: {text}");
    input
}

fn planned(text: &str) -> (Option<FileChange>, Vec<Message>) {
    let input = read(text);
    let (mut changes, left) = plan(&input, &crate::analyze(&input), "default", &crate::analyze);
    assert!(changes.len() < 2);
    (changes.pop(), left)
}

/// The text after all fixes.
fn fixed(text: &str) -> String {
    planned(text).0.map_or_else(|| text.to_owned(), |change| change.after)
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {clusterIP: 10.0.0.1, selector: {app: reviews}, ports: [{name: http, port: 80}]}\n---\n";
const RULE: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\nspec:\n  host: reviews\n  subsets:\n  - name: blue\n    labels:\n      version: blue # the old one\n  # end\n---\n";

fn route(destination: &str) -> String {
    format!(
        "{SERVICE}{RULE}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [reviews]\n  http:\n  # first\n  - \
         route:\n    - destination: {destination} # why\n"
    )
}

#[test]
fn names_with_one_near_match() {
    for (wrong, right) in [
        ("{host: reveiws}", "{host: reviews}"),
        ("{host: \"reveiws.default.svc.cluster.local\"}", "{host: \"reviews.default.svc.cluster.local\"}"),
        ("{host: reviews.default}", "{host: reviews.default.svc.cluster.local}"),
        ("{host: 'reviews.default.svc'}", "{host: 'reviews.default.svc.cluster.local'}"),
        ("{host: reviews, subset: 'bleu'}", "{host: reviews, subset: 'blue'}"),
    ] {
        assert_eq!(fixed(&route(wrong)), route(right));
    }
    for left_alone in ["{host: basket}", "{host: reviews, subset: green}"] {
        assert_eq!(fixed(&route(left_alone)), route(left_alone));
    }
}

#[test]
fn names_in_blocks() {
    let of = |value: &str| {
        format!(
            "{SERVICE}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a.com]\n  http:\n  - route:\n    - destination:\n        host: {value}\n      weight: 1\n"
        )
    };
    for (wrong, right) in [
        (">-\n          reveiws", ">-\n          reviews"),
        ("|-\n          reveiws\n", "|-\n          reviews\n"),
        ("|\n          reveiws", "reviews"),
    ] {
        assert_eq!(fixed(&of(wrong)), of(right));
    }
    for left_alone in [">-\n          reveiws\n          now", "|+\n          reveiws\n\n"] {
        assert_eq!(fixed(&of(left_alone)), of(left_alone));
    }
}

#[test]
fn subsets_of_json() {
    let list = |rule: &str| {
        format!(
            "{SERVICE}{{\"apiVersion\": \"networking.istio.io/v1\", \"kind\": \"VirtualService\", \"metadata\": {{\"name\": \"r\"}}, \"spec\": {{\"hosts\": [\"reviews\"], \"http\": [\
             {{\"route\": [{{\"destination\": {{\"host\": \"reviews\", \"subset\": \"v2\"}}}}]}}]}}}}\n---\n{{\"apiVersion\": \"networking.istio.io/v1\", \"kind\": \"DestinationRule\", \
             \"metadata\": {{\"name\": \"r\"}}, \"spec\": {{\"host\": \"reviews\", \"subsets\": [{rule}]}}}}\n"
        )
    };
    let (one, other) =
        (r#"{"name": "v1", "labels": {"version": "v1"}}"#, r#"{"name": "v2", "labels": {"version": "v2"}}"#);
    assert_eq!(fixed(&list(one)), list(&format!("{one}, {other}")));
}

#[test]
fn a_route_keeps_one_of_its_conditions() {
    let of = |conditions: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a.com]\n  http:\n  - match:\n    \
             - uri: {{prefix: /a}}\n    - uri: {{prefix: /b}}\n    redirect: {{uri: /c}}\n  - match:\n{conditions}    redirect: {{uri: /d}}\n"
        )
    };
    let all = of("    - uri: {prefix: /a}\n    - uri: {prefix: /b}\n");
    assert_eq!(fixed(&all), all);
    let some = of("    - uri: {prefix: /a}\n    - uri: {prefix: /x}\n");
    assert_eq!(fixed(&some), of("    - uri: {prefix: /x}\n"));
}

#[test]
fn a_subset_that_pods_are_there_for_is_defined() {
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: reviews, version: green}}\nspec: {containers: [{name: app}]}\n";
    let text = format!("{}{pod}", route("{host: reviews, subset: green}"));
    let with_subset = text.replace(
        "      version: blue # the old one\n",
        "      version: blue # the old one\n  - name: green\n    labels:\n      version: green\n",
    );
    assert_eq!(fixed(&text), with_subset);
}

#[test]
fn a_subset_is_defined_by_convention_where_no_workload_says_otherwise() {
    let rule = |subsets: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r}}\nspec: {{host: reviews, subsets: [{subsets}]}}\n---\n"
        )
    };
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\nspec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v2}}]}]}\n";
    let (one, two) = ("{name: v1, labels: {version: v1}}", "{name: v2, labels: {version: v2}}");
    assert_eq!(fixed(&(rule(one) + route)), rule(&format!("{one}, {two}")) + route);
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: reviews, version: v1}}\nspec: {containers: [{name: app}]}\n";
    for left_alone in [
        format!("{SERVICE}{}{route}{pod}", rule(one)),
        rule("{name: v1, labels: {track: v1}}") + route,
        rule("") + route,
    ] {
        assert_eq!(fixed(&left_alone), left_alone);
    }
}

#[test]
fn ports_fields_and_words_with_one_answer() {
    let port = |number: u16| route(&format!("{{host: reviews, port: {{number: {number}}}}}"));
    assert_eq!(fixed(&port(8080)), port(80));
    let rule = |field: &str, word: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r}}\nspec:\n  host: a.io\n  trafficPolicy:\n    {field}: # balanced\n      simple: {word}\n"
        )
    };
    assert_eq!(fixed(&rule("loadBalancr", "RANDOM")), rule("loadBalancer", "RANDOM"));
    assert_eq!(fixed(&rule("loadBalancer", "'ROUNDROBIN'")), rule("loadBalancer", "'ROUND_ROBIN'"));
    assert_eq!(fixed(&rule("loadBalancer", "QUICKEST")), rule("loadBalancer", "QUICKEST"));
}

#[test]
fn selectors_with_one_near_label() {
    let policy = |app: &str, version: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: reviews, version: v1}}}}\nspec: {{containers: [{{name: app}}]}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: q, labels: {{app: review, version: v2}}}}\nspec: {{containers: [{{name: app}}]}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec:\n  selector:\n    matchLabels:\n      app: {app} # theirs\n{version}"
        )
    };
    assert_eq!(fixed(&policy("'reviewss'", "")), policy("'reviews'", ""));
    let other = policy("reviews", "      version: v9\n");
    assert_eq!(fixed(&other), other, "the other label is the wrong one");
}

#[test]
fn what_stands_there_twice_goes_once() {
    let service = |routes: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [a.io]\n  http:\n{routes}"
        )
    };
    let route = |prefix: &str| {
        format!("  - match: [{{uri: {{prefix: {prefix}}}}}]\n    redirect: {{uri: /}} # there\n")
    };
    assert_eq!(
        fixed(&service(&(route("/a") + &route("/a") + &route("/b")))),
        service(&(route("/a") + &route("/b")))
    );
    let other = service(&(route("/a") + &route("/a").replace("uri: /}", "uri: /x}")));
    assert_eq!(fixed(&other), other, "which of the two was meant?");
    let hosts = service(&route("/")).replace("[a.io]", "[a.io, b.io, a.io]");
    assert_eq!(fixed(&hosts), hosts.replace("b.io, a.io]", "b.io]"));
}

#[test]
fn what_is_deprecated_or_ignored() {
    let pod = |metadata: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n{metadata}spec: {{containers: [{{name: app}}]}}\n"
        )
    };
    assert_eq!(
        fixed(&pod("  annotations:\n    sidecar.istio.io/inject: 'false'\n  labels:\n    app: x # why\n")),
        pod("  labels:\n    app: x # why\n    sidecar.istio.io/inject: \"false\"\n")
    );
    assert_eq!(
        fixed(&pod("  annotations:\n    a: b\n    sidecar.istio.io/injct: \"true\"\n")),
        pod("  labels:\n    sidecar.istio.io/inject: \"true\"\n  annotations:\n    a: b\n"),
        "a wrong name is corrected, and then the annotation is a label"
    );
    let sidecar = |policy: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: s}}\nspec:\n  egress: [{{hosts: ['./*']}}]\n  outboundTrafficPolicy:\n    mode: ALLOW_ANY\n{policy}"
        )
    };
    assert_eq!(
        fixed(&sidecar("    egressProxy:\n      host: a.io\n      port: {number: 80}\n")),
        sidecar("")
    );
}

#[test]
fn labels_protocols_and_duplicates() {
    let namespace = |metadata: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata:{metadata}\n");
    let block = namespace("\n  name: shop # ours");
    assert_eq!(fixed(&block), namespace("\n  name: shop # ours\n  labels:\n    istio-injection: enabled"));
    let labelled = namespace("\n  labels:\n    team: a\n  name: shop");
    assert_eq!(
        fixed(&labelled),
        namespace("\n  labels:\n    team: a\n    istio-injection: enabled\n  name: shop")
    );
    let flow = namespace(" {name: shop}");
    assert_eq!(fixed(&flow), namespace(" {name: shop, labels: {istio-injection: enabled}}"));
    let empty = namespace("\n  labels: {} # none\n  name: shop");
    assert_eq!(fixed(&empty), empty.replace("{}", "{istio-injection: enabled}"));
    let windows = block.replace('\n', "\r\n");
    assert_eq!(fixed(&windows), fixed(&block).replace('\n', "\r\n"));

    let service = |port: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec:\n  ports:\n  - {port}\n")
    };
    assert_eq!(
        fixed(&service("name: httpweb\n    port: 8080")),
        service("name: httpweb\n    appProtocol: http\n    port: 8080")
    );
    assert_eq!(
        fixed(&service("{port: 1, name: api-grpc}")),
        service("{port: 1, name: api-grpc, appProtocol: grpc}")
    );
    assert_eq!(fixed(&service("{port: 1, name: web}")), service("{port: 1, name: web}"));
}

#[test]
fn annotations_and_labels_that_contradict() {
    let pod = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    {name}: \"200m\" # much\nspec: {{containers: [{{name: app}}]}}\n"
        )
    };
    assert_eq!(fixed(&pod("sidecar.istio.io/proxyCpuu")), pod("sidecar.istio.io/proxyCPU"));
    let both = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels:\n    istio-injection: enabled\n    istio.io/rev: canary # next\n";
    assert_eq!(fixed(both), both.replace("    istio.io/rev: canary # next\n", ""));
}

#[test]
fn json_stays_json() {
    let mut input = Input::default();
    let text = "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"shop\"}}\n";
    assert!(load(&mut input, "n.json", text.to_owned(), "default").is_empty());
    let (changes, left) = plan(&input, &crate::analyze(&input), "default", &crate::analyze);
    let after = &changes[0].after;
    assert!(left.is_empty(), "{left:?}");
    let value: serde_json::Value = serde_json::from_str(after).expect("JSON");
    assert_eq!(value["metadata"]["labels"]["istio-injection"], "enabled");
}

/// A VirtualService with a mistake, in one of many layouts.
/// Of fixes that do harm together each is tried alone, and every change moves what stands below it. An object that is read only after a fix
/// is judged then: a name that brings worse to light stays wrong.
#[test]
fn fixes_one_by_one_find_their_places_anew() {
    let rest = "name: default, namespace: shop}, spec: {mtls: {mode: STRICT}}}\n---\n";
    let harmful = "{apiVersion: networking.istio.io/v1, kind: VirtualService, ~metadata: {name: w, namespace: legacy}, spec: {hosts: [cart.shop.svc.cluster.local], \
        http: [{match: [{headers: {'@request.auth.claims.a': {exact: b}}}], route: [{destination: {host: cart.shop}}]}]}}\n---\n";
    let text = |first: &str, second: &str| {
        format!(
            "{{apiVersion: security.istio.io/v1, kind: PeerAuthentication, {first}: {{{rest}{harmful}\
             {{apiVersion: telemetry.istio.io/v1, kind: Telemetry, {second}: {{name: t, namespace: shop}}, spec: {{}}}}\n"
        )
    };
    assert_eq!(fixed(&text("~metadata", "é\u{301} metadata")), text("metadata", "metadata"));
}

fn layout() -> impl Strategy<Value = String> {
    let host = prop::sample::select(&["reviews", "reveiws", "reviewss", "\"reviwes\"", "ratings"][..]);
    let subset = prop::sample::select(
        &["", ", subset: blue", ", subset: bleu", ", subset: 'blu'", ", subset: zzz"][..],
    );
    let noise = prop::sample::select(&["", "  # a comment", "\n    # own line", "   "][..]);
    (prop::collection::vec((host, subset, noise, any::<bool>()), 1..4), any::<bool>()).prop_map(|(routes, windows)| {
        let mut text = format!("# head\n{SERVICE}{RULE}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: r\nspec:\n  hosts:\n  - x.com\n  http:\n");
        for (index, (host, subset, noise, block)) in routes.iter().enumerate() {
            text.push_str(&format!("  - match: [{{uri: {{prefix: /{index}}}}}]{noise}\n    route:\n"));
            if *block {
                let subset = subset.replace(", ", "\n        ");
                text.push_str(&format!("    - destination:\n        host: {host}{subset}{noise}\n"));
            } else {
                text.push_str(&format!("    - destination: {{host: {host}{subset}}}{noise}\n"));
            }
        }
        if windows { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn fixing_is_idempotent_and_touches_what_was_reported(text in layout()) {
        let before = crate::analyze(&read(&text));
        let (change, left) = planned(&text);
        let Some(change) = change else { return Ok(()) };
        let input = read(&change.after);
        prop_assert_eq!(&crate::analyze(&input), &left);
        prop_assert!(left.len() < before.len(), "{}", change.after);
        prop_assert_eq!(fixed(&change.after), change.after.clone());
        // Every line that differs is one that a fix names.
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (old, new) = (lines(&text), lines(&change.after));
        prop_assert_eq!(old.len(), new.len());
        let changed = old.iter().zip(&new).filter(|(old, new)| old != new).count();
        prop_assert!(changed <= change.fixes.len());
    }
}
