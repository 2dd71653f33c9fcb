//! fortio's flags: Go's, so `-c 2`, `-c=2` and `--c=2` are the same.

use std::time::Duration;

/// What a command line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    /// `-c`: connections, each with one call at a time.
    pub(super) connections: usize,
    /// `-qps`: calls per second in all; 0 is as fast as they come.
    pub(super) rate: f64,
    /// `-n`: calls in all; 0 leaves it to the duration.
    pub(super) calls: u64,
    /// `-t`: how long.
    pub(super) duration: Duration,
    /// `-H`.
    pub(super) headers: Vec<(String, String)>,
    /// `-X`.
    pub(super) method: Option<String>,
    /// `-payload`: the body of a POST, or what a ping carries.
    pub(super) payload: String,
    /// `-timeout`.
    pub(super) timeout: Duration,
    /// `-keepalive`.
    pub(super) keep_alive: bool,
    /// `-quiet`.
    pub(super) quiet: bool,
    /// `-grpc`.
    pub(super) grpc: bool,
    /// `-ping`: `fgrpc.PingServer/Ping` instead of the health service.
    pub(super) ping: bool,
    /// `-health`.
    pub(super) health: bool,
    /// `-healthservice`.
    pub(super) health_service: String,
    /// `-http-port` and `-grpc-port` of the server.
    pub(super) http_port: u16,
    pub(super) grpc_port: u16,
    /// Where to.
    pub(super) targets: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            rate: 8.0,
            calls: 0,
            duration: Duration::from_secs(5),
            headers: Vec::new(),
            method: None,
            payload: String::new(),
            timeout: Duration::from_secs(3),
            keep_alive: true,
            quiet: false,
            grpc: false,
            ping: false,
            health: false,
            health_service: String::new(),
            http_port: 8080,
            grpc_port: 8079,
            targets: Vec::new(),
        }
    }
}

impl Options {
    /// Reads flags and targets. A flag that would change what happens and is not known is an error.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
                options.targets.push(argument.clone());
                continue;
            };
            let (name, attached) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            if options.switch(name, attached.is_none_or(|value| value != "false")) {
                continue;
            }
            let value = attached.map(str::to_owned).or_else(|| rest.next().cloned());
            options.set(name, &value.ok_or(format!("flag needs an argument: -{name}"))?)?;
        }
        Ok(options)
    }

    fn switch(&mut self, name: &str, on: bool) -> bool {
        match name {
            "quiet" => self.quiet = on,
            "grpc" => self.grpc = on,
            "ping" => self.ping = on,
            "health" => self.health = on,
            "keepalive" => self.keep_alive = on,
            // They change what is printed or how evenly calls come, not what is called.
            "jitter" | "uniform" | "nocatchup" | "allow-initial-errors" | "stdclient" | "a" => {}
            _ => return false,
        }
        true
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("invalid value {value:?} for flag -{name}");
        match name {
            "c" => self.connections = value.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?,
            "n" => self.calls = value.parse().map_err(|_| wrong())?,
            "qps" if value == "max" => self.rate = 0.0,
            "qps" => {
                self.rate =
                    value.parse().ok().filter(|rate: &f64| rate.is_finite()).ok_or_else(wrong)?.max(0.0)
            }
            "t" => self.duration = duration(value).ok_or_else(wrong)?,
            "timeout" => self.timeout = duration(value).ok_or_else(wrong)?,
            "H" => {
                let (name, value) = value.split_once(':').ok_or_else(wrong)?;
                self.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            "X" => self.method = Some(value.to_owned()),
            "payload" => value.clone_into(&mut self.payload),
            "healthservice" => value.clone_into(&mut self.health_service),
            "http-port" => self.http_port = port(value).ok_or_else(wrong)?,
            "grpc-port" => self.grpc_port = port(value).ok_or_else(wrong)?,
            // How much it says and keeps.
            "loglevel" | "labels" | "p" | "r" | "httpbufferkb" | "json" | "echo-debug-path"
            | "static-dir" | "data-dir" | "tcp-port" | "udp-port" | "redirect-port" => {}
            _ => return Err(format!("flag -{name} is unknown to this small fortio")),
        }
        Ok(())
    }
}

fn port(text: &str) -> Option<u16> {
    text.rsplit(':').next()?.parse().ok()
}

/// Go's durations with one unit: `5s`, `250ms`, `1m`.
fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic())?;
    let number: f64 = text[..unit_at].parse().ok()?;
    let seconds = match &text[unit_at..] {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_tutorials() {
        let of = |line: &str| Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let options = of("-c 3 -qps=0 -n 30 -loglevel Warning http://httpbin:8000/get").expect("parses");
        assert_eq!((options.connections, options.calls), (3, 30));
        assert_eq!(options.targets, ["http://httpbin:8000/get"]);
        assert_eq!(of("-t 1.5s -quiet a").expect("parses").duration, Duration::from_millis(1500));
        assert!(of("-c 0 a").is_err() && of("-c").is_err());
        assert!(of("-h2 a b").is_err_and(|problem| problem.contains("-h2")));
    }
}
