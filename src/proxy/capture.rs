//! Traffic capture: the packet-filter rules that bring a pod's connections to its proxy.
//!
//! Takes the flags of `istio-iptables`, builds Istio's redirect rules ([`rules`]) and writes them as nftables over
//! netlink ([`apply`]), with no external binary. The whole rule set is replaced in one kernel transaction, so a
//! second run leaves exactly the same rules and a failed run leaves the old ones.

mod apply;
mod arguments;
mod cidr;
mod dns_rules;
mod error;
mod owner_rules;
mod rules;
mod validate;

#[cfg(test)]
mod tests;

pub use arguments::InitArguments;
pub use cidr::Cidr;
pub use error::CaptureError;

use arguments::CaptureConfig;

/// Mark (`SO_MARK`) of the proxy's own sockets. A proxy that cannot run as user 1337 is recognized by it, so that
/// its traffic is not captured again.
pub const PROXY_MARK: u32 = 1337;

/// Does what `sagene proxy init` was asked for: print, remove, write or check the rules of this network namespace.
///
/// # Errors
/// [`CaptureError`] says which flag is wrong, or what the kernel lacks or refuses.
pub fn run(arguments: &InitArguments) -> Result<(), CaptureError> {
    let config = CaptureConfig::resolve(arguments)?;
    if arguments.dry_run {
        for line in rules::describe(&rules::tables(&config)) {
            println!("{line}");
        }
        return Ok(());
    }
    if arguments.cleanup_only {
        return apply::remove();
    }
    if !arguments.skip_rule_apply {
        apply::replace(&rules::tables(&config))?;
    }
    if arguments.run_validation {
        validate::run(&config, arguments.probe_timeout)?;
    }
    Ok(())
}
