//! The filter `CORS` of HTTPRoutes as the `corsPolicy` of VirtualServices.

use sagene_api::Duration;
use sagene_api::gateway_api::http_route::Cors;
use sagene_api::istio::networking::virtual_service::{CorsPolicy, UnmatchedPreflights};
use sagene_api::istio::types::StringMatch;

/// Seconds for which preflights are kept where nothing is said (Gateway API, `HTTPCORSFilter`).
const MAX_AGE: i32 = 5;

/// The policy a filter means. Preflights of other origins are answered without its headers, as the Gateway API asks; those of VirtualServices
/// go on to the service.
pub(super) fn policy(wanted: &Cors) -> CorsPolicy {
    CorsPolicy {
        allow_origins: wanted.allow_origins.iter().map(|origin| origin_match(origin)).collect(),
        allow_methods: wanted.allow_methods.clone(),
        allow_headers: wanted.allow_headers.clone(),
        expose_headers: wanted.expose_headers.clone(),
        max_age: Some(Duration::from_secs(i64::from(wanted.max_age.unwrap_or(MAX_AGE)))),
        allow_credentials: wanted.allow_credentials,
        unmatched_preflights: UnmatchedPreflights::Ignore,
        ..CorsPolicy::default()
    }
}

/// `*` stands for any number of labels; a scheme's own port is what an origin leaves out.
fn origin_match(origin: &str) -> StringMatch {
    let origin = origin.to_ascii_lowercase();
    let origin = match origin.split_once("://") {
        Some(("http", rest)) => format!("http://{}", rest.strip_suffix(":80").unwrap_or(rest)),
        Some(("https", rest)) => format!("https://{}", rest.strip_suffix(":443").unwrap_or(rest)),
        _ => origin,
    };
    match origin.split_once("://*") {
        Some((scheme, rest)) => {
            StringMatch::Regex(format!("{scheme}://[a-z0-9.-]+{}", rest.replace('.', "\\.")))
        }
        None => StringMatch::Exact(origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_with_wildcards_match_hosts_of_any_depth() {
        let regex = |text: &str| StringMatch::Regex(text.to_owned());
        let exact = |text: &str| StringMatch::Exact(text.to_owned());
        assert_eq!(origin_match("https://*.Example.com"), regex(r"https://[a-z0-9.-]+\.example\.com"));
        assert_eq!(origin_match("http://*:8080"), regex("http://[a-z0-9.-]+:8080"));
        assert_eq!(origin_match("https://a.com:443"), exact("https://a.com"));
        assert_eq!(origin_match("http://a.com:443"), exact("http://a.com:443"));
        assert_eq!(origin_match("*"), exact("*"));
    }
}
