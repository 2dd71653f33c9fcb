//! One transfer: send, print, and say what went wrong in curl's numbers.

use std::io::Write;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, NoProxy, Response, Version};

use super::arguments::Request;
use super::tls;
use super::write_out::{self, Transfer};

/// Statuses that `--retry` takes for a passing trouble.
const TRANSIENT: [u16; 6] = [408, 429, 500, 502, 503, 504];

/// How many redirects `-L` follows.
const MAXIMUM_OF_REDIRECTS: usize = 50;

/// A failure: exit code and words.
pub(super) type Failure = (i32, String);

pub(super) async fn run(request: &Request, url: &str) -> i32 {
    let started = Instant::now();
    let mut left = request.retry;
    let mut pause = Duration::from_secs(1);
    let (outcome, mut transfer) = loop {
        let mut transfer = Transfer { url: absolute(request, url), ..Transfer::default() };
        let outcome = fetch(request, &mut transfer, started).await;
        let again = match &outcome {
            Ok(()) => TRANSIENT.contains(&transfer.code),
            Err((code, _)) => *code == 28 || TRANSIENT.contains(&transfer.code),
        };
        if !again || left == 0 {
            break (outcome, transfer);
        }
        left -= 1;
        tokio::time::sleep(pause).await;
        pause *= 2;
    };
    transfer.total = started.elapsed();
    if let Err((code, words)) = outcome {
        if !request.silent || request.show_error {
            eprintln!("curl: ({code}) {words}");
        }
        (transfer.exit, transfer.problem) = (code, words);
    }
    if let Some(format) = &request.write_out {
        print!("{}", write_out::render(format, &transfer));
    }
    transfer.exit
}

/// The URL with its scheme, and with the data as its query where `-G` says so.
fn absolute(request: &Request, url: &str) -> String {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    match &request.body {
        Some(body) if request.get => {
            let joint = if url.contains('?') { '&' } else { '?' };
            format!("{url}{joint}{}", String::from_utf8_lossy(body))
        }
        _ => url,
    }
}

async fn fetch(request: &Request, transfer: &mut Transfer, started: Instant) -> Result<(), Failure> {
    // Every answer on the way is shown, so that the client must not follow by itself.
    let mut hop = Request { follow: false, ..request.clone() };
    let mut response = send(&hop, transfer).await?;
    let mut dump = request.dump_header.as_deref().map(|file| sink(Some(file))).transpose()?;
    let mut output = None;
    let mut hops = 0;
    loop {
        note(transfer, &response, started);
        if request.verbose {
            if let Some(address) = response.remote_addr() {
                eprintln!("*   Trying {address}...");
            }
            print_head(request, &response, &mut std::io::stderr(), "< ");
        }
        if let Some(dump) = &mut dump {
            print_head(request, &response, dump, "");
        }
        if request.fail && transfer.code >= 400 {
            return Err((22, format!("The requested URL returned error: {}", transfer.code)));
        }
        let output = match &mut output {
            Some(output) => output,
            none => none.insert(sink(request.output.as_deref())?),
        };
        if request.include || request.head {
            print_head(request, &response, output, "");
        }
        if !request.follow || transfer.redirect.is_empty() {
            body(response, output, &mut transfer.size).await?;
            return output.flush().map_err(|error| (23, format!("Failed writing body: {error}")));
        }
        hops += 1;
        if hops > MAXIMUM_OF_REDIRECTS {
            return Err((47, format!("Maximum ({MAXIMUM_OF_REDIRECTS}) redirects followed")));
        }
        follow(&mut hop, transfer, &response);
        response = send(&hop, transfer).await?;
    }
}

/// Takes down what `-w` may ask for.
fn note(transfer: &mut Transfer, response: &Response, started: Instant) {
    let header = |name: &str| {
        let value = response.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    transfer.code = response.status().as_u16();
    transfer.head = started.elapsed();
    transfer.version = version(response).trim_start_matches("HTTP/").to_owned();
    transfer.content_type = header("content-type");
    transfer.remote = response.remote_addr();
    transfer.url = response.url().to_string();
    let location = header("location");
    if response.status().is_redirection() && !location.is_empty() {
        transfer.redirect = response.url().join(&location).map(String::from).unwrap_or_default();
    }
}

/// The request for where `response` leads: a POST becomes a GET as browsers do it, and another host does not learn credentials.
fn follow(hop: &mut Request, transfer: &mut Transfer, response: &Response) {
    let becomes_get = match response.status().as_u16() {
        301 | 302 => transfer.method == "POST",
        303 => transfer.method != "HEAD",
        _ => false,
    };
    if becomes_get {
        hop.body = None;
        hop.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    }
    let next = std::mem::take(&mut transfer.redirect);
    let host = |url: &str| reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    if host(&next) != host(&transfer.url) {
        let secret = ["authorization", "cookie", "host"];
        hop.headers.retain(|(name, _)| !secret.iter().any(|secret| name.eq_ignore_ascii_case(secret)));
    }
    transfer.url = next;
}

async fn send(request: &Request, transfer: &mut Transfer) -> Result<Response, Failure> {
    let url = transfer.url.as_str();
    let data = request.body.as_ref().filter(|_| !request.get);
    let method = match (&request.method, request.head, data) {
        (Some(method), _, _) => method.clone(),
        (None, true, _) => "HEAD".to_owned(),
        (None, false, Some(_)) => "POST".to_owned(),
        (None, false, None) => "GET".to_owned(),
    };
    transfer.method.clone_from(&method);
    let method = method.parse::<reqwest::Method>().map_err(|_| (2, format!("{method:?} is no method")))?;
    let mut builder = client(request, url)?.request(method, url);
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        builder = builder.header("user-agent", concat!("curl/8 (sagene ", env!("CARGO_PKG_VERSION"), ")"));
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if let Some(body) = data {
        builder = builder.body(body.clone());
    }
    builder.header("accept", "*/*").send().await.map_err(|error| failure(&error, url))
}

/// A client with what the command line says of connections.
pub(super) fn client(request: &Request, url: &str) -> Result<Client, Failure> {
    let mut builder = Client::builder().no_proxy().redirect(if request.follow {
        Policy::limited(MAXIMUM_OF_REDIRECTS)
    } else {
        Policy::none()
    });
    if let Some(proxy) = request.proxy.clone().or_else(|| proxy_of_environment(url)) {
        let proxy =
            reqwest::Proxy::all(&proxy).map_err(|_| (5, format!("Could not resolve proxy: {proxy}")))?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
    }
    if url.starts_with("https:") || request.follow {
        builder = builder.tls_backend_preconfigured(tls::config(request)?);
    } else {
        // Images without certificates of public authorities still speak plain HTTP.
        builder = builder.tls_certs_only([]);
    }
    if request.http1 {
        builder = builder.http1_only();
    }
    if request.http2_prior_knowledge {
        builder = builder.http2_prior_knowledge();
    }
    if let Some(timeout) = request.connect_timeout {
        builder = builder.connect_timeout(timeout);
    }
    if let Some(timeout) = request.max_time {
        builder = builder.timeout(timeout);
    }
    // A connection from an address of one family goes to addresses of that family alone.
    builder = builder.local_address(request.from);
    for (host, port, address) in &request.resolve {
        builder = builder.resolve(host, (*address, *port).into());
    }
    builder.build().map_err(|error| (35, format!("setting up: {error}")))
}

/// The variables that name a proxy: `HTTP_PROXY` in capitals is not one of them, as for curl.
fn proxy_of_environment(url: &str) -> Option<String> {
    let names: &[&str] = match url.split("://").next() {
        Some("https") => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn failure(error: &reqwest::Error, url: &str) -> Failure {
    let chain = {
        let mut text = String::new();
        let mut source: Option<&dyn std::error::Error> = Some(error);
        while let Some(next) = source {
            text = format!("{text}: {next}");
            source = next.source();
        }
        text
    };
    let host =
        reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if error.is_builder() {
        (3, format!("URL rejected: {url}"))
    } else if error.is_timeout() {
        (28, "Operation timed out".to_owned())
    } else if chain.contains("dns") || chain.contains("resolve") {
        (6, format!("Could not resolve host: {host}"))
    } else if let Some(problem) = untrusted(&chain) {
        (60, format!("SSL certificate problem: {problem}"))
    } else if chain.contains("certificate") || chain.contains("handshake") || chain.contains("AlertReceived")
    {
        (35, format!("TLS connect error{chain}"))
    } else if error.is_connect() {
        (7, format!("Failed to connect to {host}: {}", chain.rsplit(": ").next().unwrap_or_default()))
    } else if chain.contains("connection closed before message completed") {
        (52, "Empty reply from server".to_owned())
    } else {
        (56, format!("Recv failure: {}", reason(&chain)))
    }
}

/// What the kernel or the other side said, without the steps that led there and without its number.
fn reason(chain: &str) -> &str {
    let last = chain.rsplit("): ").next().unwrap_or_default().trim_start_matches(": ");
    let last = last.strip_prefix("connection error: ").unwrap_or(last);
    last.split_once(" (os error ").map_or(last, |(text, _)| text)
}

/// What is wrong with a server's certificate, in OpenSSL's words.
fn untrusted(chain: &str) -> Option<String> {
    let (_, what) = chain.split_once("invalid peer certificate: ")?;
    Some(match what {
        "UnknownIssuer" => "unable to get local issuer certificate".to_owned(),
        what if what.starts_with("certificate expired") || what == "Expired" => {
            "certificate has expired".to_owned()
        }
        what if what.starts_with("certificate not valid for name") || what == "NotValidForName" => {
            "no alternative certificate subject name matches target host name".to_owned()
        }
        what => what.to_owned(),
    })
}

fn sink(output: Option<&str>) -> Result<Box<dyn Write + Send>, Failure> {
    match output {
        None | Some("-") => Ok(Box::new(std::io::stdout())),
        Some(file) => match std::fs::File::create(file) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err((23, format!("client returned ERROR on write: {file}: {error}"))),
        },
    }
}

fn version(response: &Response) -> &'static str {
    match response.version() {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn print_head(request: &Request, response: &Response, out: &mut dyn Write, prefix: &str) {
    let version = version(response);
    let reason =
        if version == "HTTP/2" { "" } else { response.status().canonical_reason().unwrap_or_default() };
    let mut text = format!("{prefix}{version} {} {reason}\r\n", response.status().as_u16());
    for (name, value) in response.headers() {
        text += &format!("{prefix}{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let written = out.write_all(format!("{text}{prefix}\r\n").as_bytes());
    if let (Err(error), false) = (written, request.silent) {
        eprintln!("curl: (23) writing headers: {error}");
    }
}

async fn body(
    mut response: Response,
    sink: &mut Box<dyn Write + Send>,
    size: &mut usize,
) -> Result<(), Failure> {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                *size += chunk.len();
                sink.write_all(&chunk).map_err(|error| (23, format!("Failed writing body: {error}")))?;
            }
            Ok(None) => return Ok(()),
            Err(error) if error.is_timeout() => {
                return Err((28, format!("Operation timed out with {size} bytes received")));
            }
            Err(error) => return Err((18, format!("transfer closed: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_told_without_what_led_there() {
        let sending = ": error sending request for url (http://a:8080/): client error (SendRequest): ";
        for (said, expected) in [
            ("connection error: Connection reset by peer (os error 104)", "Connection reset by peer"),
            (
                "connection error: received fatal alert: CertificateRequired",
                "received fatal alert: CertificateRequired",
            ),
        ] {
            assert_eq!(reason(&format!("{sending}{said}")), expected);
        }
    }
}
