//! Matchers of text, numbers of a hundred, and address ranges, compiled from Envoy's matcher messages.

use std::net::IpAddr;

use regex::bytes::{Regex, RegexBuilder};

use super::field::FieldError;
use super::proto::{core, matcher, types};

/// Longest regular expression taken (Istio's own bound is 1024 characters).
const REGEX_LIMIT: usize = 8 * 1024;

/// A compiled `StringMatcher`.
#[derive(Debug, Clone)]
pub(crate) enum TextMatch {
    Exact { text: Box<[u8]>, ignore_case: bool },
    Prefix { text: Box<[u8]>, ignore_case: bool },
    Suffix { text: Box<[u8]>, ignore_case: bool },
    Contains { text: Box<[u8]>, ignore_case: bool },
    Regex(Regex),
}

impl TextMatch {
    pub(crate) fn compile(from: &matcher::StringMatcher) -> Result<Self, FieldError> {
        use matcher::string_matcher::MatchPattern;
        let ignore_case = from.ignore_case;
        let bytes = |text: &String| text.clone().into_bytes().into_boxed_slice();
        Ok(match from.match_pattern.as_ref() {
            Some(MatchPattern::Exact(text)) => Self::Exact { text: bytes(text), ignore_case },
            Some(MatchPattern::Prefix(text)) => Self::Prefix { text: bytes(text), ignore_case },
            Some(MatchPattern::Suffix(text)) => Self::Suffix { text: bytes(text), ignore_case },
            Some(MatchPattern::Contains(text)) => Self::Contains { text: bytes(text), ignore_case },
            Some(MatchPattern::SafeRegex(regex)) => {
                Self::Regex(compile_regex(&regex.regex).map_err(|e| e.within("safe_regex"))?)
            }
            Some(MatchPattern::Custom(_)) => {
                return Err(FieldError::new("custom", "custom string matchers are not supported"));
            }
            None => return Err(FieldError::new("match_pattern", "is missing")),
        })
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact { text, ignore_case } => equal(value, text, *ignore_case),
            Self::Prefix { text, ignore_case } => {
                value.get(..text.len()).is_some_and(|head| equal(head, text, *ignore_case))
            }
            Self::Suffix { text, ignore_case } => value
                .len()
                .checked_sub(text.len())
                .is_some_and(|start| equal(&value[start..], text, *ignore_case)),
            Self::Contains { text, ignore_case: false } => memchr::memmem::find(value, text).is_some(),
            Self::Contains { text, ignore_case: true } => {
                memchr::memmem::find(&value.to_ascii_lowercase(), &text.to_ascii_lowercase()).is_some()
            }
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

fn equal(value: &[u8], text: &[u8], ignore_case: bool) -> bool {
    if ignore_case { value.eq_ignore_ascii_case(text) } else { value == text }
}

/// Compiles a regular expression that must match the whole value, as RE2's full match does; linear time.
pub(crate) fn compile_regex(pattern: &str) -> Result<Regex, FieldError> {
    build_regex(&format!("^(?:{pattern})$"), pattern)
}

/// Compiles a regular expression that is searched for (path rewrites).
pub(crate) fn compile_search_regex(pattern: &str) -> Result<Regex, FieldError> {
    build_regex(pattern, pattern)
}

fn build_regex(full: &str, shown: &str) -> Result<Regex, FieldError> {
    if shown.len() > REGEX_LIMIT {
        return Err(FieldError::new(
            "regex",
            format!("is {} characters long; at most {REGEX_LIMIT} are taken", shown.len()),
        ));
    }
    RegexBuilder::new(full).unicode(false).dot_matches_new_line(false).size_limit(4 << 20).build().map_err(
        |error| {
            FieldError::new("regex", format!("{shown:?} is not a regular expression (RE2 syntax): {error}"))
        },
    )
}

/// A compiled `RegexMatchAndSubstitute`: RE2's `\1` references become `${1}`.
#[derive(Debug, Clone)]
pub(crate) struct RegexRewrite {
    pattern: Regex,
    substitution: Vec<u8>,
}

impl RegexRewrite {
    pub(crate) fn compile(from: &matcher::RegexMatchAndSubstitute) -> Result<Self, FieldError> {
        let pattern = from.pattern.as_ref().ok_or_else(|| FieldError::new("pattern", "is missing"))?;
        let pattern = compile_search_regex(&pattern.regex).map_err(|e| e.within("pattern"))?;
        Ok(Self { pattern, substitution: re2_substitution(&from.substitution) })
    }

    pub(crate) fn apply(&self, value: &[u8]) -> Vec<u8> {
        self.pattern.replace_all(value, self.substitution.as_slice()).into_owned()
    }
}

fn re2_substitution(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'$' => out.extend_from_slice(b"$$"),
            b'\\' => match bytes.next() {
                Some(digit) if digit.is_ascii_digit() => out.extend_from_slice(&[b'$', b'{', digit, b'}']),
                Some(other) => out.push(other),
                None => out.push(b'\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// A share of requests, in parts of a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction(u32);

impl Fraction {
    /// Everything.
    pub(crate) const ALL: Self = Self(1_000_000);

    pub(crate) fn compile(from: &types::FractionalPercent) -> Self {
        use types::fractional_percent::DenominatorType;
        let factor = match from.denominator() {
            DenominatorType::Hundred => 10_000,
            DenominatorType::TenThousand => 100,
            DenominatorType::Million => 1,
        };
        Self(from.numerator.saturating_mul(factor).min(1_000_000))
    }

    pub(crate) fn of_runtime(from: &core::RuntimeFractionalPercent) -> Self {
        from.default_value.as_ref().map_or(Self::ALL, Self::compile)
    }

    /// Whether a request with this random number falls into the share.
    pub(crate) fn takes(self, random: u64) -> bool {
        self.0 >= 1_000_000 || (random % 1_000_000) < u64::from(self.0)
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    network: IpAddr,
    length: u8,
}

impl Cidr {
    pub(crate) fn compile(from: &core::CidrRange) -> Result<Self, FieldError> {
        let network: IpAddr = from.address_prefix.parse().map_err(|_| {
            FieldError::new("address_prefix", format!("{:?} is not an IP address", from.address_prefix))
        })?;
        let full = if network.is_ipv4() { 32 } else { 128 };
        let length = from.prefix_len.as_ref().map_or(0, |wrapped| wrapped.value);
        let length = u8::try_from(length)
            .ok()
            .filter(|length| *length <= full)
            .ok_or_else(|| FieldError::new("prefix_len", format!("{length} is above {full}")))?;
        Ok(Self { network, length })
    }

    /// How many leading bits are fixed: the longer, the more specific.
    pub(crate) fn length(self) -> u8 {
        self.length
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.length);
                shift == 32 || (network.to_bits() >> shift) == (address.to_bits() >> shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.length);
                shift == 128 || (network.to_bits() >> shift) == (address.to_bits() >> shift)
            }
            _ => false,
        }
    }
}
