//! Names that expressions on requests may use: the filters of access logs and the values of metric tags. They are Envoy's, as far as the
//! proxy knows them.

/// Groups and their attributes. A group without attributes is a map.
pub const ATTRIBUTES: [(&str, &[&str]); 8] = [
    (
        "request",
        &[
            "path",
            "url_path",
            "host",
            "scheme",
            "method",
            "headers",
            "referer",
            "useragent",
            "id",
            "protocol",
            "query",
            "size",
            "total_size",
            "duration",
            "time",
        ],
    ),
    ("response", &["code", "code_details", "flags", "grpc_status", "headers", "size", "total_size"]),
    ("source", &["address", "port"]),
    ("destination", &["address", "port"]),
    (
        "connection",
        &[
            "mtls",
            "requested_server_name",
            "uri_san_peer_certificate",
            "uri_san_local_certificate",
            "dns_san_peer_certificate",
            "subject_peer_certificate",
            "termination_details",
        ],
    ),
    ("upstream", &["address", "port", "local_address", "transport_failure_reason", "request_attempt_count"]),
    ("xds", &["cluster_name", "route_name"]),
    ("filter_state", &[]),
];

/// Functions of one argument.
pub const FUNCTIONS: [&str; 6] = ["has", "size", "string", "int", "uint", "double"];

/// Functions that are called on a value, behind a dot.
pub const METHODS: [&str; 7] =
    ["matches", "startsWith", "endsWith", "contains", "size", "lowerAscii", "upperAscii"];

/// Words of the language itself.
const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// What an expression names and the proxy does not know: an attribute has no value there, a function cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownName {
    /// `request.nope`, `nope`
    Attribute(String),
    /// `nope(…)`, `x.nope(…)`
    Function(String),
}

/// The first name of an expression that the proxy does not know. The expression is of valid form.
pub fn first_unknown(expression: &str) -> Option<UnknownName> {
    let mut rest = expression;
    let mut behind_dot = false;
    let mut group: Option<&str> = None;
    while let Some(sign) = rest.chars().next() {
        if matches!(sign, '\'' | '"') {
            rest = behind_text(rest, sign);
            (behind_dot, group) = (false, None);
            continue;
        }
        if sign.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        let end = rest.find(|it: char| !is_word(it)).unwrap_or(rest.len());
        if end == 0 {
            behind_dot = sign == '.';
            if !behind_dot {
                group = None;
            }
            rest = &rest[sign.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        rest = after;
        if sign.is_ascii_digit() {
            continue;
        }
        let is_call = after.trim_start().starts_with('(');
        let unknown = unknown(word, group.filter(|_| behind_dot), behind_dot, is_call);
        if unknown.is_some() {
            return unknown;
        }
        // What follows a group is one of its attributes; what follows those is of a value.
        group = Some(word).filter(|_| !behind_dot && !is_call);
        behind_dot = false;
    }
    None
}

fn unknown(word: &str, group: Option<&str>, behind_dot: bool, is_call: bool) -> Option<UnknownName> {
    if is_call {
        let known = if behind_dot { &METHODS[..] } else { &FUNCTIONS[..] };
        let known = known.contains(&word) || WORDS.contains(&word);
        return (!known).then(|| UnknownName::Function(word.to_owned()));
    }
    if let Some(group) = group {
        let fields = ATTRIBUTES.iter().find(|(name, _)| *name == group).map_or(&[][..], |(_, fields)| fields);
        let known = fields.is_empty() || fields.contains(&word);
        return (!known).then(|| UnknownName::Attribute(format!("{group}.{word}")));
    }
    let known = behind_dot || WORDS.contains(&word) || ATTRIBUTES.iter().any(|(name, _)| *name == word);
    (!known).then(|| UnknownName::Attribute(word.to_owned()))
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// What follows a text in quotes.
fn behind_text(rest: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            '\\' if !escaped => escaped = true,
            it if it == quote && !escaped => return &rest[at + it.len_utf8()..],
            _ => escaped = false,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_found() {
        for known in [
            "response.code >= 400 && request.url_path.startsWith('/nope.nope(')",
            "has(request.headers['x-nope']) ? \"nope\" : string(destination.port)",
            "filter_state.downstream_peer.app",
            "!('a' in request.headers) || request.size > 10.5",
            "request.host.lowerAscii().matches(\"^a\\\".*\")",
        ] {
            assert_eq!(first_unknown(known), None, "{known}");
        }
        let attribute = |name: &str| Some(UnknownName::Attribute(name.to_owned()));
        let function = |name: &str| Some(UnknownName::Function(name.to_owned()));
        for (expression, wanted) in [
            ("request.nope", attribute("request.nope")),
            ("nope", attribute("nope")),
            ("upstream_peer.labels['app'].value", attribute("upstream_peer")),
            ("nope(request.host)", function("nope")),
            ("request.host.nope()", function("nope")),
            ("'a' + request . nope", attribute("request.nope")),
        ] {
            assert_eq!(first_unknown(expression), wanted, "{expression}");
        }
    }
}
