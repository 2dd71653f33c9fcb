//! Proxies of earlier versions: what is generated, without what their version does not implement.
//!
//! A proxy refuses by name every field that it does not implement, as it should for what a user asks of it. What the control plane sends by
//! itself, a proxy of an earlier version must never be sent: it would go without the whole listener or cluster. So the control plane knows
//! ([`table`]) since which version its proxies implement what it began to send, and takes that out of what is generated for older ones.
//! EnvoyFilters are applied after that: what a user asks for is refused by name where it is not implemented, and the rest stays in force.
//!
//! Resources are adapted once for all proxies of a class, which are those that lack the same. Envoys, and proxies of this version, get
//! what is generated as it is, and cost nothing more.

mod adapt;
#[cfg(test)]
mod inventory;
mod table;
mod version;

pub(crate) use adapt::Adapted;
pub use version::Version;

use super::proto::{Kind, Struct};
use table::TABLE;

/// Metadata of a node in which a proxy of Sagene says `sagene:<version>`. `ISTIO_VERSION` is whatever the pod's environment has it be.
const PROGRAM: &str = "ISTIO_PROXY_SHA";

/// Proxies that lack what came with this version, and what came later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Older {
    lacks: Version,
}

impl Older {
    /// The class of a proxy by what its node says; `None` where it lacks nothing, or is none of Sagene's.
    pub(crate) fn of(metadata: &Struct) -> Option<Self> {
        let Some(Kind::StringValue(program)) = metadata.fields.get(PROGRAM)?.kind.as_ref() else {
            return None;
        };
        Self::of_version(program.strip_prefix("sagene:")?.parse().ok()?)
    }

    /// The class of proxies of a version.
    fn of_version(version: Version) -> Option<Self> {
        let later = TABLE.iter().map(|line| line.since).filter(|since| *since > version);
        later.min().map(|lacks| Self { lacks })
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::{structure, text};
    use super::*;

    #[test]
    fn only_earlier_versions_of_this_program_lack_anything() {
        let class = |program: &str| Older::of(&structure([(PROGRAM, text(program))]));
        assert_eq!(class("sagene:0.1.0"), class("sagene:0.1.7"));
        assert!(class("sagene:0.1.0").is_some());
        for whole in [
            concat!("sagene:", env!("CARGO_PKG_VERSION")),
            "sagene:9.0.0",
            "sagene:unknown",
            "istio-proxy:0.1.0",
            "",
        ] {
            assert_eq!(class(whole), None, "{whole}");
        }
        assert_eq!(Older::of(&Struct::default()), None);
    }
}
