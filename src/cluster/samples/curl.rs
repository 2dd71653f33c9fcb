//! A small `curl`, for `kubectl exec deploy/curl -- curl …` on a machine that has none.
//!
//! The flags that tutorials use. For any other, and for `-v`, the machine's own curl takes over; where there is none, a flag that is
//! unknown fails by name instead of being ignored.

mod arguments;
mod machine;
mod tls;
mod transfer;
mod write_out;

/// Runs one command line; returns curl's exit code (2 usage, 3 URL, 6 name, 7 connect, 22 HTTP error with `-f`, 28 time-out, 35 TLS,
/// 52 empty reply, 56 receive, 58 own certificate, 60 server's certificate, 77 authorities).
pub(super) async fn run(arguments: &[String]) -> i32 {
    let parsed = arguments::parse(arguments);
    if !matches!(&parsed, Ok(request) if !request.verbose)
        && let Some(error) = machine::become_it(arguments)
    {
        eprintln!("curl: the machine's own cannot run: {error}");
    }
    let request = match parsed {
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
