//! Where tokens stand in a request: headers, query parameters, cookies.

use crate::config::proto::http::jwt_authn::v3 as proto_jwt;
use crate::config::split_query;
use crate::http::headers::HeaderList;

/// A place where a provider looks for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// Name in lower case, and the text in front of the token.
    Header {
        name: Box<str>,
        prefix: Box<str>,
    },
    Parameter(Box<str>),
    Cookie(Box<str>),
}

/// A token as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) at: Location,
}

/// The places a provider looks at; where it says nothing, the usual ones (RFC 6750).
pub(super) fn locations(from: &proto_jwt::JwtProvider) -> Vec<Location> {
    let headers = from.from_headers.iter().map(|header| Location::Header {
        name: header.name.to_ascii_lowercase().into(),
        prefix: header.value_prefix.as_str().into(),
    });
    let parameters = from.from_params.iter().map(|name| Location::Parameter(name.as_str().into()));
    let cookies = from.from_cookies.iter().map(|name| Location::Cookie(name.as_str().into()));
    let stated: Vec<Location> = headers.chain(parameters).chain(cookies).collect();
    if !stated.is_empty() {
        return stated;
    }
    vec![
        Location::Header { name: "authorization".into(), prefix: "Bearer ".into() },
        Location::Parameter("access_token".into()),
    ]
}

impl Location {
    /// The tokens at this place.
    pub(super) fn find(&self, headers: &HeaderList, path: &[u8]) -> Vec<Found> {
        let texts: Vec<String> = match self {
            Self::Header { name, prefix } => {
                let values = headers.get_all(name.as_bytes());
                values.filter_map(|value| behind(&String::from_utf8_lossy(value), prefix)).collect()
            }
            Self::Parameter(name) => parameter(path, name).into_iter().collect(),
            Self::Cookie(name) => cookie(headers, name).into_iter().collect(),
        };
        texts.into_iter().map(|text| Found { text, at: self.clone() }).collect()
    }

    /// Takes the tokens off the request. Cookies stay, as in Envoy.
    pub(super) fn remove(&self, headers: &mut HeaderList, path: &mut Vec<u8>) {
        match self {
            Self::Header { name, .. } => {
                headers.remove(name.as_bytes());
            }
            Self::Parameter(name) => remove_parameter(path, name),
            Self::Cookie(_) => {}
        }
    }
}

/// The token behind `prefix`: as many characters as tokens have.
fn behind(value: &str, prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return Some(value.to_owned());
    }
    let start = value.find(prefix)? + prefix.len();
    let rest = value.get(start..)?;
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let Some(first) = rest.find(of_token) else { return Some(rest.to_owned()) };
    let rest = &rest[first..];
    Some(rest[..rest.find(|c| !of_token(c)).unwrap_or(rest.len())].to_owned())
}

fn parameter(path: &[u8], name: &str) -> Option<String> {
    let (_, query) = split_query(path);
    let query = std::str::from_utf8(query).ok()?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

fn remove_parameter(path: &mut Vec<u8>, name: &str) {
    let (only, query) = split_query(path);
    let is_it = |pair: &[u8]| {
        pair.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    };
    let kept: Vec<&[u8]> = query.split(|byte| *byte == b'&').filter(|pair| !is_it(pair)).collect();
    let query = kept.join(b"&".as_slice());
    let mut made = only.to_vec();
    if !query.is_empty() {
        made.push(b'?');
        made.extend_from_slice(&query);
    }
    *path = made;
}

fn cookie(headers: &HeaderList, name: &str) -> Option<String> {
    let pairs = headers.get_all(b"cookie").flat_map(|value| value.split(|byte| *byte == b';'));
    let mut values =
        pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let value = values.next()?;
    let value = value.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(value);
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_and_taken_off() {
        let mut headers = HeaderList::default();
        headers.append(b"authorization", b"Bearer a.b-c.d_e, more");
        headers.append(b"cookie", b"x=1; session=q.w.e");
        let mut path = b"/p?access_token=1.2.3&keep=1".to_vec();
        let header = Location::Header { name: "authorization".into(), prefix: "Bearer ".into() };
        assert_eq!(header.find(&headers, &path)[0].text, "a.b-c.d_e");
        assert_eq!(Location::Cookie("session".into()).find(&headers, &path)[0].text, "q.w.e");
        let parameter = Location::Parameter("access_token".into());
        assert_eq!(parameter.find(&headers, &path)[0].text, "1.2.3");
        header.remove(&mut headers, &mut path);
        parameter.remove(&mut headers, &mut path);
        assert!(!headers.contains(b"authorization"));
        assert_eq!(path, b"/p?keep=1");
    }
}
