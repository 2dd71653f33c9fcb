//! One transfer: send, print, and say what went wrong in curl's numbers.

use std::io::Write;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Version};

use super::arguments::Request;

/// A failure: exit code and words.
type Failure = (i32, String);

pub(super) async fn run(request: &Request, url: &str) -> i32 {
    let started = Instant::now();
    let outcome = fetch(request, url, started).await;
    match outcome {
        Ok(code) => code,
        Err((code, words)) => {
            if !request.silent || request.show_error {
                eprintln!("curl: ({code}) {words}");
            }
            if let Some(format) = &request.write_out {
                print!("{}", write_out(format, "000", 0, started.elapsed()));
            }
            code
        }
    }
}

async fn fetch(request: &Request, url: &str, started: Instant) -> Result<i32, Failure> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let response = send(request, &url).await?;
    let code = response.status().as_u16();
    if request.verbose {
        if let Some(address) = response.remote_addr() {
            eprintln!("*   Trying {address}...");
        }
        print_head(request, &response, &mut std::io::stderr(), "< ");
    }
    if request.fail && code >= 400 {
        return Err((22, format!("The requested URL returned error: {code}")));
    }
    let mut sink = sink(request)?;
    if request.include || request.head {
        print_head(request, &response, &mut sink, "");
    }
    let size = body(response, &mut sink).await?;
    let flushed = sink.flush();
    flushed.map_err(|error| (23, format!("Failed writing body: {error}")))?;
    if let Some(format) = &request.write_out {
        print!("{}", write_out(format, &code.to_string(), size, started.elapsed()));
    }
    Ok(0)
}

async fn send(request: &Request, url: &str) -> Result<Response, Failure> {
    let method = match (&request.method, request.head, &request.body) {
        (Some(method), _, _) => method.clone(),
        (None, true, _) => "HEAD".to_owned(),
        (None, false, Some(_)) => "POST".to_owned(),
        (None, false, None) => "GET".to_owned(),
    };
    let method = method.parse::<reqwest::Method>().map_err(|_| (2, format!("{method:?} is no method")))?;
    let mut builder = client(request, url)?.request(method, url);
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        builder = builder.header("user-agent", concat!("curl/8 (sagene ", env!("CARGO_PKG_VERSION"), ")"));
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    if let Some(body) = &request.body {
        builder = builder.body(body.clone());
    }
    builder.header("accept", "*/*").send().await.map_err(|error| failure(&error, url))
}

fn client(request: &Request, url: &str) -> Result<Client, Failure> {
    let mut builder = Client::builder().no_proxy().redirect(if request.follow {
        Policy::limited(50)
    } else {
        Policy::none()
    });
    if request.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if url.starts_with("http:") && !request.follow {
        // Images without certificates of public authorities still speak plain HTTP.
        builder = builder.tls_certs_only([]);
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
    for (host, port, address) in &request.resolve {
        builder = builder.resolve(host, (*address, *port).into());
    }
    let read = |file: &String| std::fs::read(file).map_err(|error| (58, format!("reading {file}: {error}")));
    if let Some(file) = &request.ca_file {
        let bundle = Certificate::from_pem_bundle(&read(file)?)
            .map_err(|_| (77, format!("error setting certificate file: {file}")))?;
        builder = builder.tls_certs_only(bundle);
    }
    if let Some(file) = &request.certificate {
        let mut pem = read(file)?;
        if let Some(key) = &request.key {
            pem.extend(read(key)?);
        }
        let identity = reqwest::Identity::from_pem(&pem)
            .map_err(|_| (58, format!("could not load the certificate and key of {file}")))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| (35, format!("setting up: {error}")))
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
    } else if chain.contains("certificate") || chain.contains("handshake") || chain.contains("AlertReceived")
    {
        (35, format!("TLS connect error{chain}"))
    } else if error.is_connect() {
        (7, format!("Failed to connect to {host}: {}", chain.rsplit(": ").next().unwrap_or_default()))
    } else if error.is_redirect() {
        (47, "Maximum (50) redirects followed".to_owned())
    } else if chain.contains("connection closed before message completed") {
        (52, "Empty reply from server".to_owned())
    } else {
        (56, format!("Recv failure{chain}"))
    }
}

fn sink(request: &Request) -> Result<Box<dyn Write + Send>, Failure> {
    match request.output.as_deref() {
        None | Some("-") => Ok(Box::new(std::io::stdout())),
        Some(file) => match std::fs::File::create(file) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err((23, format!("client returned ERROR on write: {file}: {error}"))),
        },
    }
}

fn print_head(request: &Request, response: &Response, out: &mut dyn Write, prefix: &str) {
    let version = match response.version() {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    };
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

async fn body(mut response: Response, sink: &mut Box<dyn Write + Send>) -> Result<usize, Failure> {
    let mut size = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                size += chunk.len();
                sink.write_all(&chunk).map_err(|error| (23, format!("Failed writing body: {error}")))?;
            }
            Ok(None) => return Ok(size),
            Err(error) if error.is_timeout() => {
                return Err((28, format!("Operation timed out with {size} bytes received")));
            }
            Err(error) => return Err((18, format!("transfer closed: {error}"))),
        }
    }
}

/// Fills in `-w`'s variables: `%{http_code}`, `%{response_code}`, `%{size_download}`, `%{time_total}`, and `\n`, `\t`.
fn write_out(format: &str, code: &str, size: usize, elapsed: Duration) -> String {
    format
        .replace("%{http_code}", code)
        .replace("%{response_code}", code)
        .replace("%{size_download}", &size.to_string())
        .replace("%{time_total}", &format!("{:.6}", elapsed.as_secs_f64()))
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("%%", "%")
}
