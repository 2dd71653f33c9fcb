//! Errors of the API server in the words of kubectl, which people know and scripts look for.

use kube::Error;

use crate::exit::{Failure, chain};

/// Whether the server said 404.
pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// For the mesh's own commands.
pub(crate) fn server_failure(error: Error) -> Failure {
    Failure::new(words(&error))
}

/// For `sagene kubectl`: kubectl's line and nothing before it.
pub(crate) fn kubectl_failure(error: Error) -> Failure {
    Failure { prefix: "", ..Failure::new(words(&error)) }
}

/// The same, with what was being done: `Error from server (BadRequest): error when creating "x.yaml": …`.
pub(crate) fn kubectl_failure_while(error: Error, doing: &str) -> Failure {
    if let Error::Api(mut status) = error {
        if status.code != 422 {
            status.message = format!("{doing}: {}", status.message);
        }
        return kubectl_failure(Error::Api(status));
    }
    kubectl_failure(error)
}

fn words(error: &Error) -> String {
    match error {
        Error::Api(status) => {
            let reason = if status.reason.is_empty() { "Unknown" } else { &status.reason };
            match status.code {
                401 => "error: You must be logged in to the server (Unauthorized)".to_owned(),
                422 => {
                    let prefix =
                        if status.message.starts_with("The ") { "" } else { "The request is invalid: " };
                    format!("{prefix}{}", status.message)
                }
                _ => format!("Error from server ({reason}): {}", status.message),
            }
        }
        other => {
            let text = chain(&anyhow::anyhow!("{other}"));
            if text.contains("Connect") || text.contains("connection refused") {
                format!("Unable to connect to the server: {}", causes(other))
            } else {
                causes(other)
            }
        }
    }
}

/// The innermost causes say most; kube's own wrapping words say least.
fn causes(error: &Error) -> String {
    let mut text = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let words = cause.to_string();
        if text.last() != Some(&words) {
            text.push(words);
        }
        source = cause.source();
    }
    if text.is_empty() { error.to_string() } else { text.join(": ") }
}
