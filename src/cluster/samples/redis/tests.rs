//! The store on real sockets, by its own client and by bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::client::{Client, Reply};
use super::store::Store;
use super::{Server, accept};

const PATIENCE: Duration = Duration::from_secs(20);

/// A store on a port of its own, for as long as the runtime lives.
pub(in crate::samples) async fn running(password: Option<&str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let server = Server {
        store: Mutex::new(Store::default()),
        password: password.map(str::to_owned),
        port: address.port(),
        free: Arc::new(Semaphore::new(8)),
    };
    tokio::spawn(accept(listener, Arc::new(server)));
    address
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

async fn client(of: SocketAddr) -> Client {
    Client::connect("127.0.0.1", of.port(), PATIENCE).await.expect("connect")
}

async fn ask(client: &mut Client, lines: &[&str]) -> Vec<Reply> {
    let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
    tokio::time::timeout(PATIENCE, client.ask(&commands)).await.expect("in time").expect("replies")
}

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

#[tokio::test]
async fn numbers_and_texts_are_kept_until_their_time() {
    let mut client = client(running(None).await).await;
    let replies = ask(
        &mut client,
        &[
            "SET a 5 EX 100",
            "INCRBY a 3",
            "TTL a",
            "GET a",
            "SET a 1 NX",
            "SET b 1 XX",
            "DEL a b",
            "GET a",
            "TTL a",
            "INCR n",
            "TTL n",
            "EXPIRE n 0",
            "EXISTS n",
        ],
    )
    .await;
    let expected = [
        Reply::ok(),
        Reply::Integer(8),
        Reply::Integer(100),
        Reply::text("8"),
        Reply::Nil,
        Reply::Nil,
        Reply::Integer(1),
        Reply::Nil,
        Reply::Integer(-2),
        Reply::Integer(1),
        Reply::Integer(-1),
        Reply::Integer(1),
        Reply::Integer(0),
    ];
    assert_eq!(replies, expected);
    ask(&mut client, &["SET short 1 PX 1"]).await;
    let gone = async {
        while ask(&mut client, &["GET short"]).await != [Reply::Nil] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it ends");
}

#[tokio::test]
async fn mistakes_are_told_in_the_words_of_the_original() {
    let mut client = client(running(None).await).await;
    let replies = ask(
        &mut client,
        &["FOO bar", "GET", "SET a x", "INCR a", "SELECT 99", "SET a 1 EX", "HELLO 3", "SELECT 3", "GET a"],
    )
    .await;
    let expected = [
        error("ERR unknown command 'FOO', with args beginning with: 'bar' "),
        error("ERR wrong number of arguments for 'get' command"),
        Reply::ok(),
        error("ERR value is not an integer or out of range"),
        error("ERR DB index is out of range"),
        error("ERR syntax error"),
        error("NOPROTO unsupported protocol version"),
        Reply::ok(),
        Reply::Nil,
    ];
    assert_eq!(replies, expected);
}

#[tokio::test]
async fn patterns_find_keys_and_transactions_run_as_one() {
    let mut client = client(running(None).await).await;
    ask(&mut client, &["MSET path_/a 1 path_/b 2 other 3"]).await;
    let replies = ask(&mut client, &["KEYS path_*", "KEYS path_/[a]", "KEYS ?ther", "DBSIZE"]).await;
    let list = |keys: &[&str]| Reply::List(keys.iter().map(|key| Reply::text(*key)).collect());
    let expected = [list(&["path_/a", "path_/b"]), list(&["path_/a"]), list(&["other"]), Reply::Integer(3)];
    assert_eq!(replies, expected);
    let replies = ask(&mut client, &["MULTI", "INCR other", "GET other", "EXEC", "EXEC"]).await;
    assert_eq!(replies[3], Reply::List(vec![Reply::Integer(4), Reply::text("4")]));
    assert_eq!(replies[4], error("ERR EXEC without MULTI"));
    let replies = ask(&mut client, &["MULTI", "NONSENSE", "FLUSHALL", "EXEC", "DBSIZE"]).await;
    assert_eq!(replies[3], error("EXECABORT Transaction discarded because of previous errors."));
    assert_eq!(replies[4], Reply::Integer(3));
}

#[tokio::test]
async fn a_password_comes_first() {
    let mut client = client(running(Some("secret")).await).await;
    let replies = ask(&mut client, &["GET a", "AUTH wrong", "AUTH secret", "GET a"]).await;
    assert_eq!(replies[0], error("NOAUTH Authentication required."));
    assert_eq!(replies[1], error("WRONGPASS invalid username-password pair or user is disabled."));
    assert_eq!(replies[2..], [Reply::ok(), Reply::Nil]);
}

#[tokio::test]
async fn lines_are_commands_and_what_is_too_long_ends_the_connection() {
    let address = running(None).await;
    let talk = async |text: &[u8]| {
        let mut socket = TcpStream::connect(address).await.expect("connect");
        socket.write_all(text).await.expect("write");
        let mut answer = String::new();
        let reading = socket.read_to_string(&mut answer);
        tokio::time::timeout(PATIENCE, reading).await.expect("it ends").expect("text");
        answer
    };
    assert_eq!(talk(b"PING\r\nECHO hi\r\nquit\r\n").await, "+PONG\r\n$2\r\nhi\r\n+OK\r\n");
    assert_eq!(talk(b"*1\r\n$99999999999\r\n").await, "-ERR Protocol error: invalid bulk length\r\n");
    assert_eq!(talk(b"*99999999\r\n").await, "-ERR Protocol error: invalid multibulk length\r\n");
}
