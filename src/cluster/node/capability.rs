//! Linux capabilities by name, and which ones a container keeps.

/// Names in the order of their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What container runtimes leave to a container that asks for nothing.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A capability nobody knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub(crate) struct UnknownCapability(String);

/// Numbers of the capabilities that stay, after `drop` and then `add`. `ALL` means all. Upper and lower case are the same, as to
/// container runtimes.
pub(crate) fn kept(add: &[String], drop: &[String]) -> Result<Vec<u8>, UnknownCapability> {
    let all: Vec<u8> = (0..).take(NAMES.len()).collect();
    let mut kept: Vec<u8> =
        all.iter().copied().filter(|number| DEFAULT.contains(&NAMES[usize::from(*number)])).collect();
    for name in drop {
        match name.to_ascii_uppercase().as_str() {
            "ALL" => kept.clear(),
            name => {
                let dropped = number(name)?;
                kept.retain(|number| *number != dropped);
            }
        }
    }
    for name in add {
        match name.to_ascii_uppercase().as_str() {
            "ALL" => kept.clone_from(&all),
            name => kept.push(number(name)?),
        }
    }
    kept.sort_unstable();
    kept.dedup();
    Ok(kept)
}

/// Its number.
pub(crate) fn number(name: &str) -> Result<u8, UnknownCapability> {
    let short = name.strip_prefix("CAP_").unwrap_or(name);
    let position = NAMES.iter().position(|known| *known == short);
    position
        .and_then(|position| u8::try_from(position).ok())
        .ok_or_else(|| UnknownCapability(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_comes_before_adding() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(kept(&names(&["NET_ADMIN", "CAP_NET_RAW"]), &names(&["ALL"])).unwrap(), [12, 13]);
        assert_eq!(kept(&names(&["net_bind_service"]), &names(&["all"])).unwrap(), [10]);
        assert_eq!(kept(&[], &[]).unwrap().len(), DEFAULT.len());
        assert_eq!(kept(&names(&["ALL"]), &[]).unwrap().len(), NAMES.len());
        assert!(kept(&[], &names(&["FLY"])).is_err());
    }
}
