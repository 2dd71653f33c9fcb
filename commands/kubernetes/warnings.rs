//! What a server says beside its answer: `Warning` headers of writes go to stderr, each once, as kubectl shows them.
//!
//! Readings are left alone: that a version is deprecated is no news to somebody who only looks.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{HeaderMap, Method, Request, Response, header};
use tower::{Layer, Service};

/// Wraps the connection of a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct TellWarnings {
    told: Arc<Mutex<HashSet<String>>>,
}

impl<S> Layer<S> for TellWarnings {
    type Service = Telling<S>;

    fn layer(&self, inner: S) -> Telling<S> {
        Telling { inner, warnings: self.clone() }
    }
}

/// The service that [`TellWarnings`] makes.
#[derive(Debug)]
pub(crate) struct Telling<S> {
    inner: S,
    warnings: TellWarnings,
}

impl<S, A, B> Service<Request<A>> for Telling<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let (answer, warnings) = (self.inner.call(request), self.warnings.clone());
        Box::pin(async move {
            let answer = answer.await?;
            if writes {
                warnings.tell(answer.headers());
            }
            Ok(answer)
        })
    }
}

impl TellWarnings {
    fn tell(&self, headers: &HeaderMap) {
        for text in texts(headers) {
            let fresh = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
            if fresh {
                eprintln!("Warning: {text}");
            }
        }
    }
}

/// The texts of `Warning: 299 - "text"` headers (RFC 7234, section 5.5), one in each, as API servers write them.
fn texts(headers: &HeaderMap) -> Vec<String> {
    let text = |value: &http::HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let quoted = value.strip_prefix("299 ")?.split_once(" \"")?.1;
        let mut text = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next()? {
                '"' => return Some(text),
                '\\' => text.push(characters.next()?),
                // Nothing a server says may steer the terminal.
                other => text.extend(Some(other).filter(|other| !other.is_control())),
            }
        }
    };
    headers.get_all(header::WARNING).iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_texts_are_read_and_other_codes_are_not() {
        let mut headers = HeaderMap::new();
        for value in
            ["299 - \"a \\\"b\\\" \\\\ c\"", "299 kube \"d\" \"date\"", "199 - \"e\"", "299 - \"open"]
        {
            headers.append(header::WARNING, value.parse().unwrap());
        }
        assert_eq!(texts(&headers), ["a \"b\" \\ c", "d"]);
    }
}
