//! Hash of an encoded message that does not mind the order of map entries.
//!
//! Protobuf does not say in which order maps are encoded, so equal messages may differ in bytes. A small table says which fields of
//! which messages are maps; entries of those are added up, everything else is hashed in order.

/// FNV-1a over 64 bits: short, and the same on every machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        // Eight bytes at a time, so that megabytes do not cost milliseconds.
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let word = chunk.try_into().map(u64::from_le_bytes).unwrap_or_default();
            self.mix(word);
        }
        for byte in chunks.remainder() {
            self.mix(u64::from(*byte));
        }
        self.mix(bytes.len() as u64);
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

/// What stands in a field.
#[derive(Clone, Copy)]
enum Field {
    /// A message.
    Message(Schema),
    /// A map with messages as values.
    Map(Schema),
    /// The content of an `Any`: its message depends on the type URL.
    AnyContent,
}

/// The messages on the way to a map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Schema {
    /// A message without maps.
    Plain,
    Any,
    Value,
    Struct,
    List,
    Metadata,
    TransportSocket,
    TransportSocketMatch,
    Cluster,
    LoadAssignment,
    LocalityEndpoints,
    LbEndpoint,
    RouteConfiguration,
    VirtualHost,
    Route,
    Listener,
    FilterChain,
    /// Network filters, HTTP filters and access logs alike: the configuration is field 4.
    Filter,
    HttpConnectionManager,
    TcpProxy,
    FileAccessLog,
    Format,
    RbacFilter,
    Rbac,
    JwtAuthentication,
}

/// The fields of a message that hold maps, or lead to them.
fn fields(schema: Schema) -> &'static [(u32, Field)] {
    use Field::{AnyContent, Map, Message};
    use Schema::*;
    match schema {
        Plain => &[],
        Any => &[(2, AnyContent)],
        Value => &[(5, Message(Struct)), (6, Message(List))],
        Struct => &[(1, Map(Value))],
        List => &[(1, Message(Value))],
        Metadata => &[(1, Map(Struct)), (2, Map(Any))],
        TransportSocket => &[(3, Message(Any))],
        TransportSocketMatch => &[(2, Message(Struct)), (3, Message(TransportSocket))],
        Cluster => &[
            (25, Message(Metadata)),
            (33, Message(LoadAssignment)),
            (36, Map(Any)),
            (43, Message(TransportSocketMatch)),
        ],
        LoadAssignment => &[(2, Message(LocalityEndpoints))],
        LocalityEndpoints => &[(2, Message(LbEndpoint))],
        LbEndpoint => &[(3, Message(Metadata))],
        RouteConfiguration => &[(2, Message(VirtualHost))],
        VirtualHost => &[(3, Message(Route)), (15, Map(Any)), (24, Message(Metadata))],
        Route => &[(4, Message(Metadata)), (13, Map(Any))],
        Listener => &[
            (3, Message(FilterChain)),
            (6, Message(Metadata)),
            (22, Message(Filter)),
            (25, Message(FilterChain)),
        ],
        FilterChain => &[(3, Message(Filter)), (5, Message(Metadata)), (6, Message(TransportSocket))],
        Filter => &[(4, Message(Any))],
        HttpConnectionManager => {
            &[(4, Message(RouteConfiguration)), (5, Message(Filter)), (13, Message(Filter))]
        }
        TcpProxy => &[(5, Message(Filter))],
        FileAccessLog => &[(5, Message(Format))],
        Format => &[(2, Message(Struct))],
        RbacFilter => &[(1, Message(Rbac)), (2, Message(Rbac))],
        Rbac => &[(2, Map(Plain))],
        JwtAuthentication => &[(1, Map(Plain))],
    }
}

fn schema(type_url: &str) -> Schema {
    match type_url.rsplit('/').next().unwrap_or_default() {
        "envoy.config.cluster.v3.Cluster" => Schema::Cluster,
        "envoy.config.endpoint.v3.ClusterLoadAssignment" => Schema::LoadAssignment,
        "envoy.config.route.v3.RouteConfiguration" => Schema::RouteConfiguration,
        "envoy.config.listener.v3.Listener" => Schema::Listener,
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
            Schema::HttpConnectionManager
        }
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => Schema::TcpProxy,
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => Schema::FileAccessLog,
        "envoy.extensions.filters.http.rbac.v3.RBAC" | "envoy.extensions.filters.network.rbac.v3.RBAC" => {
            Schema::RbacFilter
        }
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" => Schema::JwtAuthentication,
        _ => Schema::Plain,
    }
}

/// The hash of a message of this type.
pub(crate) fn of(type_url: &str, message: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.write(type_url.as_bytes());
    hash_message(message, schema(type_url), &mut hash);
    hash.finish()
}

fn hash_message(message: &[u8], schema: Schema, hash: &mut Fnv) {
    let fields = fields(schema);
    if fields.is_empty() {
        return hash.write(message);
    }
    if schema == Schema::Any {
        return hash_any(message, hash);
    }
    let mut rest = message;
    let mut maps = 0u64;
    while let Some((tag, raw, content)) = next_field(&mut rest) {
        let field = fields.iter().find(|(number, _)| *number == tag).map(|(_, field)| *field);
        match (field, content) {
            (Some(Field::Message(inner)), Some(content)) => {
                hash.write(&tag.to_le_bytes());
                hash_message(content, inner, hash);
            }
            (Some(Field::Map(value)), Some(content)) => maps = maps.wrapping_add(hash_entry(content, value)),
            _ => hash.write(raw),
        }
    }
    hash.write(&maps.to_le_bytes());
}

/// A field: its number, all its bytes, and its content where it has a length.
type RawField<'a> = (u32, &'a [u8], Option<&'a [u8]>);

/// Takes the next field off `rest`.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<RawField<'a>> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    let start = *rest;
    if start.is_empty() {
        return None;
    }
    let (tag, wire) = decode_key(rest).ok()?;
    let mut content = None;
    if wire == WireType::LengthDelimited {
        let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
        content = Some(rest.get(..length)?);
        *rest = &rest[length..];
    } else {
        skip_field(wire, tag, rest, DecodeContext::default()).ok()?;
    }
    Some((tag, &start[..start.len() - rest.len()], content))
}

/// Field 1 of a map entry is its key, field 2 its value.
fn hash_entry(entry: &[u8], value: Schema) -> u64 {
    let mut hash = Fnv::default();
    let mut rest = entry;
    while let Some((tag, raw, content)) = next_field(&mut rest) {
        match (tag, content) {
            (2, Some(content)) => hash_message(content, value, &mut hash),
            _ => hash.write(raw),
        }
    }
    hash.finish()
}

fn hash_any(any: &[u8], hash: &mut Fnv) {
    let mut type_url = "";
    let mut rest = any;
    while let Some((tag, _, Some(content))) = next_field(&mut rest) {
        match tag {
            1 => {
                type_url = std::str::from_utf8(content).unwrap_or_default();
                hash.write(content);
            }
            _ => hash_message(content, schema(type_url), hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{any, core, route, structure, text};

    #[test]
    fn the_order_of_maps_does_not_count_and_the_order_of_lists_does() {
        let names: Vec<String> = (0..20).map(|number| format!("key-{number}")).collect();
        let virtual_host = |reverse: bool| {
            let fields = names.iter().map(|name| (name.as_str(), text("x")));
            let structure = if reverse { structure(fields.rev()) } else { structure(fields) };
            let metadata = core::Metadata {
                filter_metadata: [("istio".to_owned(), structure)].into(),
                ..core::Metadata::default()
            };
            route::VirtualHost { metadata: Some(metadata), ..route::VirtualHost::default() }
        };
        let hash = |virtual_hosts: Vec<route::VirtualHost>| {
            let any =
                any(&route::RouteConfiguration { virtual_hosts, ..route::RouteConfiguration::default() });
            super::of(&any.type_url, &any.value)
        };
        for _ in 0..20 {
            assert_eq!(hash(vec![virtual_host(false)]), hash(vec![virtual_host(true)]));
        }
        let named =
            |name: &str| route::VirtualHost { name: name.to_owned(), ..route::VirtualHost::default() };
        assert_ne!(hash(vec![named("a"), named("b")]), hash(vec![named("b"), named("a")]));
    }
}
