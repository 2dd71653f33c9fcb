//! Functions of URLs, IP addresses and ranges of them.

use std::net::IpAddr;

use super::{Function, Outcome, error, global, method, no_overload};
use crate::value::{Url, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    global("url", 1, |values| match values {
        [Value::Text(text)] => url(text)
            .map_or_else(|| error(format!("{text:?} is no URL")), |url| Ok(Value::Url(Box::new(url)))),
        _ => no_overload("url", values),
    }),
    global("isURL", 1, |values| is(values, "isURL", |text| url(text).is_some())),
    method("getScheme", 1, 1, |values| part(values, "getScheme", |url| url.scheme.clone())),
    method("getHost", 1, 1, |values| part(values, "getHost", |url| url.host.clone())),
    method("getHostname", 1, 1, |values| {
        part(values, "getHostname", |url| split_port(&url.host).0.to_owned())
    }),
    method("getPort", 1, 1, |values| part(values, "getPort", |url| split_port(&url.host).1.to_owned())),
    method("getEscapedPath", 1, 1, |values| part(values, "getEscapedPath", |url| url.path.clone())),
    method("getQuery", 1, 1, query),
    global("isIP", 1, |values| is(values, "isIP", |text| text.parse::<IpAddr>().is_ok())),
    global("ip", 1, |values| match values {
        [Value::Text(text)] => match text.parse() {
            Ok(address) => Ok(Value::Address(address)),
            Err(_) => error(format!("{text:?} is no IP address")),
        },
        _ => no_overload("ip", values),
    }),
    method("ip", 1, 1, |values| match values {
        [Value::Subnet(address, _)] => Ok(Value::Address(*address)),
        _ => no_overload("ip", values),
    }),
    global("ip.isCanonical", 1, |values| {
        is(values, "ip.isCanonical", |text| {
            text.parse::<IpAddr>().is_ok_and(|address| address.to_string() == text)
        })
    }),
    method("family", 1, 1, |values| match values {
        [Value::Address(address)] => Ok(Value::Integer(if address.is_ipv4() { 4 } else { 6 })),
        _ => no_overload("family", values),
    }),
    method("isUnspecified", 1, 1, |values| about(values, IpAddr::is_unspecified)),
    method("isLoopback", 1, 1, |values| about(values, IpAddr::is_loopback)),
    method("isLinkLocalUnicast", 1, 1, |values| {
        about(values, |address| match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        })
    }),
    global("isCIDR", 1, |values| is(values, "isCIDR", |text| subnet(text).is_some())),
    global("cidr", 1, |values| match values {
        [Value::Text(text)] => match subnet(text) {
            Some((address, length)) => Ok(Value::Subnet(address, length)),
            None => error(format!("{text:?} is no CIDR range")),
        },
        _ => no_overload("cidr", values),
    }),
    method("prefixLength", 1, 1, |values| match values {
        [Value::Subnet(_, length)] => Ok(Value::Integer(i64::from(*length))),
        _ => no_overload("prefixLength", values),
    }),
    method("masked", 1, 1, |values| match values {
        [Value::Subnet(address, length)] => Ok(Value::Subnet(masked(*address, *length), *length)),
        _ => no_overload("masked", values),
    }),
    method("containsIP", 2, 2, |values| contains(values, "containsIP")),
    method("containsCIDR", 2, 2, |values| contains(values, "containsCIDR")),
];

fn is<'a>(values: &[Value<'a>], name: &str, test: fn(&str) -> bool) -> Outcome<'a> {
    match values {
        [Value::Text(text)] => Ok(Value::Boolean(test(text))),
        _ => no_overload(name, values),
    }
}

fn about<'a>(values: &[Value<'a>], test: fn(&IpAddr) -> bool) -> Outcome<'a> {
    match values {
        [Value::Address(address)] => Ok(Value::Boolean(test(address))),
        _ => no_overload("isLoopback", values),
    }
}

fn part<'a>(values: &[Value<'a>], name: &str, part: fn(&Url) -> String) -> Outcome<'a> {
    match values {
        [Value::Url(url)] => Ok(Value::owned(part(url))),
        _ => no_overload(name, values),
    }
}

fn query<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Url(url)] = values else { return no_overload("getQuery", values) };
    let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
    for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Value::owned(value.to_owned());
        match entries.iter_mut().find(|(known, _)| known.text() == Some(name)) {
            Some((_, Value::List(values))) => values.push(value),
            _ => entries.push((Value::owned(name.to_owned()), Value::List(vec![value]))),
        }
    }
    Ok(Value::Map(entries))
}

/// An absolute URI or an absolute path, as Kubernetes reads them.
fn url(text: &str) -> Option<Url> {
    let no_control = text.chars().all(|character| !character.is_control() && character != ' ');
    if text.is_empty() || !no_control || text.contains('#') {
        return None;
    }
    let (scheme, rest) = if text.starts_with('/') { ("", text) } else { scheme(text)? };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
        None => ("", rest),
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let port = split_port(host).1;
    let good = port.bytes().all(|byte| byte.is_ascii_digit()) && is_host(host) && escapes_are_good(path);
    good.then(|| Url {
        scheme: scheme.to_ascii_lowercase(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
    })
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let allowed = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (allowed && scheme.starts_with(|first: char| first.is_ascii_alphabetic())).then_some((scheme, rest))
}

/// True for what Go takes for a host: other characters of ASCII have to be escaped, and only such beyond it may be.
fn is_host(text: &str) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&byte)
    };
    text.bytes().all(fits) && escapes_are_good(text)
}

fn escapes_are_good(path: &str) -> bool {
    path.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn split_port(host: &str) -> (&str, &str) {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, rest.strip_prefix(':').unwrap_or(""));
    }
    host.rsplit_once(':').unwrap_or((host, ""))
}

fn subnet(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= width(address)).then_some((address, length))
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

fn contains<'a>(values: &[Value<'a>], name: &str) -> Outcome<'a> {
    let [Value::Subnet(network, length), inner] = values else { return no_overload(name, values) };
    let (address, inner_length) = match inner {
        Value::Address(address) => (*address, width(*address)),
        Value::Subnet(address, length) => (*address, *length),
        Value::Text(text) => {
            match subnet(text).or_else(|| text.parse().ok().map(|address| (address, width(address)))) {
                Some(parsed) => parsed,
                None => return error(format!("{text:?} is neither IP address nor CIDR range")),
            }
        }
        _ => return no_overload(name, values),
    };
    let same_family = address.is_ipv4() == network.is_ipv4();
    let inside =
        same_family && inner_length >= *length && masked(address, *length) == masked(*network, *length);
    Ok(Value::Boolean(inside))
}
