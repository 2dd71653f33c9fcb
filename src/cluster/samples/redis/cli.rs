//! `redis-cli`, for `kubectl exec deploy/redis -- redis-cli …`: one command, or one a line of standard input.

use std::io::IsTerminal;
use std::time::Duration;

use super::PORT;
use super::client::{Client, Reply};

const PATIENCE: Duration = Duration::from_secs(10);
/// Lines of standard input that are read.
const LINES: usize = 1_000_000;

struct Options {
    host: String,
    port: u16,
    password: Option<String>,
    database: Option<String>,
    /// Replies as they are, not as people read them.
    raw: bool,
    words: Vec<String>,
}

/// Runs one command line: `[-h HOST] [-p PORT] [-a PASSWORD] [-n DATABASE] [--raw | --no-raw] [COMMAND …]`. Returns the exit code.
pub(in super::super) async fn run(arguments: &[String]) -> i32 {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("redis-cli: {problem}");
            return 1;
        }
    };
    let (host, port) = (&options.host, options.port);
    let mut client = match Client::connect(host, port, PATIENCE).await {
        Ok(client) => client,
        Err(error) => {
            eprintln!("Could not connect to Redis at {host}:{port}: {error}");
            return 1;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, greet(&mut client, &options)).await;
    let outcome = match outcome.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(()) if options.words.is_empty() => lines(&mut client, &options).await,
        Ok(()) => tell(&mut client, &options.words, options.raw).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("Error: {error}");
            1
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        host: "127.0.0.1".to_owned(),
        port: PORT,
        password: std::env::var("REDISCLI_AUTH").ok(),
        database: None,
        raw: !std::io::stdout().is_terminal(),
        words: Vec::new(),
    };
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().cloned().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "-h" => options.host = value()?,
            "-p" => {
                let text = value()?;
                options.port = text.parse().map_err(|_| format!("{text:?} is no port"))?;
            }
            "-a" | "--pass" => options.password = Some(value()?),
            "-n" => options.database = Some(value()?),
            "--raw" => options.raw = true,
            "--no-raw" => options.raw = false,
            "--no-auth-warning" => {}
            flag if flag.starts_with('-') => return Err(format!("unrecognized option {flag}")),
            _ => {
                options.words = std::iter::once(word.clone()).chain(rest.cloned()).collect();
                break;
            }
        }
    }
    Ok(options)
}

async fn greet(client: &mut Client, options: &Options) -> std::io::Result<()> {
    for (name, value) in [("AUTH", &options.password), ("SELECT", &options.database)] {
        if let Some(value) = value {
            let replies = client.ask(&[vec![name.to_owned(), value.clone()]]).await?;
            if let Some(Reply::Error(text)) = replies.first() {
                eprintln!("{name} failed: {text}");
            }
        }
    }
    Ok(())
}

async fn lines(client: &mut Client, options: &Options) -> std::io::Result<()> {
    // Nothing else happens in this process while it waits for a line.
    for line in std::io::stdin().lines().take(LINES) {
        let line = line?;
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match words.first().map(String::as_str) {
            None => {}
            Some("quit" | "exit") => break,
            Some(_) => tell(client, &words, options.raw).await?,
        }
    }
    Ok(())
}

async fn tell(client: &mut Client, words: &[String], raw: bool) -> std::io::Result<()> {
    let asked = tokio::time::timeout(PATIENCE, client.ask(&[words.to_vec()])).await;
    for reply in asked?? {
        println!("{}", if raw { plain(&reply) } else { readable(&reply, 0) });
    }
    Ok(())
}

fn plain(reply: &Reply) -> String {
    match reply {
        Reply::Status(text) | Reply::Error(text) => text.clone(),
        Reply::Integer(number) => number.to_string(),
        Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Reply::Nil => String::new(),
        Reply::List(list) => list.iter().map(plain).collect::<Vec<_>>().join("\n"),
    }
}

fn readable(reply: &Reply, depth: usize) -> String {
    match reply {
        Reply::Status(text) => text.clone(),
        Reply::Error(text) => format!("(error) {text}"),
        Reply::Integer(number) => format!("(integer) {number}"),
        Reply::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Reply::Nil => "(nil)".to_owned(),
        Reply::List(list) if list.is_empty() => "(empty array)".to_owned(),
        Reply::List(list) => {
            let item = |(index, each)| format!("{}) {}", index + 1, readable(each, depth + 1));
            let items: Vec<String> = list.iter().enumerate().map(item).collect();
            items.join(&format!("\n{}", "   ".repeat(depth)))
        }
    }
}
