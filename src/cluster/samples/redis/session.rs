//! One connection: commands in, replies out in the same order, transactions in between.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Server;
use super::command;
use super::resp::{Reply, read_command};

/// Most commands that wait for EXEC.
const QUEUED: usize = 10_000;

/// What a connection remembers.
pub(super) struct Session {
    pub(super) database: usize,
    pub(super) known: bool,
    pub(super) name: Vec<u8>,
    /// Commands between MULTI and EXEC.
    queued: Option<Vec<Vec<Vec<u8>>>>,
    /// One of them is none.
    spoiled: bool,
}

pub(super) async fn serve(mut stream: TcpStream, server: &Server) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.split();
    let mut reading = BufReader::new(reading);
    let known = server.password.is_none();
    let mut session = Session { database: 0, known, name: Vec::new(), queued: None, spoiled: false };
    loop {
        let words = match read_command(&mut reading).await {
            Ok(Some(words)) if words.is_empty() => continue,
            Ok(Some(words)) => words,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let mut out = Vec::new();
                Reply::error(format!("ERR {error}")).write(&mut out);
                return writing.write_all(&out).await;
            }
            Err(error) => return Err(error),
        };
        let mut out = Vec::new();
        session.follow(server, &words).write(&mut out);
        writing.write_all(&out).await?;
        if words[0].eq_ignore_ascii_case(b"quit") {
            return Ok(());
        }
    }
}

impl Session {
    fn follow(&mut self, server: &Server, words: &[Vec<u8>]) -> Reply {
        let name = words[0].to_ascii_uppercase();
        match (name.as_slice(), self.queued.is_some()) {
            (b"MULTI", true) => Reply::error("ERR MULTI calls can not be nested"),
            (b"MULTI", false) if self.known => {
                (self.queued, self.spoiled) = (Some(Vec::new()), false);
                Reply::ok()
            }
            (b"DISCARD", true) => {
                self.queued = None;
                Reply::ok()
            }
            (b"EXEC" | b"DISCARD", false) if self.known => {
                Reply::error(format!("ERR {} without MULTI", String::from_utf8_lossy(&name)))
            }
            (b"EXEC", true) => self.execute(server),
            (b"QUIT", _) => Reply::ok(),
            (_, true) => self.queue(words),
            (_, false) => command::run(&mut server.store(), server, self, words),
        }
    }

    fn queue(&mut self, words: &[Vec<u8>]) -> Reply {
        if let Err(problem) = command::check(words) {
            self.spoiled = true;
            return Reply::Error(problem);
        }
        match &mut self.queued {
            Some(queued) if queued.len() < QUEUED => {
                queued.push(words.to_vec());
                Reply::Status("QUEUED".to_owned())
            }
            _ => {
                self.spoiled = true;
                Reply::error("ERR too many commands wait for EXEC")
            }
        }
    }

    fn execute(&mut self, server: &Server) -> Reply {
        let queued = self.queued.take().unwrap_or_default();
        if self.spoiled {
            return Reply::error("EXECABORT Transaction discarded because of previous errors.");
        }
        let mut store = server.store();
        Reply::List(queued.iter().map(|words| command::run(&mut store, server, self, words)).collect())
    }
}
