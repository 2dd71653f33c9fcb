//! RESP2, the protocol of redis: commands as arrays of texts or as plain lines, replies, and both ways of writing them.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Longest text, in bytes.
const LONGEST: usize = 1 << 20;
/// Most words of a command, or parts of a reply.
const MOST: usize = 64 * 1024;
/// Longest command or reply as a whole, in bytes.
const WHOLE: usize = 16 << 20;
/// Longest line.
const LINE: u64 = 64 * 1024;
/// How deep replies may be nested.
const DEPTH: usize = 8;

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Reply {
    /// A word like `OK`.
    Status(String),
    /// A kind and a sentence: `ERR unknown command`.
    Error(String),
    /// A number.
    Integer(i64),
    /// Any bytes.
    Text(Vec<u8>),
    /// No value.
    Nil,
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    pub(super) fn ok() -> Self {
        Self::Status("OK".to_owned())
    }

    pub(super) fn error(text: impl Into<String>) -> Self {
        Self::Error(text.into())
    }

    pub(super) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status(text) => out.extend_from_slice(format!("+{text}\r\n").as_bytes()),
            Self::Error(text) => {
                out.extend_from_slice(format!("-{}\r\n", text.replace(['\r', '\n'], " ")).as_bytes());
            }
            Self::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
            Self::Text(text) => {
                out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::List(list) => {
                out.extend_from_slice(format!("*{}\r\n", list.len()).as_bytes());
                list.iter().for_each(|each| each.write(out));
            }
        }
    }
}

/// A command as clients write it.
pub(super) fn command(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let words = words.iter().map(|word| Reply::Text(word.as_ref().to_vec()));
    let mut out = Vec::new();
    Reply::List(words.collect()).write(&mut out);
    out
}

/// What is wrong with what came.
pub(super) fn broken(problem: &str) -> Error {
    Error::new(ErrorKind::InvalidData, problem.to_owned())
}

/// The words of the next command; `None` where the client is done. An empty line has no words.
pub(super) async fn read_command(
    from: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let Some(line) = read_line(from).await? else { return Ok(None) };
    let Some(count) = line.strip_prefix(b"*") else {
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        return Ok(Some(words.map(<[u8]>::to_vec).collect()));
    };
    let count = number(count).filter(|count| *count <= MOST as i64);
    let count = count.ok_or_else(|| broken("Protocol error: invalid multibulk length"))?;
    let (mut words, mut whole) = (Vec::new(), 0);
    for _ in 0..count {
        let line = read_line(from).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let length = line.strip_prefix(b"$").ok_or_else(|| broken("Protocol error: expected '$'"))?;
        let length = number(length).and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| broken("Protocol error: invalid bulk length"))?;
        whole += length;
        if whole > WHOLE {
            return Err(broken("Protocol error: too big mbulk count string"));
        }
        words.push(read_text(from, length).await?);
    }
    Ok(Some(words))
}

/// The next reply of a server.
pub(super) async fn read_reply(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, Error> {
    // Lists that are not full yet, with how many are missing.
    let mut open: Vec<(Vec<Reply>, usize)> = Vec::new();
    let mut left = WHOLE;
    loop {
        let line = read_line(from).await?.ok_or(ErrorKind::UnexpectedEof)?;
        let (kind, rest) = line.split_first().ok_or_else(|| broken("an empty reply"))?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        let counted = || number(rest).ok_or_else(|| broken("a reply with a bad number"));
        let mut reply = match kind {
            b'+' => Reply::Status(text()),
            b'-' => Reply::Error(text()),
            b':' => Reply::Integer(counted()?),
            b'$' => match usize::try_from(counted()?) {
                Ok(length) if length <= LONGEST => Reply::Text(read_text(from, length).await?),
                Ok(_) => return Err(broken("a reply that is too long")),
                Err(_) => Reply::Nil,
            },
            b'*' => match usize::try_from(counted()?) {
                Ok(0) => Reply::List(Vec::new()),
                Ok(count) if count <= MOST && open.len() < DEPTH => {
                    open.push((Vec::new(), count));
                    continue;
                }
                Ok(_) => return Err(broken("a reply with too many parts")),
                Err(_) => Reply::Nil,
            },
            _ => return Err(broken("a reply of an unknown kind")),
        };
        let size = line.len() + if let Reply::Text(text) = &reply { text.len() } else { 0 };
        left = left.checked_sub(size).ok_or_else(|| broken("a reply that is too long"))?;
        loop {
            let Some((list, missing)) = open.last_mut() else { return Ok(reply) };
            list.push(reply);
            *missing -= 1;
            if *missing > 0 {
                break;
            }
            let (full, _) = open.pop().unwrap_or_default();
            reply = Reply::List(full);
        }
    }
}

async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>, Error> {
    let mut line = Vec::new();
    from.take(LINE).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) if line.len() as u64 + 1 < LINE => return Ok(None),
        Some(_) => return Err(broken("Protocol error: too big inline request")),
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

async fn read_text(from: &mut (impl AsyncBufRead + Unpin), length: usize) -> Result<Vec<u8>, Error> {
    let mut text = vec![0; length + 2];
    from.read_exact(&mut text).await?;
    text.truncate(length);
    Ok(text)
}

pub(super) fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
