//! The little of the protobuf wire format that is read without knowing the message: the name of a resource.
//!
//! Every named xDS resource (Cluster, Listener, RouteConfiguration, ClusterLoadAssignment, Secret, TypedExtensionConfig) carries its
//! name in field 1 as a string. State-of-the-world responses do not repeat it outside.

use crate::type_url;

/// The name of an encoded resource; empty for types that have one nameless resource.
pub(crate) fn resource_name(type_url: &str, mut message: &[u8]) -> String {
    const NAMED: [&str; 6] = [
        type_url::CLUSTER,
        type_url::ENDPOINT,
        type_url::LISTENER,
        type_url::ROUTE,
        type_url::SECRET,
        type_url::EXTENSION_CONFIG,
    ];
    if !NAMED.contains(&type_url) {
        return String::new();
    }
    let mut name = String::new();
    while let Some(field) = next_field(&mut message) {
        if let (1, Some(text)) = field {
            // The last occurrence wins, as in every protobuf decoder.
            name = String::from_utf8_lossy(text).into_owned();
        }
    }
    name
}

/// The next field's number, and its bytes if it is length-delimited. `None` at the end or at the first malformed byte.
fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u64, Option<&'a [u8]>)> {
    let tag = varint(message)?;
    let skip = match tag & 7 {
        0 => {
            varint(message)?;
            return Some((tag >> 3, None));
        }
        1 => 8,
        2 => usize::try_from(varint(message)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (field, rest) = message.split_at_checked(skip)?;
    *message = rest;
    Some((tag >> 3, (tag & 7 == 2).then_some(field)))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use prost::Message;

    use super::*;

    #[test]
    fn finds_the_name_wherever_it_stands_and_survives_rubbish() {
        let cluster =
            Cluster { name: "outbound|80||a".into(), alt_stat_name: "x".into(), ..Default::default() };
        assert_eq!(resource_name(type_url::CLUSTER, &cluster.encode_to_vec()), "outbound|80||a");
        assert_eq!(resource_name(type_url::CLUSTER, &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), "");
        assert_eq!(resource_name(type_url::NAME_TABLE, &cluster.encode_to_vec()), "");
    }
}
