//! `tcp-echo-server`: every line comes back behind a prefix. Arguments: ports by comma, then the prefix.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::SampleError;
use super::serve::{listen, stopped};

pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let ports = arguments.first().map_or("9000", String::as_str);
    let prefix = arguments.get(1).cloned().unwrap_or_else(|| "hello".to_owned());
    let mut servers = JoinSet::new();
    for text in ports.split(',') {
        let port = text.trim().parse().map_err(|_| SampleError::Argument {
            applet: "tcp-echo",
            problem: format!("{text:?} is no port; want ports by comma, then a prefix"),
        })?;
        servers.spawn(accept(listen(port).await?, prefix.clone()));
    }
    stopped().await;
    Ok(())
}

async fn accept(listener: TcpListener, prefix: String) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let prefix = prefix.clone();
            tokio::spawn(async move { echo(stream, &prefix).await });
        }
    }
}

async fn echo(stream: TcpStream, prefix: &str) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).await? == 0 {
            return write.shutdown().await;
        }
        let mut answer = format!("{prefix} ").into_bytes();
        answer.extend_from_slice(&line);
        write.write_all(&answer).await?;
    }
}
