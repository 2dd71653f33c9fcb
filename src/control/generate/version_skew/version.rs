//! Versions of the program, in the order in which they came.

use std::fmt;
use std::str::FromStr;

/// `major.minor.patch`; what stands behind it, such as `-rc.1`, is not minded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<u32> =
            numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| NoVersion)?;
        match parts[..] {
            [major, minor, patch] => Ok(Self(major, minor, patch)),
            _ => Err(NoVersion),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form major.minor.patch")]
pub struct NoVersion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered_by_number() {
        let version = |text: &str| text.parse::<Version>();
        assert!(version("0.9.0").expect("a version") < version("0.10.0").expect("a version"));
        assert_eq!(version("1.2.3-rc.1"), Ok(Version(1, 2, 3)));
        assert_eq!(Version(1, 2, 3).to_string(), "1.2.3");
        for other in ["", "1.2", "1.2.3.4", "test", "1.x.0"] {
            assert_eq!(version(other), Err(NoVersion), "{other}");
        }
    }
}
