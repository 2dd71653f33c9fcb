//! The rate limit that everybody copies, in each of the ways it is written.

use super::harness::{Parts, body, status};

const LIMIT: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/// The filter's fields, with four tokens a minute.
const FIELDS: &str = r#"stat_prefix: http_local_rate_limiter
token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 60s}
filter_enabled: {runtime_key: local_rate_limit_enabled, default_value: {numerator: 100, denominator: HUNDRED}}
filter_enforced: {runtime_key: local_rate_limit_enforced, default_value: {numerator: 100, denominator: HUNDRED}}
response_headers_to_add:
- append: false
  header: {key: x-local-rate-limit, value: 'true'}
"#;

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

fn plain(fields: &str) -> String {
    format!(
        "- name: envoy.filters.http.local_ratelimit\n  typed_config:\n    \"@type\": type.googleapis.com/{LIMIT}\n{}",
        indented(fields, 4)
    )
}

fn typed_struct(kind: &str, fields: &str) -> String {
    format!(
        "- name: envoy.filters.http.local_ratelimit\n  typed_config:\n    \"@type\": type.googleapis.com/{kind}\n    \
         type_url: type.googleapis.com/{LIMIT}\n    value:\n{}",
        indented(fields, 6)
    )
}

#[test]
fn requests_beyond_the_bucket_get_429_however_the_filter_is_written() {
    let ways = [
        plain(FIELDS),
        typed_struct("udpa.type.v1.TypedStruct", FIELDS),
        typed_struct("xds.type.v3.TypedStruct", FIELDS),
    ];
    for filters in ways {
        let running = Parts { filters, ..Parts::default() }.start().expect("accepted");
        let answers: Vec<String> = (0..10).map(|_| running.get("/a", "")).collect();
        let passed = answers.iter().filter(|answer| status(answer) == 200).count();
        assert_eq!((passed, running.served()), (4, 4));
        let last = &answers[9];
        assert_eq!((status(last), body(last)), (429, "local_rate_limited"));
        assert!(last.contains("\r\nx-local-rate-limit: true\r\n"), "{last}");
        assert!(!answers[0].contains("x-local-rate-limit"), "{}", answers[0]);
        for (name, value) in [("enabled", 10), ("ok", 4), ("rate_limited", 6), ("enforced", 6)] {
            let name = format!("http_local_rate_limiter.http_local_rate_limit.{name}");
            assert_eq!(running.stat(&name), value, "{name}");
        }
    }
}

#[test]
fn shares_of_the_requests_are_counted_and_refused() {
    let with = |enabled: u32, enforced: u32| {
        format!(
            "stat_prefix: limit\ntoken_bucket: {{max_tokens: 1, fill_interval: 3600s}}\n\
             filter_enabled: {{default_value: {{numerator: {enabled}}}}}\n\
             filter_enforced: {{default_value: {{numerator: {enforced}}}}}\n\
             request_headers_to_add_when_not_enforced: [{{header: {{key: x-would-be-limited, value: 'yes'}}}}]\n"
        )
    };
    let start =
        |fields: &str| Parts { filters: plain(fields), ..Parts::default() }.start().expect("accepted");
    let watched = start(&with(100, 0));
    assert!(!watched.get("/a", "").contains("x-would-be-limited"));
    assert!(watched.get("/a", "").contains("x-would-be-limited: yes\r\n"));
    assert_eq!((watched.stat("limit.http_local_rate_limit.rate_limited"), watched.served()), (1, 2));
    let off = start("stat_prefix: limit\ntoken_bucket: {max_tokens: 1, fill_interval: 3600s}\n");
    assert!((0..3).all(|_| status(&off.get("/a", "")) == 200), "without a share nothing is limited");
    let half = start(&with(50, 100));
    let refused = (0..400).filter(|_| status(&half.get("/a", "")) == 429).count();
    assert!((140..=260).contains(&refused), "{refused} of 400");
}

#[test]
fn routes_have_limits_of_their_own_and_descriptors_buckets_of_theirs() {
    let own = "stat_prefix: own\ntoken_bucket: {max_tokens: 1, fill_interval: 3600s}\n\
               filter_enabled: {default_value: {numerator: 100}}\nfilter_enforced: {default_value: {numerator: 100}}\n";
    let routes = format!(
        "- name: own\n  match: {{prefix: /own}}\n  route: {{cluster: service}}\n  typed_per_filter_config:\n    \
         envoy.filters.http.local_ratelimit:\n      \"@type\": type.googleapis.com/{LIMIT}\n{}",
        indented(own, 6)
    );
    let host = "rate_limits:\n- actions: [{request_headers: {header_name: ':path', descriptor_key: path}}, \
                {header_value_match: {descriptor_key: who, descriptor_value: guest, headers: [{name: x-user, \
                present_match: true, invert_match: true}]}}]\n";
    let filter = format!(
        "{FIELDS}enable_x_ratelimit_headers: DRAFT_VERSION_03\ndescriptors:\n- entries: [{{key: path, value: /few}}, \
         {{key: who, value: guest}}]\n  token_bucket: {{max_tokens: 2, fill_interval: 3600s}}\n"
    );
    let parts = Parts { filters: plain(&filter), routes, host: host.to_owned(), ..Parts::default() };
    let running = parts.start().expect("accepted");
    let codes = |path: &str, headers: &str| -> Vec<u16> {
        (0..3).map(|_| status(&running.get(path, headers))).collect()
    };
    assert_eq!(codes("/own", ""), [200, 429, 429]);
    assert_eq!(codes("/few", ""), [200, 200, 429], "the descriptor's bucket is the smaller one");
    let answer = running.get("/other", "x-user: a\r\n");
    assert!(answer.contains("x-ratelimit-limit: 4\r\nx-ratelimit-remaining: 1\r\n"), "{answer}");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let refused =
        |fields: &str| Parts { filters: plain(fields), ..Parts::default() }.start().err().expect("refused");
    let said = refused("stat_prefix: x\nlocal_rate_limit_per_downstream_connection: true\n");
    assert!(said.contains("local_rate_limit_per_downstream_connection"), "{said}");
    let said = refused("stat_prefix: x\ntoken_bucket: {max_tokens: 1, fill_interval: 0.01s}\n");
    assert!(said.contains("fill_interval"), "{said}");
    let parts = Parts {
        filters: "- name: envoy.filters.http.lua\n  typed_config:\n    \"@type\": \
                  type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n    inline_code: x\n"
            .to_owned(),
        ..Parts::default()
    };
    let said = parts.start().err().expect("refused");
    assert!(said.contains("http_filters[0]") && said.contains("lua.v3.Lua is not supported"), "{said}");
}
