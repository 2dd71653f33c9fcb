//! A small `curl`, for `kubectl exec deploy/curl -- curl …` on a machine that has none.
//!
//! The flags that tutorials use; any other fails by name instead of being ignored.

mod arguments;
mod transfer;

/// Runs one command line; returns curl's exit code (2 usage, 3 URL, 6 name, 7 connect, 22 HTTP error with `-f`, 28 time-out, 35 TLS,
/// 52 empty reply, 56 receive).
pub(super) async fn run(arguments: &[String]) -> i32 {
    let request = match arguments::parse(arguments) {
        Ok(request) => request,
        Err(problem) => {
            eprintln!("curl: {problem}");
            return 2;
        }
    };
    let mut code = 0;
    for url in &request.urls {
        code = transfer::run(&request, url).await;
    }
    code
}
