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
mod tproxy_routes;
mod tproxy_rules;
mod validate;

#[cfg(test)]
mod tests;

pub use arguments::InitArguments;
pub use cidr::Cidr;
pub use error::CaptureError;

use std::io::Write;

use arguments::CaptureConfig;
use sagene_base::logging::{LogFormat, LogTarget, LoggingError, LoggingOptions};

/// Mark (`SO_MARK`) of the proxy's own sockets. A proxy that cannot run as user 1337 is recognized by it, so that
/// its traffic is not captured again.
pub const PROXY_MARK: u32 = 1337;

/// Mark of connections that the proxy makes to its application in a caller's name (interception mode `TPROXY`). It
/// differs from [`PROXY_MARK`]: those are captured by no rule, these are also kept inside the pod.
pub const TPROXY_MARK: u32 = 1338;

/// Does what `sagene proxy init` was asked for: print, remove, write or check the rules of this network namespace.
///
/// # Errors
/// [`CaptureError`] says which flag is wrong, or what the kernel lacks or refuses.
pub fn run(arguments: &InitArguments) -> Result<(), CaptureError> {
    set_up_log(arguments)?;
    let config = CaptureConfig::resolve(arguments)?;
    if arguments.dry_run {
        let text = rules::describe(&rules::tables(&config, apply::families(&config))).join("\n") + "\n";
        return std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|source| CaptureError::System { action: "print the rules".to_owned(), source });
    }
    if arguments.cleanup_only {
        return apply::remove(&config);
    }
    if !arguments.skip_rule_apply {
        apply::replace(&config)?;
    }
    if arguments.run_validation {
        validate::run(&config, arguments.probe_timeout)?;
    }
    Ok(())
}

/// The log goes to standard error: `--dry-run` prints the rules on standard output.
fn set_up_log(arguments: &InitArguments) -> Result<(), CaptureError> {
    let format = if arguments.log_as_json { LogFormat::Json } else { LogFormat::Text };
    let options =
        LoggingOptions { levels: arguments.log_output_level.clone(), target: LogTarget::Stderr, format };
    match sagene_base::logging::init(&options) {
        // A second call in one process keeps the first one's log.
        Ok(_) | Err(LoggingError::AlreadySetUp) => Ok(()),
        Err(error) => Err(CaptureError::Flag {
            flag: "log_output_level",
            value: arguments.log_output_level.clone(),
            reason: error.to_string(),
        }),
    }
}
