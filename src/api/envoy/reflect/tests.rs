//! What the generated types read, the tables read as well, and say the same.

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::google::protobuf::Struct;
use proptest::prelude::*;
use prost::Name;

use super::*;
use crate::envoy::bootstrap;

const FILE: &str = r#"
node: { id: a, cluster: b, metadata: { a: [1, -2.5, true, null, { b: c }] }, user_agent_build_version: { version: { major_number: 7 } } }
cluster_manager: { outlier_detection: { event_log_path: x } }
dynamic_resources: { ads_config: { api_type: DELTA_GRPC, set_node_on_first_message_only: true } }
static_resources:
  clusters:
  - name: app
    type: STRICT_DNS
    connect_timeout: 0.25s
    ring_hash_lb_config: { minimum_ring_size: 1024, hash_function: MURMUR_HASH_2 }
    common_lb_config: { healthy_panic_threshold: { value: 12.5 }, locality_weighted_lb_config: {} }
    health_checks:
    - { timeout: 1s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 1, http_health_check: { path: /,
        expected_statuses: [{ start: 200, end: 300 }], retriable_statuses: [] } }
    load_assignment:
      cluster_name: app
      endpoints:
      - priority: 1
        lb_endpoints:
        - { load_balancing_weight: 300, health_status: DRAINING, endpoint: { address: { socket_address: { address: "::1", port_value: 80 } } } }
    typed_extension_protocol_options:
      o: { "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: { http2_protocol_options: {} } }
"#;

fn read_again<M: prost::Message + Name + Default + Clone + PartialEq + std::fmt::Debug>(
    bytes: &[u8],
) -> Result<(), TestCaseError> {
    let descriptor = MessageDescriptor::named(&M::full_name()).expect("its descriptor");
    let Ok(typed) = M::decode(bytes) else { return Ok(()) };
    let read = match Message::decode(descriptor, bytes) {
        // The generated types do not ask how entries of maps are written.
        Err(WireError::Kind { .. }) => return Ok(()),
        read => read.map_err(|error| TestCaseError::fail(format!("{error}: {typed:?}")))?,
    };
    let written = read.encode();
    let again = M::decode(written.as_slice()).expect("what was written");
    // What is not a number is not equal to itself either.
    prop_assert!(again == typed || typed.clone() != typed, "{typed:?} became {again:?}");
    prop_assert_eq!(Message::decode(descriptor, &written).map(|again| again.encode()), Ok(written));
    Ok(())
}

#[test]
fn fields_of_all_kinds_come_back() {
    let bytes = prost::Message::encode_to_vec(&bootstrap::parse(FILE).expect("a bootstrap"));
    read_again::<Bootstrap>(&bytes).expect("the same");
    let unknown = [&[0xc2, 0xbb, 0x01, 0x02, 7, 8][..], bytes.as_slice()].concat();
    let descriptor = MessageDescriptor::named("envoy.config.bootstrap.v3.Bootstrap").expect("a descriptor");
    let read = Message::decode(descriptor, &unknown).expect("a field more");
    assert_eq!(read.encode().len(), unknown.len(), "fields that are not known are kept");
}

#[test]
fn what_lies_too_deep_or_ends_too_early_is_refused() {
    let descriptor = MessageDescriptor::named("google.protobuf.Value").expect("a descriptor");
    let mut bytes = Vec::new();
    for _ in 0..60 {
        // A list of one value: its field 6, in whose field 1 the one before stands.
        let mut list = vec![0x0a];
        prost::encode_length_delimiter(bytes.len(), &mut list).expect("a length");
        list.extend_from_slice(&bytes);
        bytes = vec![0x32];
        prost::encode_length_delimiter(list.len(), &mut bytes).expect("a length");
        bytes.extend_from_slice(&list);
    }
    assert_eq!(Message::decode(descriptor, &bytes), Err(WireError::Depth));
    assert_eq!(Message::decode(descriptor, &[0x1a, 5, b'a']), Err(WireError::Truncated));
    assert!(matches!(Message::decode(descriptor, &[0x1a, 1, 0xff]), Err(WireError::Text { .. })));
    assert!(matches!(Message::decode(descriptor, &[0x18, 1]), Err(WireError::Kind { .. })));
}

#[test]
fn names_are_found_in_both_spellings() {
    let cluster = MessageDescriptor::named("envoy.config.cluster.v3.Cluster").expect("a descriptor");
    for (name, found) in [
        ("connect_timeout", Some("connect_timeout")),
        ("connectTimeout", Some("connect_timeout")),
        ("ConnectTimeout", None),
        ("connect_Timeout", None),
    ] {
        assert_eq!(cluster.field_of_json(name).map(FieldDescriptor::name), found, "{name}");
    }
    assert!(MessageDescriptor::named("envoy.config.cluster.v3.Clusters").is_none());
}

/// A message as it was written, with some bytes of it exchanged.
fn odd() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prost::Message::encode_to_vec(&bootstrap::parse(FILE).expect("a bootstrap"));
    let edit = (any::<prop::sample::Index>(), 0..3usize, prop::collection::vec(any::<u8>(), 0..4));
    (any::<prop::sample::Index>(), prop::collection::vec(edit, 0..6)).prop_map(move |(start, edits)| {
        let mut odd = bytes[start.index(bytes.len())..].to_vec();
        for (at, length, piece) in edits {
            let at = at.index(odd.len() + 1);
            let end = (at + length).min(odd.len());
            odd.splice(at..end, piece);
        }
        odd
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_mean_what_the_generated_types_say(bytes in odd()) {
        read_again::<Bootstrap>(&bytes)?;
        read_again::<Cluster>(&bytes)?;
        read_again::<Node>(&bytes)?;
        read_again::<ClusterLoadAssignment>(&bytes)?;
        read_again::<Struct>(&bytes)?;
    }
}
