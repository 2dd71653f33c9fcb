//! Command line of the server.

/// What the server was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) http: Vec<u16>,
    pub(super) grpc: Vec<u16>,
    pub(super) tcp: Vec<u16>,
    /// Those among the ports that speak TLS.
    pub(super) tls: Vec<u16>,
    /// Those among the ports of TCP that speak before the client does.
    pub(super) server_first: Vec<u16>,
    /// Those that are bound to the address in the environment variable `INSTANCE_IP`.
    pub(super) bind_ip: Vec<u16>,
    /// Those that are bound to 127.0.0.1.
    pub(super) bind_localhost: Vec<u16>,
    /// Port of Prometheus' metrics; 0 for none.
    pub(super) metrics: u16,
    pub(super) version: String,
    pub(super) cluster: String,
    pub(super) istio_version: String,
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) disable_alpn: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: vec![8080],
            grpc: vec![7070],
            tcp: vec![9090],
            tls: Vec::new(),
            server_first: Vec::new(),
            bind_ip: Vec::new(),
            bind_localhost: Vec::new(),
            metrics: 0,
            version: String::new(),
            cluster: String::new(),
            istio_version: String::new(),
            certificate: String::new(),
            key: String::new(),
            disable_alpn: false,
        }
    }
}

/// Flags with two dashes; lists by comma or by repetition, whose first mention replaces the default.
pub(super) fn parse(arguments: &[String]) -> Result<Settings, String> {
    let mut settings = Settings::default();
    let mut mentioned = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let flag = argument.strip_prefix("--").ok_or_else(|| format!("{argument:?} is no flag"))?;
        let (name, attached) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        if name == "disable-alpn" {
            settings.disable_alpn = attached != Some("false");
            continue;
        }
        let value = attached.or_else(|| rest.next().map(String::as_str));
        let value = value.ok_or_else(|| format!("--{name} wants a value"))?;
        if let Some(list) = list_of(&mut settings, name) {
            if !mentioned.contains(&name) {
                list.clear();
                mentioned.push(name);
            }
            list.extend(ports(name, value)?);
            continue;
        }
        match name {
            "metrics" => settings.metrics = port(name, value)?,
            "version" => value.clone_into(&mut settings.version),
            "cluster" => value.clone_into(&mut settings.cluster),
            "istio-version" => value.clone_into(&mut settings.istio_version),
            "crt" => value.clone_into(&mut settings.certificate),
            "key" => value.clone_into(&mut settings.key),
            "xds-grpc-server" => return Err(PROXYLESS.to_owned()),
            // Levels of a log that has none.
            name if name.starts_with("log_") => {}
            _ => return Err(format!("--{name} is not served by this program; {KNOWN}")),
        }
    }
    Ok(settings)
}

const PROXYLESS: &str = "--xds-grpc-server: gRPC without a proxy is not served; leave the flag out and let the pod have a sidecar";
const KNOWN: &str = "it knows --port, --grpc, --tcp, --tls, --server-first, --bind-ip, --bind-localhost, --metrics, --version, --cluster, \
                     --istio-version, --crt, --key and --disable-alpn";

fn list_of<'s>(settings: &'s mut Settings, name: &str) -> Option<&'s mut Vec<u16>> {
    Some(match name {
        "port" => &mut settings.http,
        "grpc" => &mut settings.grpc,
        "tcp" => &mut settings.tcp,
        "tls" => &mut settings.tls,
        "server-first" => &mut settings.server_first,
        "bind-ip" => &mut settings.bind_ip,
        "bind-localhost" => &mut settings.bind_localhost,
        _ => return None,
    })
}

fn ports(name: &str, text: &str) -> Result<Vec<u16>, String> {
    text.split(',').map(|text| port(name, text.trim())).collect()
}

fn port(name: &str, text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("--{name}: {text:?} is no port"))
}
