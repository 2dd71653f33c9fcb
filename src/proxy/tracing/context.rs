//! The context of a trace in headers: B3 in several headers or in one, and the W3C's `traceparent`.

use super::config::Propagation;
use crate::http::headers::HeaderList;

/// What a request says of the trace it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parent {
    /// Absent where only the decision came.
    pub(super) span: Option<ParentSpan>,
    /// The decision of those before, if they made one.
    pub(super) sampled: Option<bool>,
    /// `tracestate`, handed on as it is.
    pub(super) state: String,
}

/// The span that caused the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ParentSpan {
    pub(super) trace: u128,
    /// Whether the trace id came with 128 bits.
    pub(super) wide: bool,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
}

/// What is told to the next one.
pub(super) struct Told<'t> {
    pub(super) trace: u128,
    pub(super) wide: bool,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) sampled: bool,
    pub(super) state: &'t str,
}

/// Reads the context in the order in which Envoy does: `b3`, `x-b3-…`, and `traceparent` where it is looked for.
pub(super) fn extract(headers: &HeaderList, propagation: Propagation) -> Parent {
    let found = match propagation {
        Propagation::W3c => traceparent(headers),
        Propagation::B3 => b3(headers),
        Propagation::B3WithW3c => b3(headers).or_else(|| traceparent(headers)),
    };
    found.unwrap_or_default()
}

fn b3(headers: &HeaderList) -> Option<Parent> {
    match headers.get_text(b"b3") {
        Some(single) => single_b3(single),
        None => several_b3(headers),
    }
}

fn single_b3(text: &str) -> Option<Parent> {
    let decision = |flag: &str| match flag {
        "0" => Some(false),
        "1" | "d" => Some(true),
        _ => None,
    };
    let mut parts = text.split('-');
    let first = parts.next()?;
    let Some(id) = parts.next() else {
        return decision(first).map(|sampled| Parent { sampled: Some(sampled), ..Parent::default() });
    };
    let (trace, wide) = trace_id(first)?;
    let (flag, parent) = (parts.next(), parts.next().and_then(span_id));
    let span = ParentSpan { trace, wide, id: span_id(id)?, parent };
    Some(Parent { span: Some(span), sampled: flag.and_then(decision), ..Parent::default() })
}

fn several_b3(headers: &HeaderList) -> Option<Parent> {
    let sampled = match headers.get_text(b"x-b3-sampled") {
        Some("1" | "true" | "True" | "d") => Some(true),
        Some("0" | "false" | "False") => Some(false),
        _ => (headers.get(b"x-b3-flags") == Some(b"1")).then_some(true),
    };
    let span = || {
        let (trace, wide) = trace_id(headers.get_text(b"x-b3-traceid")?)?;
        let id = span_id(headers.get_text(b"x-b3-spanid")?)?;
        let parent = headers.get_text(b"x-b3-parentspanid").and_then(span_id);
        Some(ParentSpan { trace, wide, id, parent })
    };
    let span = span();
    (span.is_some() || sampled.is_some()).then_some(Parent { span, sampled, ..Parent::default() })
}

fn traceparent(headers: &HeaderList) -> Option<Parent> {
    let mut parts = headers.get_text(b"traceparent")?.split('-');
    let (version, trace, id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
    let whole = trace.len() == 32 && id.len() == 16 && flags.len() == 2;
    if !known || !whole {
        return None;
    }
    let (trace, _) = trace_id(trace)?;
    let span = ParentSpan { trace, wide: true, id: span_id(id)?, parent: None };
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    let states: Vec<&str> =
        headers.get_all(b"tracestate").filter_map(|value| std::str::from_utf8(value).ok()).collect();
    Some(Parent { span: Some(span), sampled: Some(sampled), state: states.join(",") })
}

/// 16 or 32 hexadecimal digits, not all zero; whether there were 32.
fn trace_id(text: &str) -> Option<(u128, bool)> {
    let fits = matches!(text.len(), 16 | 32) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|id| fits && *id != 0)?;
    Some((id, text.len() == 32))
}

fn span_id(text: &str) -> Option<u64> {
    let fits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|id| fits && *id != 0)
}

/// A trace id in as many digits as it has bits.
pub(super) fn trace_text(trace: u128, wide: bool) -> String {
    if wide { format!("{trace:032x}") } else { format!("{trace:016x}") }
}

/// Writes the context for the next one. A caller that used the single header gets its successor in it, too.
pub(super) fn inject(headers: &mut HeaderList, told: &Told<'_>, propagation: Propagation) {
    let (id, flag) = (format!("{:016x}", told.id), if told.sampled { "1" } else { "0" });
    let trace = trace_text(told.trace, told.wide);
    if propagation != Propagation::W3c {
        headers.set(b"x-b3-traceid", trace.as_bytes());
        headers.set(b"x-b3-spanid", id.as_bytes());
        match told.parent {
            Some(parent) => headers.set(b"x-b3-parentspanid", format!("{parent:016x}").as_bytes()),
            None => _ = headers.remove(b"x-b3-parentspanid"),
        }
        headers.set(b"x-b3-sampled", flag.as_bytes());
        if headers.contains(b"b3") {
            headers.set(b"b3", format!("{trace}-{id}-{flag}").as_bytes());
        }
    }
    if propagation != Propagation::B3 {
        let parent = format!("00-{:032x}-{id}-0{flag}", told.trace);
        headers.set(b"traceparent", parent.as_bytes());
        if !told.state.is_empty() {
            headers.set(b"tracestate", told.state.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "463ac35c9f6413ad48485a3953bb6124";

    fn read(pairs: &[(&str, &str)], propagation: Propagation) -> Parent {
        let mut headers = HeaderList::default();
        pairs.iter().for_each(|(name, value)| headers.append(name.as_bytes(), value.as_bytes()));
        extract(&headers, propagation)
    }

    #[test]
    fn every_form_means_the_same() {
        let b3 = Propagation::B3;
        let several = [
            ("x-b3-traceid", TRACE),
            ("x-b3-spanid", "a2fb4a1d1a96d312"),
            ("x-b3-parentspanid", "0020000000000001"),
            ("x-b3-sampled", "1"),
        ];
        let one = format!("{TRACE}-a2fb4a1d1a96d312-1-0020000000000001");
        let expected = read(&several, b3);
        let span = expected.span.expect("a span");
        assert_eq!(
            (span.id, span.parent, span.wide),
            (0xa2fb_4a1d_1a96_d312, Some(0x0020_0000_0000_0001), true)
        );
        assert_eq!(expected.sampled, Some(true));
        assert_eq!(read(&[("b3", &one)], b3), expected);
        let w3c = format!("00-{TRACE}-a2fb4a1d1a96d312-01");
        let found =
            read(&[("traceparent", &w3c), ("tracestate", "a=1"), ("tracestate", "b=2")], Propagation::W3c);
        assert_eq!(found.span, Some(ParentSpan { parent: None, ..span }));
        assert_eq!((found.sampled, found.state.as_str()), (Some(true), "a=1,b=2"));
        assert_eq!(read(&[("b3", "0")], b3), Parent { sampled: Some(false), ..Parent::default() });
    }

    #[test]
    fn what_is_malformed_starts_a_new_trace() {
        let zero = format!("00-{}-a2fb4a1d1a96d312-01", "0".repeat(32));
        for text in ["", "00", "zz-1-2-3", &zero, "00-463ac35c9f6413ad48485a3953bb6124-xyz-01"] {
            assert_eq!(read(&[("traceparent", text)], Propagation::W3c), Parent::default(), "{text}");
        }
        assert_eq!(
            read(&[("x-b3-traceid", "short"), ("x-b3-spanid", "1")], Propagation::B3),
            Parent::default()
        );
    }
}
