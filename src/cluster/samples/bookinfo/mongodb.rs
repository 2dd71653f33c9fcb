//! `examples-bookinfo-mongodb`: a database of two ratings that speaks MongoDB's protocol, and the client that reads them.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use sagene_base::connect::TcpConnect;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::SampleError;
use super::super::serve::{listen, stopped};
use super::bson::{decode, encode};

/// Where MongoDB listens.
const PORT: u16 = 27017;
/// Longest message taken, in bytes.
const LONGEST: usize = 48 * 1024 * 1024;
/// Longest wait of the client.
const PATIENCE: Duration = Duration::from_secs(10);
const REPLY: i32 = 1;
const QUERY: i32 = 2004;
const MESSAGE: i32 = 2013;

type Document = Map<String, Value>;

pub(in super::super) async fn run(_arguments: &[String]) -> Result<(), SampleError> {
    let listener = listen(PORT).await?;
    println!("Waiting for connections on port {PORT}");
    tokio::select! {
        () = accept(listener) => {}
        () = stopped() => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Err(error) = serve(stream).await {
                    println!("connection ended: {error}");
                }
            });
        }
    }
}

/// A message: its number, what kind it is, and what follows its head.
struct Message {
    id: i32,
    kind: i32,
    body: Vec<u8>,
}

async fn serve(mut stream: TcpStream) -> Result<(), Error> {
    while let Some(message) = receive(&mut stream).await? {
        let (kind, body) = match message.kind {
            MESSAGE => {
                let command = command_of(&message.body).ok_or(ErrorKind::InvalidData)?;
                (MESSAGE, [&[0; 5][..], &encode(&answer(&command))].concat())
            }
            QUERY => {
                let command = query_of(&message.body).ok_or(ErrorKind::InvalidData)?;
                let head = [&[0; 16][..], &1i32.to_le_bytes()].concat();
                (REPLY, [head, encode(&answer(&command))].concat())
            }
            other => return Err(Error::new(ErrorKind::InvalidData, format!("opcode {other} is not known"))),
        };
        send(&mut stream, message.id, kind, &body).await?;
    }
    Ok(())
}

/// The command of a message: flags, then the section of kind 0.
fn command_of(body: &[u8]) -> Option<Document> {
    let section = body.get(4..)?.strip_prefix(&[0])?;
    Some(decode(section)?.0)
}

/// The command of an old query: flags, a name, two numbers, then the document.
fn query_of(body: &[u8]) -> Option<Document> {
    let named = body.get(4..)?;
    let end = named.iter().position(|byte| *byte == 0)?;
    Some(decode(named.get(end + 9..)?)?.0)
}

/// What the database says to a command; its name is the first key.
fn answer(command: &Document) -> Document {
    let name = command.keys().find(|key| !key.starts_with('$')).map(String::as_str).unwrap_or_default();
    let has = |name: &str| command.contains_key(name);
    let answer = if has("hello") || has("isMaster") || has("ismaster") {
        json!({"ismaster": true, "isWritablePrimary": true, "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 13, "readOnly": false, "ok": 1.0})
    } else if let Some(collection) = command.get("find").and_then(Value::as_str) {
        let database = command.get("$db").and_then(Value::as_str).unwrap_or("test");
        let found = if collection == "ratings" { json!([{"rating": 5}, {"rating": 4}]) } else { json!([]) };
        json!({"cursor": {"firstBatch": found, "id": 0, "ns": format!("{database}.{collection}")}, "ok": 1.0})
    } else if has("ping") || has("endSessions") {
        json!({"ok": 1.0})
    } else {
        let problem = format!("no such command: '{name}'");
        json!({"ok": 0.0, "errmsg": problem, "code": 59, "codeName": "CommandNotFound"})
    };
    answer.as_object().cloned().unwrap_or_default()
}

/// The next message; `None` where the peer is done.
async fn receive(stream: &mut TcpStream) -> Result<Option<Message>, Error> {
    let mut head = [0; 16];
    match stream.read_exact(&mut head).await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => drop(other?),
    }
    let word = |at: usize| i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = usize::try_from(word(0)).ok().and_then(|length| length.checked_sub(head.len()));
    let length = length.filter(|length| *length <= LONGEST).ok_or(ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Message { id: word(4), kind: word(12), body }))
}

async fn send(stream: &mut TcpStream, answered: i32, kind: i32, body: &[u8]) -> Result<(), Error> {
    let length = i32::try_from(body.len() + 16).map_err(|_| ErrorKind::InvalidData)?;
    let head = [length, 1, answered, kind].map(i32::to_le_bytes).concat();
    stream.write_all(&[&head, body].concat()).await
}

/// Reads the ratings of a database, `mongodb://HOST:PORT/NAME`.
pub(super) async fn ratings(url: &str) -> Result<Vec<i64>, Error> {
    let late = |_| Error::from(ErrorKind::TimedOut);
    tokio::time::timeout(PATIENCE, find(url)).await.map_err(late)?
}

async fn find(url: &str) -> Result<Vec<i64>, Error> {
    let place = url.strip_prefix("mongodb://").unwrap_or(url);
    let (host, database) = place.split_once('/').unwrap_or((place, "test"));
    let host = host.rsplit('@').next().unwrap_or(host);
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let mut stream = TcpConnect::new(name, port.parse().unwrap_or(PORT)).tcp().await?;
    let command = json!({"find": "ratings", "filter": {}, "$db": database});
    let command = command.as_object().cloned().unwrap_or_default();
    send(&mut stream, 0, MESSAGE, &[&[0; 5][..], &encode(&command)].concat()).await?;
    let message = receive(&mut stream).await?.ok_or(ErrorKind::UnexpectedEof)?;
    let answer = command_of(&message.body).ok_or(ErrorKind::InvalidData)?;
    let found = answer.get("cursor").and_then(|cursor| cursor["firstBatch"].as_array());
    let found = found.ok_or(ErrorKind::InvalidData)?;
    Ok(found.iter().map(|document| document["rating"].as_i64().unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_client_reads_what_the_database_has() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(accept(listener));
        assert_eq!(ratings(&format!("mongodb://{address}/test")).await.expect("ratings"), [5, 4]);
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let hello = json!({"isMaster": 1}).as_object().cloned().expect("a document");
        let old = [&[0; 4][..], b"admin.$cmd\0", &[0; 8], &encode(&hello)].concat();
        send(&mut stream, 0, QUERY, &old).await.expect("sent");
        let reply = receive(&mut stream).await.expect("received").expect("a reply");
        assert_eq!(reply.kind, REPLY);
        assert_eq!(decode(&reply.body[20..]).expect("a document").0["ismaster"], true);
        assert!(command_of(&reply.body).is_none(), "a reply is no message");
        server.abort();
    }
}
