//! HTTP/2 peers that cost more than they ask for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::config::Setup;
use super::{PATIENCE, echo_server, get, start};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;
/// `:method GET`, `:scheme http`, `:path /`, `:authority` by index with the value `a`.
const REQUEST: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends what `next` makes until the proxy has had enough; says whether it said so, or closed, in time.
fn flood(address: SocketAddr, mut next: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("timeout");
    socket.set_write_timeout(Some(Duration::from_secs(2))).expect("timeout");
    let start = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    socket.write_all(&start).expect("preface");
    let (until, mut seen, mut piece) = (Instant::now() + PATIENCE, Vec::new(), [0; 16 * 1024]);
    for round in 0.. {
        if Instant::now() > until {
            return false;
        }
        if socket.write_all(&next(round)).is_err() {
            return true;
        }
        match socket.read(&mut piece) {
            Ok(0) => return true,
            Ok(count) => seen.extend_from_slice(&piece[..count]),
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return true,
        }
        if kinds(&seen).any(|kind| kind == GO_AWAY) {
            return true;
        }
    }
    false
}

/// The kinds of the whole frames.
fn kinds(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = rest.get(..9)?;
        let length = head[..3].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = rest.get(9 + length..)?;
        Some(head[3])
    })
}

#[test]
fn floods_end_the_connection_and_nothing_else() {
    let (proxy, address) = start(Setup::plain(&[echo_server("200 OK")]));
    let stream = |round: u32, index: u32| (round * 100 + index) * 2 + 1;
    let resets = flood(address, |round| {
        let one = |index| {
            let id = stream(round, index);
            [frame(HEADERS, END_HEADERS | END_STREAM, id, REQUEST), frame(RESET, 0, id, &8_u32.to_be_bytes())]
        };
        (0..100).flat_map(one).flatten().collect()
    });
    assert!(resets, "requests that are taken back at once");
    let endless = flood(address, |round| match round {
        0 => frame(HEADERS, 0, 1, REQUEST),
        _ => frame(CONTINUATION, 0, 1, &[&[0, 1, b'x', 0x7f, 0x81, 0x1f], [b'y'; 4096].as_slice()].concat()),
    });
    assert!(endless, "a head without an end");
    let mut socket = TcpStream::connect(address).expect("connect");
    // A peer that asks and never reads must not make the proxy gather the answers.
    socket.set_write_timeout(Some(Duration::from_secs(2))).expect("timeout");
    socket.write_all(PREFACE).expect("preface");
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).expect("settings");
    let pings: Vec<u8> = (0..1000).flat_map(|_| frame(PING, 0, 0, &[0; 8])).collect();
    let sent = (0..2000).take_while(|_| socket.write_all(&pings).is_ok()).count();
    assert!(sent < 2000, "pings are taken without end");
    assert!(get(address, "/hello").starts_with("HTTP/1.1 200 "), "others are served");
    proxy.stop();
}
