//! The PROXY protocol: a header before everything else that says where a connection really comes from. Read from load
//! balancers (versions 1 and 2), written to endpoints that want it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest header of version 1, with its CR LF.
const V1_LIMIT: usize = 107;
/// Longest header of version 2 that is taken: addresses and a few extensions.
const V2_LIMIT: usize = 16 + 4096;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// Source and destination of the connection as the header tells them.
pub(crate) type Addresses = (SocketAddr, SocketAddr);

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The addresses.
    Addresses(Addresses),
    /// The connection is the balancer's own, or of a kind that has no addresses.
    Nothing,
    /// There is no header.
    NoHeader,
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the connection failed before the end of the PROXY header")]
    Io(#[from] std::io::Error),
    #[error("the PROXY header is malformed")]
    Malformed,
}

/// Reads the header into `prefix` and takes it off; what follows it stays.
pub(crate) async fn read(
    io: &mut (impl AsyncRead + Unpin),
    prefix: &mut BytesMut,
) -> Result<Told, HeaderError> {
    loop {
        if let Some((length, told)) = parse(prefix)? {
            prefix.advance(length);
            return Ok(told);
        }
        prefix.reserve(1024);
        if io.read_buf(prefix).await? == 0 {
            return Err(HeaderError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// `None` = more bytes are needed.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Told)>, HeaderError> {
    let begins = |with: &[u8]| {
        let shared = bytes.len().min(with.len());
        bytes[..shared] == with[..shared]
    };
    if begins(SIGNATURE) {
        return if bytes.len() < 16 { Ok(None) } else { parse_v2(bytes) };
    }
    if begins(b"PROXY ") {
        return if bytes.len() < 6 { Ok(None) } else { parse_v1(bytes) };
    }
    Ok(Some((0, Told::NoHeader)))
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(usize, Told)>, HeaderError> {
    let Some(end) = bytes.iter().take(V1_LIMIT).position(|b| *b == b'\n') else {
        return if bytes.len() >= V1_LIMIT { Err(HeaderError::Malformed) } else { Ok(None) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(HeaderError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let told = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Told::Nothing,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let address = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == (*family == "TCP4"))?;
                // No sign, no blank, no leading zero: what `parse` alone would let pass.
                let digits = port.bytes().all(|b| b.is_ascii_digit());
                Some(SocketAddr::new(ip, port.parse().ok().filter(|_| digits)?))
            };
            let both = address(source, from).zip(address(destination, to));
            Told::Addresses(both.ok_or(HeaderError::Malformed)?)
        }
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Some((end + 1, told)))
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(usize, Told)>, HeaderError> {
    let (command, family) = (bytes[12], bytes[13]);
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if command >> 4 != 2 || command & 15 > 1 || length > V2_LIMIT {
        return Err(HeaderError::Malformed);
    }
    let Some(body) = bytes.get(16..length) else { return Ok(None) };
    let port = |at: usize| body.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let told = match (command & 15, family) {
        (0, _) => Told::Nothing,
        (_, 0x11) => {
            let ip = |at: usize| {
                let four: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(four)))
            };
            addresses(ip(0), ip(4), port(8), port(10))?
        }
        (_, 0x21) => {
            let ip = |at: usize| {
                let sixteen: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(sixteen)))
            };
            addresses(ip(0), ip(16), port(32), port(34))?
        }
        (_, 0) => Told::Nothing,
        _ => return Err(HeaderError::Malformed),
    };
    Ok(Some((length, told)))
}

fn addresses(
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    from: Option<u16>,
    to: Option<u16>,
) -> Result<Told, HeaderError> {
    let both = source.zip(from).zip(destination.zip(to));
    let (source, destination) = both.ok_or(HeaderError::Malformed)?;
    Ok(Told::Addresses((source.into(), destination.into())))
}

/// The header for an endpoint.
pub(crate) fn write(version: Version, (source, destination): Addresses) -> Vec<u8> {
    // Both of one family: an IPv4 address is also an IPv6 one.
    let (source, destination) = match (source.ip(), destination.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => (source, destination),
        _ => (as_v6(source), as_v6(destination)),
    };
    match version {
        Version::V1 => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.port(), destination.port());
            format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip()).into_bytes()
        }
        Version::V2 => {
            let (family, mut body) = match (source.ip(), destination.ip()) {
                (IpAddr::V4(a), IpAddr::V4(b)) => (0x11, [a.octets(), b.octets()].concat()),
                (a, b) => (0x21, [octets(a), octets(b)].concat()),
            };
            body.extend_from_slice(&source.port().to_be_bytes());
            body.extend_from_slice(&destination.port().to_be_bytes());
            let length = u16::try_from(body.len()).unwrap_or_default().to_be_bytes();
            [SIGNATURE.as_slice(), &[0x21, family], &length, &body].concat()
        }
    }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn as_v6(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(octets(address.ip())).into(), address.port())
}

#[cfg(test)]
mod tests {
    use super::{Told, Version, parse, write};

    #[test]
    fn what_is_written_is_read() {
        for pair in [("1.2.3.4:5", "6.7.8.9:10"), ("[2001:db8::1]:443", "[::1]:80")] {
            let pair = (pair.0.parse().expect("address"), pair.1.parse().expect("address"));
            for version in [Version::V1, Version::V2] {
                let bytes = write(version, pair);
                for cut in 0..bytes.len() {
                    assert!(matches!(parse(&bytes[..cut]), Ok(None)), "{version:?} cut at {cut}");
                }
                assert_eq!(parse(&bytes).expect("header"), Some((bytes.len(), Told::Addresses(pair))));
            }
        }
    }

    #[test]
    fn malformed_headers_close_the_connection() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let mut short =
            write(Version::V2, ("1.2.3.4:5".parse().expect("a"), "6.7.8.9:1".parse().expect("b")));
        short.truncate(20);
        short[15] = 4;
        let cases: [&[u8]; 6] = [
            b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
            b"PROXY TCP4 ::1 5.6.7.8 9 1\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +9 1\r\n",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9 1\n",
            &long,
            &short,
        ];
        for bytes in cases {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(parse(b"GET / HTTP/1.1\r\n").expect("fine"), Some((0, Told::NoHeader)));
        assert_eq!(parse(b"PROXY UNKNOWN\r\nGET").expect("fine"), Some((15, Told::Nothing)));
    }
}
