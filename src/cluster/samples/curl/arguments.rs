//! curl's command line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// A parsed command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Request {
    pub(super) urls: Vec<String>,
    pub(super) method: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) output: Option<String>,
    pub(super) write_out: Option<String>,
    pub(super) silent: bool,
    pub(super) show_error: bool,
    pub(super) include: bool,
    pub(super) head: bool,
    pub(super) verbose: bool,
    pub(super) follow: bool,
    pub(super) insecure: bool,
    pub(super) fail: bool,
    pub(super) http1: bool,
    pub(super) http2_prior_knowledge: bool,
    /// Where the head of the response goes besides; `-` = standard output.
    pub(super) dump_header: Option<String>,
    /// The unspecified address of the one family to be used.
    pub(super) from: Option<IpAddr>,
    /// Data become the query of the URL.
    pub(super) get: bool,
    /// How often a transient failure is tried again.
    pub(super) retry: u32,
    pub(super) ca_file: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    /// Where requests are sent to instead; the environment names one, too.
    pub(super) proxy: Option<String>,
    pub(super) resolve: Vec<(String, u16, IpAddr)>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) max_time: Option<Duration>,
}

/// Flags that take no value, and those that do; single letters may be joined.
pub(super) fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(name) = argument.strip_prefix("--") {
            let (name, attached) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
            let mut value = || {
                attached
                    .clone()
                    .or_else(|| rest.next().cloned())
                    .ok_or(format!("option --{name}: requires parameter"))
            };
            long(&mut request, name, &mut value)?;
        } else if argument.len() > 1 && argument.starts_with('-') {
            short(&mut request, &argument[1..], &mut rest)?;
        } else {
            request.urls.push(argument.clone());
        }
    }
    if request.urls.is_empty() {
        return Err("(2) no URL specified".to_owned());
    }
    Ok(request)
}

fn short<'a>(
    request: &mut Request,
    letters: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    for (index, letter) in letters.char_indices() {
        let name = match letter {
            's' => "silent",
            'S' => "show-error",
            'i' => "include",
            'I' => "head",
            'v' => "verbose",
            'L' => "location",
            'k' => "insecure",
            'f' => "fail",
            'X' => "request",
            'H' => "header",
            'd' => "data",
            'o' => "output",
            'w' => "write-out",
            'm' => "max-time",
            'A' => "user-agent",
            'b' => "cookie",
            'u' => "user",
            'E' => "cert",
            'D' => "dump-header",
            'G' => "get",
            'e' => "referer",
            'x' => "proxy",
            '4' => "ipv4",
            '6' => "ipv6",
            'g' | '#' | 'N' => continue,
            other => return Err(format!("option -{other}: is unknown to this small curl")),
        };
        let attached = &letters[index + letter.len_utf8()..];
        let mut taken = false;
        let mut value = || {
            taken = true;
            if !attached.is_empty() {
                return Ok(attached.to_owned());
            }
            rest.next().cloned().ok_or(format!("option -{letter}: requires parameter"))
        };
        long(request, name, &mut value)?;
        if taken {
            break;
        }
    }
    Ok(())
}

fn long(
    request: &mut Request,
    name: &str,
    value: &mut dyn FnMut() -> Result<String, String>,
) -> Result<(), String> {
    match name {
        "silent" => request.silent = true,
        "show-error" => request.show_error = true,
        "include" => request.include = true,
        "head" => request.head = true,
        "verbose" => request.verbose = true,
        "location" => request.follow = true,
        "insecure" => request.insecure = true,
        "fail" => request.fail = true,
        "http2-prior-knowledge" => request.http2_prior_knowledge = true,
        "http1.1" => request.http1 = true,
        "get" => request.get = true,
        "ipv4" => request.from = Some(Ipv4Addr::UNSPECIFIED.into()),
        "ipv6" => request.from = Some(Ipv6Addr::UNSPECIFIED.into()),
        "globoff" | "no-buffer" | "no-progress-meter" | "progress-bar" => {}
        "request" => request.method = Some(value()?),
        "header" => request.headers.extend(header(&value()?)),
        "dump-header" => request.dump_header = Some(value()?),
        "retry" => {
            let count = value()?;
            request.retry = count.parse().map_err(|_| format!("expected a number, got {count:?}"))?;
        }
        "referer" => request.headers.push(("referer".to_owned(), value()?)),
        "data" | "data-raw" | "data-binary" | "json" => data(request, name, value()?)?,
        "output" => request.output = Some(value()?),
        "write-out" => request.write_out = Some(format(&value()?)?),
        "user-agent" => request.headers.push(("user-agent".to_owned(), value()?)),
        "cookie" => request.headers.push(("cookie".to_owned(), value()?)),
        "user" => request.headers.push(("authorization".to_owned(), basic(&value()?))),
        "cacert" => request.ca_file = Some(value()?),
        "cert" => request.certificate = Some(value()?),
        "proxy" => request.proxy = Some(value()?),
        "key" => request.key = Some(value()?),
        "resolve" => request.resolve.push(resolve(&value()?)?),
        "connect-timeout" => request.connect_timeout = Some(seconds(&value()?)?),
        "max-time" => request.max_time = Some(seconds(&value()?)?),
        "url" => request.urls.push(value()?),
        other => return Err(format!("option --{other}: is unknown to this small curl")),
    }
    Ok(())
}

fn header(text: &str) -> Option<(String, String)> {
    text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
}

/// `@file` reads a file; several pieces are joined with `&`.
fn data(request: &mut Request, name: &str, text: String) -> Result<(), String> {
    let piece = match text.strip_prefix('@').filter(|_| name != "data-raw") {
        Some("-") => {
            let mut input = Vec::new();
            let read = std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut input);
            read.map_err(|error| format!("(26) reading standard input: {error}"))?;
            input
        }
        Some(file) => std::fs::read(file).map_err(|error| format!("(26) reading {file}: {error}"))?,
        None => text.into_bytes(),
    };
    let media_type = if name == "json" { "application/json" } else { "application/x-www-form-urlencoded" };
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        request.headers.push(("content-type".to_owned(), media_type.to_owned()));
    }
    match &mut request.body {
        Some(body) => {
            body.push(b'&');
            body.extend(piece);
        }
        none => *none = Some(piece),
    }
    Ok(())
}

/// `@file` reads the format from a file.
fn format(text: &str) -> Result<String, String> {
    let format = match text.strip_prefix('@') {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| format!("(26) reading {file}: {error}"))?
        }
        None => text.to_owned(),
    };
    super::write_out::check(&format)?;
    Ok(format)
}

fn basic(user: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
}

fn resolve(text: &str) -> Result<(String, u16, IpAddr), String> {
    let wrong = || format!("(49) could not parse --resolve {text:?}; want HOST:PORT:ADDRESS");
    let mut parts = text.splitn(3, ':');
    let (Some(host), Some(port), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let address = address.trim_matches(['[', ']']).parse().map_err(|_| wrong())?;
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?, address))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0 && *seconds < 1e6);
    seconds.map(Duration::from_secs_f64).ok_or(format!("expected a number of seconds, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Request, String> {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_lines_of_tutorials() {
        let request = of("-sS -o /dev/null -w %{http_code} -H x-canary:true -XPOST --resolve a.com:443:127.0.0.1 http://a.com/").expect("parses");
        assert!(request.silent && request.show_error);
        assert_eq!(request.output.as_deref(), Some("/dev/null"));
        assert_eq!(request.headers, [("x-canary".to_owned(), "true".to_owned())]);
        assert_eq!(request.method.as_deref(), Some("POST"));
        assert_eq!(request.urls, ["http://a.com/"]);
        assert_eq!(request.resolve[0].1, 443);
        let family = |flag: &str| of(&format!("{flag} http://a/")).expect("parses").from;
        assert!(
            family("-s6").is_some_and(|from| from.is_ipv6())
                && family("--ipv4").is_some_and(|from| from.is_ipv4())
        );
    }

    #[test]
    fn what_it_does_not_know_it_says() {
        assert!(of("--ftp-port x http://a").is_err_and(|problem| problem.contains("--ftp-port")));
        assert!(of("-sZ http://a").is_err_and(|problem| problem.contains("-Z")));
        assert!(of("-H").is_err());
        assert!(of("-s").is_err_and(|problem| problem.contains("no URL")));
    }
}
