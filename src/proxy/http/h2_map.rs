//! Header lists to and from the form that the HTTP/2 library takes.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::headers::HeaderList;

/// Names and values that HTTP/2 cannot carry are left out.
pub(crate) fn to_map(list: &HeaderList) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(list.len());
    for (name, value) in list.iter() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// Copies a header map.
pub(crate) fn to_list(map: &HeaderMap) -> HeaderList {
    let mut list = HeaderList::default();
    for (name, value) in map {
        list.append(name.as_str().as_bytes(), value.as_bytes());
    }
    list
}
