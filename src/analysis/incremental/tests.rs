//! What is kept up to date is what an analysis from scratch finds, whatever happened.

use proptest::prelude::*;

use super::*;
use crate::checks::ALL;

/// Objects that find fault with one another, a document each. Objects of the same name are states of one object.
pub(crate) const STATES: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}}
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled, istio.io/rev: canary}}}
{apiVersion: v1, kind: Namespace, metadata: {name: legacy}}
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{name: http, port: 80}]}}
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {selector: {app: cart}, ports: [{name: web, port: 80}, {port: 81, targetPort: 80}]}}
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop, annotations: {networking.istio.io/exportTo: .}}, spec: {selector: {app: edge}, ports: [{name: tcp, port: 22}]}}
{apiVersion: v1, kind: Service, metadata: {name: second, namespace: shop}, spec: {selector: {app: cart}, ports: [{name: tcp, port: 80}]}}
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: {app: cart, version: v1}}, spec: {containers: [{name: app}]}}
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: shop, labels: {app: cart, version: v2}}, spec: {containers: [{name: app, securityContext: {runAsUser: 1337}}, {name: istio-proxy}]}}
{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: legacy, labels: {app: edge}, annotations: {sidecar.istio.io/injekt: x}}, spec: {containers: [{name: app, image: auto, env: [{name: A, value: http://cart.shop}]}]}}
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: shop}, spec: {template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: app, image: auto}]}}}}
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {hosts: [cart], http: [{route: [{destination: {host: cart, subset: v1}}]}]}}
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {hosts: [cart], gateways: [g], http: [{timeout: 1s, retries: {attempts: 3, perTryTimeout: 1s}, match: [{uri: {prefix: x}}], route: [{destination: {host: basket}, weight: 90}, {destination: {host: cart}, weight: 5}]}]}}
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}, spec: {hosts: [cart], http: [{rout: []}]}}
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: shop}, spec: {hosts: [cart], http: 7}}
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: w, namespace: legacy, creationTimestamp: '2026-02-01T00:00:00Z'}, spec: {hosts: [cart.shop.svc.cluster.local], http: [{match: [{headers: {'@request.auth.claims.a': {exact: b}}}], route: [{destination: {host: cart.shop, port: {number: 80}}}]}]}}
{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: w, namespace: legacy, creationTimestamp: '2026-02-01T00:00:00Z'}, spec: {hosts: [shop.com], gateways: [shop/g], http: [{match: [{headers: {'@request.auth.claims.a': {exact: b}}}], route: [{destination: {host: cart.shop}}]}]}}
{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: shop}, spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}], trafficPolicy: {tls: {mode: DISABLE}}}}
{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: r, namespace: shop}, spec: {host: nowhere, trafficPolicy: {tls: {mode: SIMPLE}}}}
{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: s, namespace: shop}, spec: {host: cart, subsets: [{name: v1, labels: {version: v3}}], trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}}
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g, namespace: shop}, spec: {selector: {app: edge}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.com], tls: {mode: SIMPLE, credentialName: c}}]}}
{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: h, namespace: shop}, spec: {selector: {app: edge}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}]}}
{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: shop}, spec: {hosts: [basket], ports: [{number: 80, name: x, protocol: TCP}]}}
{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: f, namespace: legacy}, spec: {hosts: [basket], ports: [{number: 80, name: x, protocol: HTTP}]}}
{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: shop}, spec: {workloadSelector: {labels: {app: cart}}}}
{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: t, namespace: shop}, spec: {workloadSelector: {labels: {version: v1}}, outboundTrafficPolicy: {egressProxy: {host: a}}}}
{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: t, namespace: shop}, spec: {}}
{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: shop}, spec: {mtls: {mode: STRICT}}}
{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: shop}, spec: {mtls: {mode: DISABLE}}}
{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: j, namespace: shop}, spec: {selector: {matchLabels: {app: cart}}, jwtRules: [{issuer: i}]}}
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: shop}, spec: {selector: {matchLabels: {app: cart}}, action: DENY, rules: [{from: [{source: {namespaces: [legacy, nowhere]}}], to: [{operation: {hosts: [x.com], methods: [get], ports: ['80']}}]}]}}
{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: shop}, spec: {selector: {matchLabels: {app: bogus}}, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}}
{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: t, namespace: shop}, spec: {selector: {matchLabels: {app: cart}}, accessLogging: [{}]}}
{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: u, namespace: shop}, spec: {selector: {matchLabels: {version: v1}}}}
{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: x, namespace: shop}, spec: {configPatches: [{applyTo: CLUSTER, patch: {operation: REPLACE, value: {}}}]}}
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: istio-one}, webhooks: [{name: a.sidecar-injector.istio.io, namespaceSelector: {matchLabels: {istio-injection: enabled}}, clientConfig: {service: {name: cart, namespace: shop}}}]}
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: istio-two}, webhooks: [{name: b.sidecar-injector.istio.io, clientConfig: {}}]}
"#;

fn states() -> Vec<Value> {
    let lines = STATES.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_yaml::from_str(line).expect(line)).collect()
}

fn checks() -> Vec<&'static Check> {
    ALL.iter().collect()
}

fn same_object(left: &Value, right: &Value) -> bool {
    let name = |value: &Value| {
        (value["kind"].clone(), value["metadata"]["namespace"].clone(), value["metadata"]["name"].clone())
    };
    name(left) == name(right)
}

fn from_scratch(objects: &[Value]) -> Vec<Message> {
    let mut input = Input::default();
    objects.iter().for_each(|object| input.insert_live(object.clone()));
    crate::analyze(&input)
}

/// Applies steps (a state, and whether it is there) to an analysis and to a list of what there is, and compares.
fn follow(steps: &[(usize, bool)]) {
    let states = states();
    let mut objects: Vec<Value> = Vec::new();
    let mut analysis = Analysis::new(Input::default(), checks());
    let mut shown = analysis.findings();
    for (index, is_there) in steps {
        let state = &states[index % states.len()];
        objects.retain(|object| !same_object(object, state));
        let event = if *is_there {
            objects.push(state.clone());
            Event::Applied(state.clone())
        } else {
            Event::Deleted(state.clone())
        };
        let difference = analysis.apply(vec![event]);
        let now = from_scratch(&objects);
        assert_eq!(analysis.findings(), now, "after {state}");
        shown.retain(|message| !difference.resolved.contains(message));
        shown.extend(difference.found);
        crate::order::sort(&mut shown);
        assert_eq!(shown, now, "as told, after {state}");
    }
}

#[test]
fn every_state_comes_and_goes() {
    let all = 0..states().len();
    let steps: Vec<(usize, bool)> =
        all.clone().map(|index| (index, true)).chain(all.map(|index| (index, false))).collect();
    follow(&steps);
}

#[test]
fn a_new_list_tells_what_is_gone() {
    let mut analysis = Analysis::new(Input::default(), checks());
    let of_kind: Vec<Value> = states().into_iter().filter(|state| state["kind"] == "Gateway").collect();
    let listed = |items: &[Value]| Event::Replaced {
        api_version: "networking.istio.io/v1".to_owned(),
        kind: "Gateway".to_owned(),
        namespace: None,
        items: items.to_vec(),
    };
    analysis.apply(vec![listed(&of_kind)]);
    assert_eq!(analysis.findings(), from_scratch(&of_kind));
    analysis.apply(vec![listed(&of_kind[1..])]);
    assert_eq!(analysis.findings(), from_scratch(&of_kind[1..]));
}

#[test]
fn a_later_state_of_the_mesh_as_a_whole() {
    let of = |objects: &[&Value]| {
        let mut input = Input::default();
        objects.iter().for_each(|object| input.insert_live((*object).clone()));
        input
    };
    let states = states();
    // What no shape can be made of is in no state of the mesh.
    let whole: Vec<&Value> = states.iter().filter(|state| of(&[state]).problems.is_empty()).collect();
    let mut analysis = Analysis::new(Input::default(), checks());
    for end in 0..whole.len() {
        let input = of(&whole[end.saturating_sub(8)..=end]);
        let (before, now) = (analysis.findings(), crate::analyze(&input));
        let difference = analysis.advance(input.snapshot);
        assert_eq!(analysis.findings(), now, "after {}", whole[end]);
        let stays = before.into_iter().filter(|message| !difference.resolved.contains(message));
        let mut told: Vec<Message> = stays.chain(difference.found).collect();
        crate::order::sort(&mut told);
        assert_eq!(told, now, "as told, after {}", whole[end]);
    }
    let same = analysis.input().snapshot.clone();
    assert_eq!(analysis.advance(same), Difference::default());
}

#[test]
fn nothing_changes_where_nothing_is_read() {
    let mut analysis = Analysis::new(Input::default(), checks());
    let service = &states()[6];
    assert!(!analysis.apply(vec![Event::Applied(service.clone())]).found.is_empty());
    let mut touched = service.clone();
    touched["metadata"]["resourceVersion"] = "2".into();
    assert_eq!(analysis.apply(vec![Event::Applied(touched)]), Difference::default());
}

#[test]
fn analyzers_read_no_other_kinds_than_they_say() {
    let mut input = Input::default();
    states().into_iter().for_each(|state| input.insert_live(state));
    for check in ALL.iter().filter(|check| needs::untyped_of(check).is_empty()) {
        let others: Vec<Kind> =
            Kind::ALL.iter().copied().filter(|kind| !needs::of(check).contains(kind)).collect();
        let mut reduced = input.narrowed(&others, &Changes::new());
        reduced.problems.clone_from(&input.problems);
        assert!(!others.is_empty(), "{} is not in the list", check.name);
        assert_eq!(check.run(&reduced), check.run(&input), "{}", check.name);
    }
}

#[test]
fn what_is_withheld_gives_no_findings() {
    let mut input = Input::default();
    states().into_iter().for_each(|state| input.insert_live(state));
    let all = crate::analyze(&input);
    for kind in Kind::ALL {
        let mut reduced = input.narrowed(&[*kind], &Changes::new());
        reduced.unknown_kinds.insert(*kind);
        // Templates are judged where the pods that are made of them may not be seen.
        let is_new = |it: &Message| !all.contains(it) && it.object.kind != "Deployment";
        let new: Vec<Message> = crate::analyze(&reduced).into_iter().filter(is_new).collect();
        assert!(new.is_empty(), "without {kind:?}: {new:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_ends_as_an_analysis_from_scratch(steps in proptest::collection::vec((0usize..1000, prop::bool::weighted(0.8)), 1..24)) {
        follow(&steps);
    }
}
