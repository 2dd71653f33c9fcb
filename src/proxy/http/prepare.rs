//! What happens to a request before filters see it: one normalized path and host, forwarding headers, identity headers.

use std::fmt::Write;
use std::net::IpAddr;

use crate::config::proto::network::http_connection_manager::v3::http_connection_manager::PathWithEscapedSlashesAction as Slashes;
use crate::config::{ClientCertDetails, HttpManager};

use super::codec::Request;
use super::headers::HeaderList;
use super::info::ConnectionInfo;

/// Headers that only the mesh itself may set; taken off requests from outside.
const INTERNAL: [&[u8]; 16] = [
    b"x-envoy-internal",
    b"x-envoy-expected-rq-timeout-ms",
    b"x-envoy-upstream-rq-timeout-ms",
    b"x-envoy-upstream-rq-per-try-timeout-ms",
    b"x-envoy-upstream-rq-timeout-alt-response",
    b"x-envoy-upstream-alt-stat-name",
    b"x-envoy-max-retries",
    b"x-envoy-retry-on",
    b"x-envoy-retry-grpc-on",
    b"x-envoy-retriable-header-names",
    b"x-envoy-retriable-status-codes",
    b"x-envoy-force-trace",
    b"x-envoy-ip-tags",
    b"x-envoy-original-url",
    b"x-envoy-hedge-on-per-try-timeout",
    b"x-envoy-attempt-count",
];

/// Headers that a client at the edge of the mesh may not set either.
const BEHIND_EDGE: [&[u8]; 6] = [
    b"x-envoy-decorator-operation",
    b"x-envoy-downstream-service-cluster",
    b"x-envoy-downstream-service-node",
    b"x-envoy-original-path",
    b"x-envoy-original-host",
    b"x-envoy-external-address",
];

/// Why a request is refused before any filter; the text is the response code details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadPath,
    UpgradeRefused,
    Redirect(Vec<u8>),
}

/// Makes the request ready for filters. Returns the trusted client address.
pub(crate) fn prepare(
    request: &mut Request,
    manager: &HttpManager,
    connection: &ConnectionInfo,
    random: u128,
) -> Result<IpAddr, Refusal> {
    normalize(request, manager)?;
    super::codec::strip_hop_by_hop(&mut request.headers);
    if request.expect_continue {
        request.headers.remove(b"expect");
    }
    if manager.strip_any_port || manager.strip_matching_port {
        strip_port(request, manager, connection);
    }
    let remote = forwarded(request, manager, connection);
    request_id(&mut request.headers, manager, random);
    client_certificate(&mut request.headers, manager, connection);
    Ok(remote)
}

fn normalize(request: &mut Request, manager: &HttpManager) -> Result<(), Refusal> {
    if memchr::memchr(b'#', &request.path).is_some() {
        return Err(Refusal::BadPath);
    }
    let end = memchr::memchr(b'?', &request.path).unwrap_or(request.path.len());
    let (path, query) = request.path.split_at(end);
    let plain = !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
        && memchr::memchr2(b'%', b'\\', path).is_none();
    if plain || path == b"*" || request.method == b"CONNECT" {
        return Ok(());
    }
    if has_escape(path, b"00") {
        return Err(Refusal::BadPath);
    }
    let mut out = path.to_vec();
    if has_escape(path, b"2f") || has_escape(path, b"5c") {
        match manager.escaped_slashes {
            Slashes::RejectRequest => return Err(Refusal::BadPath),
            Slashes::UnescapeAndForward => out = unescape_slashes(&out),
            Slashes::UnescapeAndRedirect => {
                out = unescape_slashes(&out);
                out = if manager.normalize_path { remove_dots(&out) } else { out };
                return Err(Refusal::Redirect([out.as_slice(), query].concat()));
            }
            _ => {}
        }
    }
    if manager.normalize_path {
        out = remove_dots(&out);
    }
    if manager.merge_slashes {
        out.dedup_by(|a, b| *a == b'/' && *b == b'/');
    }
    let query = query.to_vec();
    request.path = out;
    request.path.extend_from_slice(&query);
    Ok(())
}

fn has_escape(path: &[u8], hex: &[u8; 2]) -> bool {
    path.windows(3).any(|three| three[0] == b'%' && three[1..].eq_ignore_ascii_case(hex))
}

fn unescape_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        match escaped {
            Some(hex) if hex.eq_ignore_ascii_case(b"2f") => out.push(b'/'),
            Some(hex) if hex.eq_ignore_ascii_case(b"5c") => out.push(b'\\'),
            _ => {
                out.push(*first);
                rest = tail;
                continue;
            }
        }
        rest = &tail[2..];
    }
    out
}

/// RFC 3986 dot segments; `\` counts as `/`, unreserved escapes are decoded, and `..;x` counts as `..`.
fn remove_dots(path: &[u8]) -> Vec<u8> {
    let decoded = decode_unreserved(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = decoded.split(|b| matches!(b, b'/' | b'\\')).skip(1).peekable();
    while let Some(segment) = parts.next() {
        let last = parts.peek().is_none();
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        match name {
            b"." | b".." => {
                if name == b".." {
                    segments.pop();
                }
                if last {
                    segments.push(b"");
                }
            }
            _ => segments.push(segment),
        }
    }
    [b"/".as_slice(), &segments.join(b"/".as_slice())].concat()
}

fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut index = 0;
    while index < path.len() {
        let hex = (path[index] == b'%').then(|| path.get(index + 1..index + 3)).flatten();
        let byte = hex.and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(byte);
                index += 3;
            }
            _ => {
                out.push(path[index]);
                index += 1;
            }
        }
    }
    out
}

fn strip_port(request: &mut Request, manager: &HttpManager, connection: &ConnectionInfo) {
    let text = String::from_utf8_lossy(&request.authority).into_owned();
    let Some((host, port)) = text.rsplit_once(':') else { return };
    if port.parse::<u16>().is_ok_and(|port| manager.strip_any_port || port == connection.local.port()) {
        request.authority = host.as_bytes().to_vec();
    }
}

/// Headers that only the mesh's own may set: they go, unless the client is one of those that the configuration trusts.
fn clean(headers: &mut HeaderList, manager: &HttpManager, remote: IpAddr, forwarded: usize) {
    if forwarded <= 1 && manager.internal_addresses.iter().any(|range| range.contains(remote)) {
        headers.set(b"x-envoy-internal", b"true");
        return;
    }
    headers.remove_if(|name, _| name.starts_with(b"x-envoy-") && INTERNAL.contains(&name));
    if manager.use_remote_address {
        headers.remove_if(|name, _| name.starts_with(b"x-envoy-") && BEHIND_EDGE.contains(&name));
        headers.append(b"x-envoy-external-address", remote.to_string().as_bytes());
    }
}

/// `x-forwarded-for`, `x-forwarded-proto` and the internal headers. Returns the trusted client address.
fn forwarded(request: &mut Request, manager: &HttpManager, connection: &ConnectionInfo) -> IpAddr {
    let scheme = if connection.tls { "https" } else { "http" };
    let headers = &mut request.headers;
    let direct = connection.remote.ip();
    let chain: Vec<IpAddr> = headers
        .get_all(b"x-forwarded-for")
        .flat_map(super::headers::tokens)
        .filter_map(|t| std::str::from_utf8(t).ok()?.parse().ok())
        .collect();
    let mut remote = direct;
    if manager.use_remote_address {
        if let Some(hops) = (manager.trusted_hops as usize).checked_sub(1) {
            remote = chain.len().checked_sub(hops + 1).and_then(|i| chain.get(i)).copied().unwrap_or(direct);
        }
        if !manager.skip_xff_append {
            headers.append_to(b"x-forwarded-for", direct.to_string().as_bytes());
        }
        if manager.trusted_hops == 0 || !headers.contains(b"x-forwarded-proto") {
            headers.set(b"x-forwarded-proto", scheme.as_bytes());
        }
    } else {
        if let Some(address) =
            chain.len().checked_sub(manager.trusted_hops as usize + 1).and_then(|i| chain.get(i))
        {
            remote = *address;
        }
        if !headers.contains(b"x-forwarded-proto") {
            headers.set(b"x-forwarded-proto", scheme.as_bytes());
        }
    }
    clean(headers, manager, remote, chain.len() + usize::from(manager.use_remote_address));
    let headers = &mut request.headers;
    request.scheme = if headers.get(b"x-forwarded-proto").is_some_and(|p| p.eq_ignore_ascii_case(b"https")) {
        "https"
    } else {
        "http"
    };
    remote
}

fn request_id(headers: &mut HeaderList, manager: &HttpManager, random: u128) {
    let edge = manager.use_remote_address && !manager.preserve_request_id;
    if !manager.generate_request_id || (headers.contains(b"x-request-id") && !edge) {
        return;
    }
    headers.set(b"x-request-id", &super::number::uuid(random));
}

fn client_certificate(headers: &mut HeaderList, manager: &HttpManager, connection: &ConnectionInfo) {
    const NAME: &[u8] = b"x-forwarded-client-cert";
    let Some(peer) = connection.peer.as_ref() else {
        if !matches!(manager.client_cert, ClientCertDetails::AlwaysForwardOnly) {
            headers.remove(NAME);
        }
        return;
    };
    let keep = match manager.client_cert {
        ClientCertDetails::Sanitize => {
            headers.remove(NAME);
            return;
        }
        ClientCertDetails::ForwardOnly | ClientCertDetails::AlwaysForwardOnly => return,
        ClientCertDetails::AppendForward => true,
        ClientCertDetails::SanitizeSet => false,
    };
    let mut value = String::with_capacity(256);
    if let Some(by) = &connection.local_principal {
        let _ = write!(value, "By={by};");
    }
    let _ = write!(value, "Hash={}", peer.hash);
    if manager.cert_fields.cert {
        let _ = write!(value, ";Cert=\"{}\"", url_encoded_pem(&peer.certificate));
    }
    if manager.cert_fields.subject.as_ref().is_some_and(|b| b.value) {
        let _ = write!(value, ";Subject=\"{}\"", peer.subject.replace('"', "\\\""));
    }
    if manager.cert_fields.uri {
        let uris: Vec<_> = peer.uris.iter().map(|uri| format!(";URI={uri}")).collect();
        value.push_str(if uris.is_empty() { ";URI=" } else { "" });
        value.push_str(&uris.concat());
    }
    if manager.cert_fields.dns {
        for dns in &peer.dns {
            let _ = write!(value, ";DNS={dns}");
        }
    }
    if keep {
        headers.append_to(NAME, value.as_bytes());
    } else {
        headers.set(NAME, value.as_bytes());
    }
}

/// The PEM form of a certificate with everything escaped that is not plain in a URL.
pub(crate) fn url_encoded_pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::with_capacity(text.len() * 2);
    let mut put = |piece: &str| {
        for byte in piece.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                out.push(char::from(byte));
            } else {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    };
    put("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        put(std::str::from_utf8(line).unwrap_or_default());
        put("\n");
    }
    put("-----END CERTIFICATE-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::{decode_unreserved, remove_dots, unescape_slashes};

    #[test]
    fn dot_segments_have_one_reading() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"/a/../b", b"/b"),
            (b"/a/./b", b"/a/b"),
            (b"/a\\..\\b", b"/b"),
            (b"/user/..;foo=bar/admin", b"/admin"),
            (b"/.;a/admin", b"/admin"),
            (b"/%2e%2e/x", b"/x"),
            (b"/a/..", b"/"),
            (b"/../x", b"/x"),
        ];
        for (input, expected) in cases {
            assert_eq!(remove_dots(input), expected, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn only_slashes_and_unreserved_bytes_are_decoded() {
        assert_eq!(unescape_slashes(b"/a%2Fb%5cc%20"), b"/a/b\\c%20");
        assert_eq!(decode_unreserved(b"/%41%2f%zz"), b"/A%2f%zz");
    }
}
