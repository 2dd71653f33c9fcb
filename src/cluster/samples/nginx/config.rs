//! The part of nginx's configuration that is understood. What would change an answer and is not understood is an error by name.

/// What is served where no configuration is mounted.
pub(super) const DEFAULT: &str = "http { server { listen 80; } }";

/// The configuration that the files of a folder make, in the order of their names.
pub(super) fn of_parts(folder: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{folder}: {error}");
    let entries = std::fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path());
    let is_part = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "conf");
    let mut files: Vec<_> = entries.filter(is_part).collect();
    files.sort();
    let texts = files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(format!("http {{ {} }}", texts.join("\n")))
}

/// How nginx works and logs, which nobody who asks it sees.
const WITHOUT_EFFECT: &[&str] = &[
    "access_log",
    "default_type",
    "error_log",
    "events",
    "gzip",
    "include",
    "keepalive_timeout",
    "log_format",
    "pid",
    "sendfile",
    "server_tokens",
    "ssl_ciphers",
    "ssl_prefer_server_ciphers",
    "ssl_protocols",
    "ssl_session_cache",
    "ssl_session_timeout",
    "tcp_nodelay",
    "tcp_nopush",
    "types",
    "user",
    "worker_processes",
];

/// `name arguments;` or `name arguments { … }`.
#[derive(Debug, Clone, PartialEq)]
struct Directive {
    name: String,
    arguments: Vec<String>,
    block: Vec<Directive>,
}

/// All servers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Config {
    servers: Vec<Server>,
}

/// One `server`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Server {
    /// Ports, and whether they speak TLS.
    listens: Vec<(u16, bool)>,
    /// Names; `*.example.com` takes any first part.
    pub(super) names: Vec<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_certificate: Option<String>,
    /// `ssl_verify_client on`.
    pub(super) verify_client: bool,
    pub(super) root: Option<String>,
    pub(super) index: Vec<String>,
    /// `return CODE [TEXT]` of the server.
    pub(super) answer: Option<(u16, String)>,
    pub(super) locations: Vec<Location>,
}

/// One `location`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Location {
    pub(super) path: String,
    /// `location = /path`.
    pub(super) exact: bool,
    pub(super) root: Option<String>,
    pub(super) index: Vec<String>,
    pub(super) answer: Option<(u16, String)>,
}

/// The servers of one port.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) servers: Vec<Server>,
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = tokens(text)?.into_iter().peekable();
        let directives = block(&mut tokens, false)?;
        let mut config = Self::default();
        for directive in directives {
            match directive.name.as_str() {
                "http" => config.http(directive.block)?,
                name if WITHOUT_EFFECT.contains(&name) => {}
                name => return Err(unknown(name)),
            }
        }
        if config.servers.is_empty() { Err("there is no server".to_owned()) } else { Ok(config) }
    }

    fn http(&mut self, directives: Vec<Directive>) -> Result<(), String> {
        for directive in directives {
            match directive.name.as_str() {
                "server" => self.servers.push(Server::read(directive.block)?),
                name if WITHOUT_EFFECT.contains(&name) => {}
                name => return Err(unknown(name)),
            }
        }
        Ok(())
    }

    /// Servers by port, in their order.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        let mut listeners: Vec<Listener> = Vec::new();
        for server in &self.servers {
            for (port, tls) in &server.listens {
                match listeners.iter_mut().find(|listener| listener.port == *port) {
                    Some(listener) => {
                        listener.tls |= *tls;
                        listener.servers.push(server.clone());
                    }
                    None => {
                        listeners.push(Listener { port: *port, tls: *tls, servers: vec![server.clone()] })
                    }
                }
            }
        }
        for listener in &mut listeners {
            listener.servers.dedup();
        }
        listeners
    }
}

impl Server {
    fn read(directives: Vec<Directive>) -> Result<Self, String> {
        let mut server = Self::default();
        for directive in directives {
            let first = directive.arguments.first().cloned();
            let wanted = || first.clone().ok_or(format!("{} wants a value", directive.name));
            match directive.name.as_str() {
                "listen" => {
                    let port = wanted()?.rsplit(':').next().and_then(|port| port.parse().ok());
                    let port = port.ok_or(format!("listen {}: no port", wanted()?))?;
                    server.listens.push((port, directive.arguments.iter().any(|word| word == "ssl")));
                }
                "server_name" => server.names.extend(directive.arguments),
                "ssl_certificate" => server.certificate = Some(wanted()?),
                "ssl_certificate_key" => server.key = Some(wanted()?),
                "ssl_client_certificate" => server.client_certificate = Some(wanted()?),
                "ssl_verify_client" => server.verify_client = wanted()? == "on",
                "root" => server.root = Some(wanted()?),
                "index" => server.index = directive.arguments,
                "return" => server.answer = Some(answer(&directive.arguments)?),
                "location" => server.locations.push(Location::read(directive)?),
                name if WITHOUT_EFFECT.contains(&name) => {}
                name => return Err(unknown(name)),
            }
        }
        if server.listens.is_empty() {
            server.listens.push((80, false));
        }
        Ok(server)
    }

    /// Whether it is named by a host.
    pub(super) fn is_named(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix('*') {
            Some(rest) => host.len() > rest.len() && host.ends_with(rest),
            None => name == host,
        })
    }
}

impl Location {
    fn read(directive: Directive) -> Result<Self, String> {
        let mut location = match directive.arguments.as_slice() {
            [path] if path.starts_with('/') => Self { path: path.clone(), ..Self::default() },
            [equal, path] if equal == "=" => Self { path: path.clone(), exact: true, ..Self::default() },
            [tail, path] if tail == "^~" => Self { path: path.clone(), ..Self::default() },
            other => return Err(format!("location {}: only paths are understood", other.join(" "))),
        };
        for directive in directive.block {
            match directive.name.as_str() {
                "root" => location.root = directive.arguments.into_iter().next(),
                "index" => location.index = directive.arguments,
                "return" => location.answer = Some(answer(&directive.arguments)?),
                name if WITHOUT_EFFECT.contains(&name) => {}
                name => return Err(unknown(name)),
            }
        }
        Ok(location)
    }
}

fn answer(arguments: &[String]) -> Result<(u16, String), String> {
    let code = arguments.first().and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| format!("return {}: no status", arguments.join(" ")))?;
    Ok((code, arguments.get(1).cloned().unwrap_or_default()))
}

fn unknown(name: &str) -> String {
    format!("{name} is not understood by this small nginx")
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ';' => tokens.push(Token::Semicolon),
            '{' => tokens.push(Token::Open),
            '}' => tokens.push(Token::Close),
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match characters.next().ok_or("a quote is not closed")? {
                        '\\' => {
                            word.extend(characters.next().map(|next| if next == 'n' { '\n' } else { next }))
                        }
                        end if end == character => break,
                        other => word.push(other),
                    }
                }
                tokens.push(Token::Word(word));
            }
            blank if blank.is_whitespace() => {}
            first => {
                let mut word = first.to_string();
                let part = |next: &char| !next.is_whitespace() && !";{}".contains(*next);
                while let Some(next) = characters.next_if(part) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

fn block(
    tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>,
    inside: bool,
) -> Result<Vec<Directive>, String> {
    let mut directives = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let made = |words: &mut Vec<String>, block| {
        let mut words = std::mem::take(words).into_iter();
        let name = words.next().ok_or("a directive has no name")?;
        Ok::<_, String>(Directive { name, arguments: words.collect(), block })
    };
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word) => words.push(word),
            Token::Semicolon => directives.push(made(&mut words, Vec::new())?),
            // What stands in `events`, `types` and their like is not looked at, but read.
            Token::Open => {
                let inner = block(tokens, true)?;
                directives.push(made(&mut words, inner)?);
            }
            Token::Close if inside && words.is_empty() => return Ok(directives),
            Token::Close => return Err("unexpected }".to_owned()),
        }
    }
    if inside || !words.is_empty() { Err("unexpected end".to_owned()) } else { Ok(directives) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_what_is_unknown_is_named() {
        let text = "events {\n}\nhttp {\n  # names\n  log_format main '$remote_addr - \"$request\"';\n  server {\n    listen 443 ssl;\n    root /usr/share/nginx/html;\n\
                    index index.html;\n    server_name nginx.example.com *.example.org;\n    ssl_certificate /etc/tls.crt;\n    ssl_certificate_key /etc/tls.key;\n\
                    location /status { return 200 'it is well\\n'; }\n  }\n}\n";
        let config = Config::parse(text).expect("a configuration");
        let listeners = config.listeners();
        assert_eq!((listeners.len(), listeners[0].port, listeners[0].tls), (1, 443, true));
        let server = &listeners[0].servers[0];
        assert!(server.is_named("nginx.example.com") && server.is_named("a.example.org"));
        assert!(!server.is_named("example.org"));
        assert_eq!(server.locations[0].answer, Some((200, "it is well\n".to_owned())));
        let proxied = Config::parse("http { server { location / { proxy_pass http://a; } } }");
        assert!(proxied.is_err_and(|problem| problem.contains("proxy_pass")));
        assert!(Config::parse("http { server {").is_err() && Config::parse("}").is_err());
    }
}
