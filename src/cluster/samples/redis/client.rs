//! A client of such a store: commands out, replies in, one connection.

use std::io::Error;
use std::time::Duration;

use sagene_base::connect::TcpConnect;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(in super::super) use super::resp::Reply;
use super::resp::{command, read_reply};

/// A connection.
pub(in super::super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to `host` and `port`.
    ///
    /// # Errors
    /// The name is none, or nobody answers in `time`.
    pub(in super::super) async fn connect(host: &str, port: u16, time: Duration) -> Result<Self, Error> {
        let connect = TcpConnect { timeout: time, ..TcpConnect::new(host, port) };
        let stream = tokio::time::timeout(time, connect.tcp()).await??;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends commands at once; their replies, in order.
    pub(in super::super) async fn ask(&mut self, commands: &[Vec<String>]) -> Result<Vec<Reply>, Error> {
        let out: Vec<u8> = commands.iter().flat_map(|words| command(words)).collect();
        self.stream.get_mut().write_all(&out).await?;
        let mut replies = Vec::with_capacity(commands.len());
        for _ in commands {
            replies.push(read_reply(&mut self.stream).await?);
        }
        Ok(replies)
    }
}
