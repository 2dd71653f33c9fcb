//! `-w`: a line about the transfer when it is over.

use std::time::Duration;

/// What is known of a transfer, also of one that failed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Transfer {
    /// Status of the response; 0 = there was none.
    pub(super) code: u16,
    /// As `-w` writes it: `1.1`, `2`; `0` without a response.
    pub(super) version: String,
    pub(super) content_type: String,
    /// Where the transfer ended, redirects followed.
    pub(super) url: String,
    /// Where a redirect that was not followed leads to.
    pub(super) redirect: String,
    pub(super) remote: Option<std::net::SocketAddr>,
    pub(super) method: String,
    /// Bytes of the body.
    pub(super) size: usize,
    /// Until the response's head was there.
    pub(super) head: Duration,
    pub(super) total: Duration,
    pub(super) exit: i32,
    pub(super) problem: String,
}

/// The variables this one knows.
const VARIABLES: [&str; 15] = [
    "http_code",
    "response_code",
    "http_version",
    "content_type",
    "url_effective",
    "redirect_url",
    "remote_ip",
    "remote_port",
    "method",
    "size_download",
    "time_starttransfer",
    "time_total",
    "exitcode",
    "errormsg",
    "scheme",
];

/// Reads a format's variables, so that an unknown one is told before anything is sent.
pub(super) fn check(format: &str) -> Result<(), String> {
    let unknown = pieces(format).into_iter().find_map(|piece| match piece {
        Piece::Variable(name) if !VARIABLES.contains(&name) => Some(name),
        _ => None,
    });
    match unknown {
        Some(name) => Err(format!("unknown --write-out variable: '{name}'")),
        None => Ok(()),
    }
}

/// Fills in the variables.
pub(super) fn render(format: &str, transfer: &Transfer) -> String {
    let seconds = |time: Duration| format!("{:.6}", time.as_secs_f64());
    let value = |name: &str| match name {
        "http_code" | "response_code" => format!("{:03}", transfer.code),
        "http_version" if transfer.version.is_empty() => "0".to_owned(),
        "http_version" => transfer.version.clone(),
        "content_type" => transfer.content_type.clone(),
        "url_effective" => transfer.url.clone(),
        "redirect_url" => transfer.redirect.clone(),
        "remote_ip" => transfer.remote.map(|remote| remote.ip().to_string()).unwrap_or_default(),
        "remote_port" => transfer.remote.map_or(0, |remote| remote.port()).to_string(),
        "method" => transfer.method.clone(),
        "size_download" => transfer.size.to_string(),
        "time_starttransfer" => seconds(transfer.head),
        "time_total" => seconds(transfer.total),
        "exitcode" => transfer.exit.to_string(),
        "errormsg" => transfer.problem.clone(),
        "scheme" => transfer.url.split("://").next().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let rendered = pieces(format).into_iter().map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Variable(name) => value(name),
    });
    rendered.collect()
}

enum Piece<'f> {
    Text(&'f str),
    Variable(&'f str),
}

/// `%{name}`, `%%`, `\n`, `\r`, `\t`, and the text between.
fn pieces(format: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        pieces.push(Piece::Text(&rest[..at]));
        let special = &rest[at..];
        let variable = special.strip_prefix("%{").and_then(|inner| inner.split_once('}'));
        let (piece, after) = match (special.get(..2), variable) {
            (_, Some((name, after))) => (Piece::Variable(name), after),
            (Some("%%"), _) => (Piece::Text("%"), &special[2..]),
            (Some("\\n"), _) => (Piece::Text("\n"), &special[2..]),
            (Some("\\r"), _) => (Piece::Text("\r"), &special[2..]),
            (Some("\\t"), _) => (Piece::Text("\t"), &special[2..]),
            _ => (Piece::Text(&special[..1]), &special[1..]),
        };
        pieces.push(piece);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_escapes_are_filled_in() {
        let transfer = Transfer { code: 200, size: 7, url: "http://a/".to_owned(), ..Transfer::default() };
        assert_eq!(render("a: %{http_code}\\n%%{x} 100%", &transfer), "a: 200\n%{x} 100%");
        assert_eq!(render("%{size_download}\\t%{scheme}", &transfer), "7\thttp");
        assert_eq!(render("%{http_code} %{http_version}", &Transfer::default()), "000 0");
        assert!(check("%{http_code}").is_ok());
        assert!(check("%{time_connect}").is_err_and(|problem| problem.contains("time_connect")));
    }
}
