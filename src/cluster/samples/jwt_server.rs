//! `jwt-server` of Istio's samples: the public key of the samples' tokens on every path, by HTTP and, with a certificate, by HTTPS.

use axum::Router;
use axum::http::header;

use super::SampleError;
use super::serve::{listen, serve};
use super::tls;

/// The key that the samples' tokens are signed for, as a JSON Web Key Set.
const KEYS: &str = concat!(
    "{ \"keys\":[ {\"e\":\"AQAB\",\"kid\":\"tT_w9LRNrY7wJalGsTYSt7rutZi86Gvyc0EKR4CaQAw\",\"kty\":\"RSA\",\"n\":\"",
    "raJ7ZEhMfrBUo2werGKOow9an1B6Ukc6dKY2hNi10eaQe9ehJCjLpmJpePxoqaCi2VYt6gncLfhEV71JDGsodbfYMlaxwWTt6lXBcjlVXHWDXLC4",
    "5rHVfi9FjSSXloHqmSStpjv3mrW3R6fx2VeVVP_mrA6ZHtcynq6ecJqO11STvVoeeM3lEsASVSWsUrKltC1Crfo0sI7YG34QjophVTEi8B9gVepA",
    "JZV-Bso5sinRABnxfLUM7DU5c8MO114uvXThgSIuAOM9PbViSC3X6Y9Gsjsy881HGO-EJaUCrwSWnwQW5sp0TktrYL70-M4_ug-X51Yt_PErmncK",
    "upx8Hw\"}]}",
);

/// What the server was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    http: u16,
    https: u16,
    certificate: String,
    key: String,
}

/// `-http 8000 -https 8443 -cert FILE -key FILE`.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let problem = |problem: String| SampleError::Argument { applet: "jwt-server", problem };
    let settings = parse(arguments).map_err(problem)?;
    let keys = || async { ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], KEYS) };
    let routes = Router::new().fallback(keys);
    if !settings.certificate.is_empty() && !settings.key.is_empty() {
        let acceptor = tls::acceptor(&settings.certificate, &settings.key, &["h2", "http/1.1"]);
        let acceptor = acceptor.map_err(problem)?;
        println!("Starting HTTPS server on port :{}", settings.https);
        tokio::spawn(tls::serve(listen(settings.https).await?, acceptor, routes.clone()));
    }
    println!("Starting HTTP server at [::]:{}", settings.http);
    serve(settings.http, routes).await
}

fn parse(arguments: &[String]) -> Result<Settings, String> {
    let mut settings = Settings { http: 8000, https: 8443, certificate: String::new(), key: String::new() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let flag = argument.trim_start_matches('-');
        let (name, attached) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let value = attached.or_else(|| rest.next().map(String::as_str));
        let value = value.ok_or_else(|| format!("{argument} wants a value"))?;
        let port = || value.parse().map_err(|_| format!("-{name}: {value:?} is no port"));
        match name {
            "http" => settings.http = port()?,
            "https" => settings.https = port()?,
            "cert" => value.clone_into(&mut settings.certificate),
            "key" => value.clone_into(&mut settings.key),
            _ => return Err(format!("{argument:?} is none of -http, -https, -cert, -key")),
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_a_key_set_and_flags_are_read() {
        let keys: serde_json::Value = serde_json::from_str(KEYS).expect("JSON");
        assert_eq!(keys["keys"][0]["n"].as_str().map(str::len), Some(342), "a modulus of 2048 bits");
        let words: Vec<String> = ["-https", "1", "--cert=a", "-key", "b"].map(str::to_owned).to_vec();
        let wanted = Settings { http: 8000, https: 1, certificate: "a".to_owned(), key: "b".to_owned() };
        assert_eq!(parse(&words), Ok(wanted));
        assert!(parse(&["-port".to_owned(), "1".to_owned()]).is_err());
    }
}
