//! What can go wrong with interfaces, addresses and rules.

use std::io;

/// A failed change of the pods' network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel refused a change asked for by netlink.
    #[error("the kernel refuses to {action}")]
    Netlink {
        /// Such as `add the bridge sagene0`.
        action: String,
        /// Its answer.
        source: nlink::Error,
    },
    /// The kernel has no such kind of interface or no packet filter.
    #[error(
        "the kernel lacks {what}: load the module {module} (`sudo modprobe {module}`) or use a kernel that has it"
    )]
    Unsupported {
        /// Such as `bridges`.
        what: &'static str,
        /// The module that has it.
        module: &'static str,
        /// Its answer.
        source: nlink::Error,
    },
    /// A namespace, sysctl or socket.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Every pod address is taken.
    #[error("all pod addresses are in use")]
    Exhausted,
}

impl NetworkError {
    pub(super) fn netlink(action: impl Into<String>) -> impl FnOnce(nlink::Error) -> Self {
        let action = action.into();
        move |source| Self::Netlink { action, source }
    }

    /// As [`Self::netlink`], but a kernel that does not know the thing gets a message of its own.
    pub(super) fn needs(
        what: &'static str,
        module: &'static str,
        action: &'static str,
    ) -> impl FnOnce(nlink::Error) -> Self {
        move |source| {
            let unknown = [nix::libc::EOPNOTSUPP, nix::libc::EPROTONOSUPPORT, nix::libc::EAFNOSUPPORT];
            if source.is_not_supported() || source.errno().is_some_and(|errno| unknown.contains(&errno)) {
                return Self::Unsupported { what, module, source };
            }
            Self::Netlink { action: action.to_owned(), source }
        }
    }

    pub(super) fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::System { action, source: source.into() }
    }
}
