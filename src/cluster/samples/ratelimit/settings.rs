//! What the environment says.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::log::Level;

/// The settings that are honored.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) debug: SocketAddr,
    pub(super) log_level: Level,
    pub(super) redis_host: String,
    pub(super) redis_port: u16,
    pub(super) redis_password: Option<String>,
    /// In front of every key.
    pub(super) key_prefix: String,
    /// Where the files with limits are.
    pub(super) directory: PathBuf,
    pub(super) ignores_dot_files: bool,
    /// Counts, but never says no.
    pub(super) shadow_mode: bool,
}

/// Settings of the original for what is not done here, with the one value that may stand there.
const FIXED: [(&str, &str); 6] = [
    ("BACKEND_TYPE", "redis"),
    ("CONFIG_TYPE", "FILE"),
    ("REDIS_SOCKET_TYPE", "tcp"),
    ("REDIS_TYPE", "SINGLE"),
    ("REDIS_TLS", "false"),
    ("REDIS_PERSECOND", "false"),
];

impl Settings {
    /// `get` finds a variable.
    ///
    /// # Errors
    /// Names the variable that cannot be used.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        for (name, only) in FIXED {
            if let Some(value) = get(name).filter(|value| !value.eq_ignore_ascii_case(only)) {
                return Err(format!("{name}={value}: only {only} is supported"));
            }
        }
        let text = |name: &str, default: &str| get(name).unwrap_or_else(|| default.to_owned());
        let port = |name: &str, default: u16| match get(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| format!("{name}={value}: want a port")),
        };
        let address = |host: &str, number: &str, default: u16| {
            let written = text(host, "0.0.0.0");
            let ip = written.trim_matches(['[', ']']).parse::<IpAddr>();
            let ip = ip.map_err(|_| format!("{host}={written}: want an IP address"))?;
            Ok::<_, String>(SocketAddr::new(ip, port(number, default)?))
        };
        let flag = |name: &str, default: bool| match get(name).as_deref() {
            None => Ok(default),
            Some("true" | "TRUE" | "True" | "t" | "1") => Ok(true),
            Some("false" | "FALSE" | "False" | "f" | "0") => Ok(false),
            Some(value) => Err(format!("{name}={value}: want true or false")),
        };
        // Read for their mistakes: nothing is sent to statsd anyhow, and files are watched whichever way they change.
        flag("USE_STATSD", true)?;
        flag("RUNTIME_WATCH_ROOT", true)?;
        let level = text("LOG_LEVEL", "WARN");
        let url = text("REDIS_URL", "localhost:6379");
        let (redis_host, redis_port) =
            host_and_port(&url).ok_or(format!("REDIS_URL={url}: want host:port"))?;
        let root = PathBuf::from(text("RUNTIME_ROOT", "/srv/runtime_data/current"));
        Ok(Self {
            http: address("HOST", "PORT", 8080)?,
            grpc: address("GRPC_HOST", "GRPC_PORT", 8081)?,
            debug: address("DEBUG_HOST", "DEBUG_PORT", 6070)?,
            log_level: Level::parse(&level).ok_or(format!("LOG_LEVEL={level}: no such level"))?,
            redis_host,
            redis_port,
            redis_password: get("REDIS_AUTH"),
            key_prefix: text("CACHE_KEY_PREFIX", ""),
            directory: root
                .join(text("RUNTIME_SUBDIRECTORY", ""))
                .join(text("RUNTIME_APPDIRECTORY", "config")),
            ignores_dot_files: flag("RUNTIME_IGNOREDOTFILES", false)?,
            shadow_mode: flag("SHADOW_MODE", false)?,
        })
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.trim_start_matches("redis://").rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}
