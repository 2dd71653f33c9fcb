//! Which entries get addresses, which ones, and who keeps what.

use super::*;
use sagene_api::istio::networking::service_entry::ServiceEntryStatus;

fn entry(name: &str, spec: serde_json::Value, status: &[(&str, &str)]) -> Object<ServiceEntry> {
    let spec = serde_json::from_value(spec).expect("a spec");
    let mut made: Object<ServiceEntry> = Object::new("shop", name, spec);
    let address = |(host, value): &(&str, &str)| ServiceEntryAddress {
        host: (*host).to_owned(),
        value: (*value).to_owned(),
    };
    if !status.is_empty() {
        let addresses = status.iter().map(address).collect();
        made.status = Some(ServiceEntryStatus { addresses, ..ServiceEntryStatus::default() });
    }
    made
}

fn dns(hosts: &[&str]) -> serde_json::Value {
    serde_json::json!({"hosts": hosts, "resolution": "DNS"})
}

fn plan(allocator: &mut Allocator, entries: Vec<Object<ServiceEntry>>) -> Plan {
    let entries: Vec<_> = entries.into_iter().map(Arc::new).collect();
    allocator.plan(&entries)
}

fn values(plan: &Plan, name: &str) -> Option<Vec<String>> {
    let found = plan.changes.iter().find(|((_, known), _)| known == name)?;
    Some(found.1.iter().map(|one| format!("{}={}", one.host, one.value)).collect())
}

fn allocator() -> Allocator {
    Allocator::new(AddressRange::IPV4, AddressRange::IPV6)
}

#[test]
fn the_ranges_are_those_of_their_text() {
    assert_eq!("240.240.0.0/16".parse(), Ok(AddressRange::IPV4));
    assert_eq!("2001:2::/48".parse(), Ok(AddressRange::IPV6));
    for wrong in ["240.240.0.0", "240.240.0.0/33", "a/8", "2001:2::/129"] {
        assert_eq!(wrong.parse::<AddressRange>(), Err(AddressRangeError), "{wrong}");
    }
}

#[test]
fn every_host_gets_one_of_each_family_and_keeps_it() {
    let mut allocator = allocator();
    let entries = || vec![entry("a", dns(&["a.io", "*.a.io", "b.io", "a.io"]), &[])];
    let wanted = ["a.io=240.240.0.1", "a.io=2001:2::1", "b.io=240.240.0.2", "b.io=2001:2::2"];
    assert_eq!(values(&plan(&mut allocator, entries()), "a").expect("a change"), wanted);
    // Planned again before the status is there: the same.
    assert_eq!(values(&plan(&mut allocator, entries()), "a").expect("a change"), wanted);
    // And by another that reads the status, with one host less and one more.
    let status =
        [("a.io", "240.240.0.1"), ("a.io", "2001:2::1"), ("b.io", "240.240.0.2"), ("b.io", "2001:2::2")];
    let after = plan(&mut self::allocator(), vec![entry("a", dns(&["a.io", "b.io"]), &status)]);
    assert_eq!(after, Plan::default());
    let after = plan(&mut self::allocator(), vec![entry("a", dns(&["b.io", "c.io"]), &status)]);
    let wanted = ["b.io=240.240.0.2", "b.io=2001:2::2", "c.io=240.240.0.1", "c.io=2001:2::1"];
    assert_eq!(values(&after, "a").expect("a change"), wanted);
}

#[test]
fn some_entries_get_none_and_lose_what_they_had() {
    let had = [("a.io", "240.240.0.9")];
    let with = |name: &str, spec| entry(name, spec, &had);
    let mut refused = with("refused", dns(&["a.io"]));
    refused.metadata.labels.insert(ALLOCATE_LABEL.to_owned(), "False".to_owned());
    let own = serde_json::json!({"hosts": ["a.io"], "resolution": "DNS", "addresses": ["10.0.0.1"]});
    let none = serde_json::json!({"hosts": ["a.io"], "resolution": "NONE"});
    let entries = vec![refused, with("own", own), with("none", none), with("wild", dns(&["*.a.io"]))];
    let made = plan(&mut allocator(), entries);
    for name in ["refused", "own", "none", "wild"] {
        assert_eq!(values(&made, name), Some(Vec::new()), "{name}");
    }
    // What somebody else wrote is left alone.
    let foreign = entry("none", serde_json::json!({"hosts": ["a.io"]}), &[("a.io", "10.9.9.9")]);
    assert_eq!(plan(&mut allocator(), vec![foreign]), Plan::default());
}

#[test]
fn of_two_with_one_address_the_older_keeps_it() {
    let status = [("a.io", "240.240.0.1"), ("a.io", "2001:2::1")];
    let mut old = entry("old", dns(&["a.io"]), &status);
    old.metadata.creation_timestamp = "2026-01-01T00:00:00Z".parse().ok();
    let mut new = entry("new", dns(&["b.io"]), &[("b.io", "240.240.0.1"), ("b.io", "2001:2::5")]);
    new.metadata.creation_timestamp = "2026-02-01T00:00:00Z".parse().ok();
    let declared = serde_json::json!({"hosts": ["c.io"], "resolution": "DNS", "addresses": ["240.240.0.2"]});
    let made = plan(&mut allocator(), vec![new, old, entry("declared", declared, &[])]);
    assert_eq!(made.changes.len(), 1);
    assert_eq!(values(&made, "new").expect("a change"), ["b.io=240.240.0.3", "b.io=2001:2::5"]);
}

#[test]
fn a_range_that_is_full_is_told_and_one_that_was_given_back_is_used_last() {
    let small: AddressRange = "240.240.0.0/30".parse().expect("a range");
    let mut allocator = Allocator::new(small, AddressRange::IPV6);
    let made = plan(&mut allocator, vec![entry("a", dns(&["1", "2"]), &[])]);
    assert!(made.left_out.is_empty());
    let made = plan(&mut allocator, vec![entry("a", dns(&["2", "3"]), &[])]);
    assert_eq!(values(&made, "a").expect("a change")[2], "3=240.240.0.3");
    let made = plan(&mut allocator, vec![entry("a", dns(&["1", "2", "3", "4"]), &[])]);
    assert_eq!(made.left_out, [("shop".to_owned(), "a".to_owned())]);
    assert_eq!(values(&made, "a").expect("a change").len(), 7);
}
