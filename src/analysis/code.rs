//! The catalogue of messages: code, level and name, as Istio's documentation lists them.

use serde::Serialize;

/// How bad it is. The order is that of output: errors first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    /// Traffic breaks, or will.
    Error,
    /// Probably not what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Level {
    /// Reads a level, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Error, Self::Warning, Self::Info]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
    }

    /// As output shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Info => "Info",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $level:ident, $name:literal;)+) => {
        /// A message of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// `IST0101` and its like.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// How bad it is.
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }

            /// Name in Istio's documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

codes! {
    /// Something that is named does not exist.
    ReferencedResourceNotFound = "IST0101", Error, "ReferencedResourceNotFound";
    /// A namespace is neither enabled nor disabled for injection.
    NamespaceNotInjected = "IST0102", Info, "NamespaceNotInjected";
    /// A pod of an injected namespace has no proxy.
    PodMissingProxy = "IST0103", Warning, "PodMissingProxy";
    /// An object breaks a rule of its kind.
    SchemaValidationError = "IST0106", Error, "SchemaValidationError";
    /// Two virtual services of the mesh claim one host.
    ConflictingMeshGatewayVirtualServiceHosts = "IST0109", Error, "ConflictingMeshGatewayVirtualServiceHosts";
    /// A destination rule and a peer authentication contradict each other.
    MtlsPolicyConflict = "IST0113", Error, "MTLSPolicyConflict";
    /// A port's name says no protocol.
    PortNameIsNotUnderNamingConvention = "IST0118", Info, "PortNameIsNotUnderNamingConvention";
    /// TLS without a root to verify the server with.
    NoServerCertificateVerificationDestinationLevel = "IST0128", Warning, "NoServerCertificateVerificationDestinationLevel";
    /// The same for one port.
    NoServerCertificateVerificationPortLevel = "IST0129", Warning, "NoServerCertificateVerificationPortLevel";
    /// A route that no request reaches.
    VirtualServiceUnreachableRule = "IST0130", Warning, "VirtualServiceUnreachableRule";
    /// A match that adds nothing.
    VirtualServiceIneffectiveMatch = "IST0131", Info, "VirtualServiceIneffectiveMatch";
    /// A host that the gateway does not serve.
    VirtualServiceHostNotFoundInGateway = "IST0132", Warning, "VirtualServiceHostNotFoundInGateway";
    /// An object is odd, though not against the rules.
    SchemaWarning = "IST0133", Warning, "SchemaWarning";
    /// Something is accepted but has no effect in this version.
    NotYetEffective = "SGN0001", Warning, "NotYetEffective";
}

impl Code {
    /// A code by its id, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(text))
    }
}
