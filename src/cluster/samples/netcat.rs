//! A small `nc`: standard input to a TCP port, what comes back to standard output.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// What a command line asks for.
#[derive(Debug, Default, PartialEq)]
struct Command {
    listen: bool,
    scan: bool,
    verbose: bool,
    /// Longest pause, and longest time for connecting.
    wait: Option<Duration>,
    port: Option<u16>,
    words: Vec<String>,
}

/// Runs one command line; 1 for everything that does not work out.
pub(super) async fn run(arguments: &[String]) -> i32 {
    let outcome = match parse(arguments) {
        Ok(command) if command.listen => listen(&command).await,
        Ok(command) => connect(&command).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(()) => 0,
        Err(problem) => {
            eprintln!("nc: {problem}");
            1
        }
    }
}

fn parse(arguments: &[String]) -> Result<Command, String> {
    let mut command = Command::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            command.words.push(argument.clone());
            continue;
        };
        for (index, letter) in letters.char_indices() {
            let attached = &letters[index + letter.len_utf8()..];
            let mut value = || match attached {
                "" => rest.next().cloned().ok_or(format!("-{letter} wants a value")),
                attached => Ok(attached.to_owned()),
            };
            match letter {
                'l' => command.listen = true,
                'z' => command.scan = true,
                'v' => command.verbose = true,
                'n' | '4' | 'N' => continue,
                'w' => command.wait = Some(seconds(&value()?)?),
                'p' => command.port = Some(port(&value()?)?),
                other => return Err(format!("-{other} is unknown to this small nc")),
            }
            if "wp".contains(letter) {
                break;
            }
        }
    }
    Ok(command)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<u32>().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Ok(Duration::from_secs(u64::from(number)))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no port"))
}

async fn connect(command: &Command) -> Result<(), String> {
    let [host, port_text] = command.words.as_slice() else {
        return Err("want a host and a port".to_owned());
    };
    let port = port(port_text)?;
    let addresses = sagene_base::resolve::Resolver::new().lookup(host).await;
    let addresses = addresses.map_err(|_| format!("bad address '{host}'"))?;
    let mut problem = format!("bad address '{host}'");
    for address in addresses {
        let address = SocketAddr::from((address, port));
        let connecting = TcpStream::connect(address);
        match timeout(command.wait.unwrap_or(Duration::from_secs(60)), connecting).await {
            Ok(Ok(stream)) => {
                if command.verbose {
                    eprintln!("{host} ({address}) open");
                }
                return if command.scan { Ok(()) } else { copy(stream, command).await };
            }
            Ok(Err(error)) => problem = format!("{host} ({address}): {}", words(&error)),
            Err(_) => problem = format!("{host} ({address}): Connection timed out"),
        }
    }
    Err(problem)
}

fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "Connection refused".to_owned(),
        _ => error.to_string(),
    }
}

async fn listen(command: &Command) -> Result<(), String> {
    let port = match (command.port, command.words.last()) {
        (Some(port), _) => port,
        (None, Some(text)) => port(text)?,
        (None, None) => return Err("want a port to listen on".to_owned()),
    };
    let failed = |error: std::io::Error| format!("port {port}: {error}");
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(both) => both,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(failed)?,
    };
    let (stream, _) = listener.accept().await.map_err(failed)?;
    copy(stream, command).await
}

/// Both ways until the other side ends; the end of standard input is passed on.
async fn copy(stream: TcpStream, command: &Command) -> Result<(), String> {
    let (mut read, mut write) = stream.into_split();
    let mut input = standard_input().map_err(|error| format!("cannot read standard input: {error}"))?;
    let sending = tokio::spawn(async move {
        while let Some(piece) = input.recv().await {
            if write.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _gone = write.shutdown().await;
    });
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = match command.wait {
            Some(longest) => match timeout(longest, read.read(&mut buffer)).await {
                Ok(count) => count,
                Err(_) => break,
            },
            None => read.read(&mut buffer).await,
        };
        match count {
            Ok(0) => break,
            Ok(count) => {
                let mut output = std::io::stdout().lock();
                let written = output.write_all(&buffer[..count]).and_then(|()| output.flush());
                written.map_err(|error| error.to_string())?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    sending.abort();
    Ok(())
}

/// By a thread of its own, which the end of the program does not wait for: a read of a terminal would hold it up.
fn standard_input() -> std::io::Result<tokio::sync::mpsc::Receiver<Vec<u8>>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count) = std::io::Read::read(&mut input, &mut buffer) {
            if count == 0 || sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_read() {
        let of = |line: &str| parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let command = of("-w3 -zv tcp-echo 9000").expect("parses");
        assert_eq!((command.wait, command.scan, command.verbose), (Some(Duration::from_secs(3)), true, true));
        assert_eq!(command.words, ["tcp-echo", "9000"]);
        assert_eq!(of("-l -p 9000").expect("parses").port, Some(9000));
        assert!(of("-k a 1").is_err_and(|problem| problem.contains("-k")));
    }
}
