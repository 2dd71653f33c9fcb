//! Commands about the server and the connection.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::samples::redis::Server;
use crate::samples::redis::resp::Reply;
use crate::samples::redis::session::Session;
use crate::samples::redis::store::Store;

/// The version of the original whose answers these are.
const VERSION: &str = "7.4.0";

/// `AUTH password`, `AUTH default password`.
pub(super) fn authenticate(
    server: &Server,
    session: &mut Session,
    words: &[Vec<u8>],
) -> Result<Reply, String> {
    let (user, given) = match words {
        [given] => (b"default".as_slice(), given),
        [user, given] => (user.as_slice(), given),
        _ => return Err("ERR syntax error".to_owned()),
    };
    let Some(password) = &server.password else {
        // The user who needs none may say anything.
        return match words {
            [_] => Err("ERR AUTH <password> called without any password configured for the default user. \
                        Are you sure your configuration is correct?"
                .to_owned()),
            _ if user == b"default" => Ok(Reply::ok()),
            _ => Err(wrong_pair()),
        };
    };
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(password.as_bytes(), given).is_ok();
    if !same || user != b"default" {
        return Err(wrong_pair());
    }
    session.known = true;
    Ok(Reply::ok())
}

fn wrong_pair() -> String {
    "WRONGPASS invalid username-password pair or user is disabled.".to_owned()
}

/// `HELLO [2 [AUTH user password]]`; the third version of the protocol is not spoken.
pub(super) fn hello(server: &Server, session: &mut Session, words: &[Vec<u8>]) -> Result<Reply, String> {
    match words {
        [] => {}
        [version, ..] if version != b"2" => {
            return Err("NOPROTO unsupported protocol version".to_owned());
        }
        [_, option, pair @ ..] if option.eq_ignore_ascii_case(b"auth") && pair.len() == 2 => {
            authenticate(server, session, pair)?;
        }
        [_] => {}
        _ => return Err("ERR Syntax error in HELLO option".to_owned()),
    }
    if !session.known {
        return Err("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time".to_owned());
    }
    let pairs = [
        ("server", Reply::text("redis")),
        ("version", Reply::text(VERSION)),
        ("proto", Reply::Integer(2)),
        ("id", Reply::Integer(1)),
        ("mode", Reply::text("standalone")),
        ("role", Reply::text("master")),
        ("modules", Reply::List(Vec::new())),
    ];
    Ok(Reply::List(pairs.into_iter().flat_map(|(name, value)| [Reply::text(name), value]).collect()))
}

/// `CLIENT SETNAME | GETNAME | SETINFO | ID`.
pub(super) fn client(session: &mut Session, words: &[Vec<u8>]) -> Result<Reply, String> {
    match (words[0].to_ascii_uppercase().as_slice(), &words[1..]) {
        (b"SETNAME", [name]) if name.len() <= 1024 => {
            session.name = name.clone();
            Ok(Reply::ok())
        }
        (b"GETNAME", []) if session.name.is_empty() => Ok(Reply::Nil),
        (b"GETNAME", []) => Ok(Reply::Text(session.name.clone())),
        (b"SETINFO", [_, _]) => Ok(Reply::ok()),
        (b"ID", []) => Ok(Reply::Integer(1)),
        _ => Err(unknown_part("CLIENT", &words[0])),
    }
}

fn unknown_part(command: &str, part: &[u8]) -> String {
    format!("ERR unknown subcommand '{}'. Try {command} HELP.", String::from_utf8_lossy(part))
}

/// `CONFIG GET`: nothing of it can be configured.
pub(super) fn config(words: &[Vec<u8>]) -> Result<Reply, String> {
    if words[0].eq_ignore_ascii_case(b"get") {
        return Ok(Reply::List(Vec::new()));
    }
    Err(unknown_part("CONFIG", &words[0]))
}

/// `COMMAND`, `COMMAND COUNT`, `COMMAND LIST`; what clients ask it for besides they can do without.
pub(super) fn commands(words: &[Vec<u8>], names: impl ExactSizeIterator<Item = &'static str>) -> Reply {
    let part = words.first().map(|part| part.to_ascii_uppercase()).unwrap_or_default();
    match part.as_slice() {
        b"COUNT" => Reply::Integer(i64::try_from(names.len()).unwrap_or(i64::MAX)),
        b"LIST" => Reply::List(names.map(|name| Reply::text(name.to_ascii_lowercase())).collect()),
        _ => Reply::List(Vec::new()),
    }
}

/// Seconds and microseconds.
pub(super) fn time() -> Reply {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let parts = [now.as_secs().to_string(), now.subsec_micros().to_string()];
    Reply::List(parts.into_iter().map(Reply::text).collect())
}

/// The sections that are looked at: server, memory, replication, keyspace.
pub(super) fn info(store: &Store, server: &Server) -> String {
    let used = store.used();
    let mut text = format!(
        "# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nprocess_id:{}\r\ntcp_port:{}\r\n\r\n\
         # Clients\r\nconnected_clients:{}\r\n\r\n\
         # Memory\r\nused_memory:{used}\r\n\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n\
         # Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n",
        std::process::id(),
        server.port,
        super::super::CONNECTIONS - server.free.available_permits(),
    );
    for (number, (keys, limited)) in store.counts().enumerate().filter(|(_, (keys, _))| *keys > 0) {
        text.push_str(&format!("db{number}:keys={keys},expires={limited},avg_ttl=0\r\n"));
    }
    text
}
