//! The protocol by scripts: requests in, responses out.

use std::cell::RefCell;

use envoy_types::pb::google::rpc::Status;

use super::*;

const NAMED: TypeRules = TypeRules { wildcard: false, removals: true };
const WILDCARD: TypeRules = TypeRules { wildcard: true, removals: true };

#[derive(Default)]
struct Fake {
    resources: RefCell<BTreeMap<(String, String), u64>>,
}

impl Fake {
    fn set(&self, type_url: &str, name: &str, version: u64) {
        self.resources.borrow_mut().insert((type_url.to_owned(), name.to_owned()), version);
    }

    fn remove(&self, type_url: &str, name: &str) {
        self.resources.borrow_mut().remove(&(type_url.to_owned(), name.to_owned()));
    }
}

impl Source for Fake {
    fn rules(&self, type_url: &str) -> TypeRules {
        if matches!(type_url, type_url::CLUSTER | type_url::LISTENER) { WILDCARD } else { NAMED }
    }

    fn fetch(&self, type_url: &str, requested: Requested<'_>) -> Arc<ResourceSet> {
        let wanted = |name: &str| match requested {
            Requested::All => true,
            Requested::Names(names) => names.iter().any(|known| &**known == name),
        };
        let resources = self.resources.borrow();
        let found = resources.iter().filter(|((known, name), _)| known == type_url && wanted(name));
        ResourceSet::new(
            found
                .map(|((_, name), version)| {
                    Arc::new(Resource {
                        name: name.as_str().into(),
                        version: *version,
                        any: Default::default(),
                    })
                })
                .collect(),
        )
    }
}

fn delta(type_url: &str, subscribe: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe: subscribe.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

fn whole(type_url: &str, names: &[&str], nonce: &str) -> DiscoveryRequest {
    DiscoveryRequest::new(type_url, names.iter().copied(), nonce)
}

/// `names+removed` of the next response, e.g. `a,b-c`; empty for none.
fn next(session: &mut Session, source: &Fake) -> String {
    let Some(response) = session.next_response(source) else { return String::new() };
    let names: Vec<&str> = response.resources.iter().map(|resource| &*resource.name).collect();
    let removed: Vec<&str> = response.removed.iter().map(|name| &**name).collect();
    format!("{} {}-{}", type_url::short_name(&response.type_url), names.join(","), removed.join(","))
}

#[test]
fn delta_sends_what_changed_and_nothing_else() {
    let source = Fake::default();
    source.set(type_url::CLUSTER, "a", 1);
    source.set(type_url::CLUSTER, "b", 1);
    let mut session = Session::new(Protocol::Delta, "t");
    assert_eq!(session.on_delta_request(&delta(type_url::CLUSTER, &[]), WILDCARD), Verdict::Subscribed);
    assert_eq!(next(&mut session, &source), "CDS a,b-");
    session.push(&Push::everything());
    assert_eq!(next(&mut session, &source), "");
    source.set(type_url::CLUSTER, "b", 2);
    source.remove(type_url::CLUSTER, "a");
    session.push(&Push::everything());
    assert_eq!(next(&mut session, &source), "CDS b-a");
}

#[test]
fn a_rejection_is_recorded_and_not_answered() {
    let source = Fake::default();
    source.set(type_url::LISTENER, "l", 1);
    let mut session = Session::new(Protocol::Delta, "t");
    session.on_delta_request(&delta(type_url::LISTENER, &["*"]), WILDCARD);
    let nonce = session.next_response(&source).unwrap().nonce;
    let status = Status { message: "bad filter".into(), ..Default::default() };
    let nack = DeltaDiscoveryRequest {
        error_detail: Some(status),
        response_nonce: nonce.clone(),
        ..delta(type_url::LISTENER, &[])
    };
    assert_eq!(session.on_delta_request(&nack, WILDCARD), Verdict::Nack("bad filter".into()));
    assert!(!session.has_work());
    let (_, status) = session.statuses().next().unwrap();
    assert_eq!((status.nonce_nacked, status.nonce_acked), (nonce, String::new()));
}

#[test]
fn names_are_added_repeated_and_taken_back() {
    let source = Fake::default();
    for name in ["a", "b"] {
        source.set(type_url::ROUTE, name, 1);
    }
    let mut session = Session::new(Protocol::Delta, "t");
    session.on_delta_request(&delta(type_url::ROUTE, &["a"]), NAMED);
    assert_eq!(next(&mut session, &source), "RDS a-");
    session.on_delta_request(&delta(type_url::ROUTE, &["b", "missing"]), NAMED);
    assert_eq!(next(&mut session, &source), "RDS b-missing");
    session.on_delta_request(&delta(type_url::ROUTE, &["a"]), NAMED);
    assert_eq!(next(&mut session, &source), "RDS a-");
    let back =
        DeltaDiscoveryRequest { resource_names_unsubscribe: vec!["a".into()], ..delta(type_url::ROUTE, &[]) };
    session.on_delta_request(&back, NAMED);
    source.set(type_url::ROUTE, "a", 2);
    source.set(type_url::ROUTE, "b", 2);
    let mut push = Push::default();
    push.add_names(type_url::ROUTE, ["a".into(), "b".into()]);
    session.push(&push);
    assert_eq!(next(&mut session, &source), "RDS b-");
}

#[test]
fn a_reconnecting_client_gets_the_difference_and_always_an_answer() {
    let source = Fake::default();
    source.set(type_url::CLUSTER, "same", 0x10);
    source.set(type_url::CLUSTER, "newer", 0x21);
    let mut request = delta(type_url::CLUSTER, &["*"]);
    for (name, version) in [("same", "10"), ("newer", "20"), ("gone", "1")] {
        request.initial_resource_versions.insert(name.into(), version.into());
    }
    let mut session = Session::new(Protocol::Delta, "t");
    session.on_delta_request(&request, WILDCARD);
    assert_eq!(next(&mut session, &source), "CDS newer-gone");
    let mut session = Session::new(Protocol::Delta, "t");
    request.initial_resource_versions.insert("newer".into(), "21".into());
    request.initial_resource_versions.remove("gone");
    session.on_delta_request(&request, WILDCARD);
    assert_eq!(next(&mut session, &source), "CDS -");
}

#[test]
fn endpoints_follow_their_clusters_even_unchanged() {
    let source = Fake::default();
    source.set(type_url::CLUSTER, "a", 1);
    source.set(type_url::ENDPOINT, "a", 1);
    let mut session = Session::new(Protocol::Delta, "t");
    session.on_delta_request(&delta(type_url::CLUSTER, &[]), WILDCARD);
    session.on_delta_request(&delta(type_url::ENDPOINT, &["a"]), NAMED);
    assert_eq!(next(&mut session, &source), "CDS a-");
    assert_eq!(next(&mut session, &source), "EDS a-");
    source.set(type_url::CLUSTER, "a", 2);
    session.push(&Push::everything());
    assert_eq!(next(&mut session, &source), "CDS a-");
    assert_eq!(next(&mut session, &source), "EDS a-");
    assert_eq!(next(&mut session, &source), "");
}

#[test]
fn state_of_the_world_acks_are_silent_and_endpoints_after_clusters_are_answered() {
    let source = Fake::default();
    source.set(type_url::CLUSTER, "a", 1);
    source.set(type_url::ENDPOINT, "a", 1);
    let mut session = Session::new(Protocol::StateOfTheWorld, "t");
    session.on_request(&whole(type_url::CLUSTER, &[], ""), WILDCARD);
    let clusters = session.next_response(&source).unwrap().nonce;
    assert_eq!(session.on_request(&whole(type_url::CLUSTER, &[], &clusters), WILDCARD), Verdict::Ack);
    session.on_request(&whole(type_url::ENDPOINT, &["a"], ""), NAMED);
    let endpoints = session.next_response(&source).unwrap().nonce;
    assert_eq!(session.on_request(&whole(type_url::ENDPOINT, &["a"], &endpoints), NAMED), Verdict::Ack);
    assert_eq!(session.on_request(&whole(type_url::ENDPOINT, &["a"], "old"), NAMED), Verdict::Stale);
    assert!(!session.has_work());
    source.set(type_url::CLUSTER, "a", 2);
    session.push(&Push::everything());
    assert_eq!(next(&mut session, &source), "CDS a-");
    assert_eq!(next(&mut session, &source), "");
    assert_eq!(
        session.on_request(&whole(type_url::ENDPOINT, &["a"], &endpoints), NAMED),
        Verdict::Subscribed
    );
    assert_eq!(next(&mut session, &source), "EDS a-");
}
