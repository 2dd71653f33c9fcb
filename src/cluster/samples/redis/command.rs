//! The commands: which there are, how many words they take, and what each does.

mod about;
mod set;

use std::time::Duration;

use super::Server;
use super::resp::{Reply, number};
use super::session::Session;
use super::store::{DATABASES, Expiry, Full, Store};

/// Commands with their least and most words, the name included.
const COMMANDS: [(&str, usize, usize); 44] = [
    ("APPEND", 3, 3),
    ("AUTH", 2, 3),
    ("CLIENT", 2, MANY),
    ("COMMAND", 1, MANY),
    ("CONFIG", 2, MANY),
    ("DBSIZE", 1, 1),
    ("DECR", 2, 2),
    ("DECRBY", 3, 3),
    ("DEL", 2, MANY),
    ("DISCARD", 1, 1),
    ("ECHO", 2, 2),
    ("EXEC", 1, 1),
    ("EXISTS", 2, MANY),
    ("EXPIRE", 3, 3),
    ("FLUSHALL", 1, 2),
    ("FLUSHDB", 1, 2),
    ("GET", 2, 2),
    ("GETDEL", 2, 2),
    ("HELLO", 1, MANY),
    ("INCR", 2, 2),
    ("INCRBY", 3, 3),
    ("INFO", 1, MANY),
    ("KEYS", 2, 2),
    ("MGET", 2, MANY),
    ("MSET", 3, MANY),
    ("MULTI", 1, 1),
    ("PERSIST", 2, 2),
    ("PEXPIRE", 3, 3),
    ("PING", 1, 2),
    ("PSETEX", 4, 4),
    ("PTTL", 2, 2),
    ("QUIT", 1, MANY),
    ("ROLE", 1, 1),
    ("SCAN", 2, MANY),
    ("SELECT", 2, 2),
    ("SET", 3, MANY),
    ("SETEX", 4, 4),
    ("SETNX", 3, 3),
    ("STRLEN", 2, 2),
    ("TIME", 1, 1),
    ("TOUCH", 2, MANY),
    ("TTL", 2, 2),
    ("TYPE", 2, 2),
    ("UNLINK", 2, MANY),
];
const MANY: usize = usize::MAX;

const NO_INTEGER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";

/// Whether there is such a command with that many words; else the error as the original words it.
pub(super) fn check(words: &[Vec<u8>]) -> Result<(), String> {
    let given = String::from_utf8_lossy(&words[0]);
    let name = given.to_ascii_uppercase();
    match COMMANDS.iter().find(|(each, ..)| *each == name) {
        Some((_, least, most)) if (*least..=*most).contains(&words.len()) => Ok(()),
        Some(_) => Err(format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase())),
        None => {
            let shown = |word: &Vec<u8>| {
                let text = String::from_utf8_lossy(word);
                format!("'{}' ", text.chars().take(128).collect::<String>())
            };
            let rest: String = words[1..].iter().take(20).map(shown).collect();
            let given: String = given.chars().take(128).collect();
            Err(format!("ERR unknown command '{given}', with args beginning with: {rest}"))
        }
    }
}

/// Runs one command.
pub(super) fn run(store: &mut Store, server: &Server, session: &mut Session, words: &[Vec<u8>]) -> Reply {
    if let Err(problem) = check(words) {
        return Reply::Error(problem);
    }
    let name = words[0].to_ascii_uppercase();
    if !session.known && !matches!(name.as_slice(), b"AUTH" | b"HELLO" | b"QUIT") {
        return Reply::error("NOAUTH Authentication required.");
    }
    let database = session.database;
    let outcome = match name.as_slice() {
        b"AUTH" => about::authenticate(server, session, &words[1..]),
        b"HELLO" => about::hello(server, session, &words[1..]),
        b"CLIENT" => about::client(session, &words[1..]),
        b"COMMAND" => Ok(about::commands(&words[1..], COMMANDS.iter().map(|(name, ..)| *name))),
        b"CONFIG" => about::config(&words[1..]),
        b"INFO" => Ok(Reply::text(about::info(store, server))),
        b"ROLE" => Ok(Reply::List(vec![Reply::text("master"), Reply::Integer(0), Reply::List(Vec::new())])),
        b"TIME" => Ok(about::time()),
        b"PING" => Ok(words
            .get(1)
            .map_or_else(|| Reply::Status("PONG".to_owned()), |text| Reply::text(text.clone()))),
        b"ECHO" => Ok(Reply::text(words[1].clone())),
        b"SELECT" => select(session, &words[1]),
        _ => on_keys(store, database, &name, &words[1..]),
    };
    outcome.unwrap_or_else(Reply::Error)
}

fn select(session: &mut Session, text: &[u8]) -> Result<Reply, String> {
    let wanted = integer(text)?;
    let known = usize::try_from(wanted).ok().filter(|wanted| *wanted < DATABASES);
    session.database = known.ok_or("ERR DB index is out of range")?;
    Ok(Reply::ok())
}

fn on_keys(store: &mut Store, database: usize, name: &[u8], words: &[Vec<u8>]) -> Result<Reply, String> {
    let count = |number: usize| Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let first = words.first().map(Vec::as_slice).unwrap_or_default();
    let value = |store: &mut Store, key: &[u8]| store.get(database, key).map_or(Reply::Nil, Reply::text);
    Ok(match name {
        b"GET" => value(store, first),
        b"GETDEL" => {
            let found = value(store, first);
            store.remove(database, first);
            found
        }
        b"MGET" => Reply::List(words.iter().map(|key| value(store, key)).collect()),
        b"STRLEN" => count(store.get(database, first).map_or(0, <[u8]>::len)),
        b"TYPE" => {
            let kind = store.get(database, first).map_or("none", |_| "string");
            Reply::Status(kind.to_owned())
        }
        b"SET" => return set::set(store, database, words),
        b"SETNX" => return set::if_absent(store, database, words),
        b"SETEX" => return set::with_time(store, database, words, Duration::from_secs),
        b"PSETEX" => return set::with_time(store, database, words, Duration::from_millis),
        b"MSET" => return set::many(store, database, words),
        b"APPEND" => return set::append(store, database, words),
        b"INCR" => return add(store, database, first, 1),
        b"DECR" => return add(store, database, first, -1),
        b"INCRBY" => return add(store, database, first, integer(&words[1])?),
        b"DECRBY" => {
            let by = integer(&words[1])?.checked_neg().ok_or(NO_INTEGER)?;
            return add(store, database, first, by);
        }
        b"EXPIRE" => return expire(store, database, words, Duration::from_secs),
        b"PEXPIRE" => return expire(store, database, words, Duration::from_millis),
        b"PERSIST" => {
            let limited = store.left(database, first).is_some_and(|left| left.is_some());
            count(usize::from(limited && store.expire(database, first, None)))
        }
        b"TTL" => left(store, database, first, |time| time.as_millis().div_ceil(1000)),
        b"PTTL" => left(store, database, first, |time| time.as_millis()),
        b"DEL" | b"UNLINK" => count(words.iter().filter(|key| store.remove(database, key)).count()),
        b"EXISTS" | b"TOUCH" => count(words.iter().filter(|key| store.get(database, key).is_some()).count()),
        b"KEYS" => Reply::List(matching(store, database, first)),
        b"SCAN" => return scan(store, database, words),
        b"DBSIZE" => count(store.keys(database).len()),
        b"FLUSHDB" => flush(store, Some(database), words)?,
        b"FLUSHALL" => flush(store, None, words)?,
        _ => return Err(format!("ERR {} is not served here", String::from_utf8_lossy(name))),
    })
}

fn integer(text: &[u8]) -> Result<i64, String> {
    number(text).ok_or_else(|| NO_INTEGER.to_owned())
}

fn full(_: Full) -> String {
    "OOM command not allowed when used memory > 'maxmemory'.".to_owned()
}

fn add(store: &mut Store, database: usize, key: &[u8], by: i64) -> Result<Reply, String> {
    let before = store.get(database, key).map(integer).transpose()?.unwrap_or(0);
    let sum = before.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    store.set(database, key, sum.to_string().into_bytes(), Expiry::Same).map_err(full)?;
    Ok(Reply::Integer(sum))
}

fn expire(
    store: &mut Store,
    database: usize,
    words: &[Vec<u8>],
    unit: fn(u64) -> Duration,
) -> Result<Reply, String> {
    let time = integer(&words[1])?;
    let done = match u64::try_from(time) {
        Ok(time) if time > 0 => store.expire(database, &words[0], Some(unit(time))),
        _ => store.remove(database, &words[0]),
    };
    Ok(Reply::Integer(done.into()))
}

/// -2: there is no such key; -1: it stays.
fn left(store: &mut Store, database: usize, key: &[u8], shown: fn(Duration) -> u128) -> Reply {
    Reply::Integer(match store.left(database, key) {
        None => -2,
        Some(None) => -1,
        Some(Some(time)) => i64::try_from(shown(time)).unwrap_or(i64::MAX),
    })
}

fn flush(store: &mut Store, database: Option<usize>, words: &[Vec<u8>]) -> Result<Reply, String> {
    let known = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync");
    if !words.iter().all(known) {
        return Err(SYNTAX.to_owned());
    }
    store.flush(database);
    Ok(Reply::ok())
}

/// All keys at once: the cursor is at its end.
fn scan(store: &mut Store, database: usize, words: &[Vec<u8>]) -> Result<Reply, String> {
    let mut pattern: &[u8] = b"*";
    for option in words[1..].chunks(2) {
        match (option[0].to_ascii_uppercase().as_slice(), option.get(1)) {
            (b"MATCH", Some(wanted)) => pattern = wanted,
            (b"COUNT" | b"TYPE", Some(_)) => {}
            _ => return Err(SYNTAX.to_owned()),
        }
    }
    Ok(Reply::List(vec![Reply::text("0"), Reply::List(matching(store, database, pattern))]))
}

fn matching(store: &mut Store, database: usize, pattern: &[u8]) -> Vec<Reply> {
    let keys = store.keys(database).into_iter();
    keys.filter(|key| matches(pattern, key)).map(Reply::Text).collect()
}

/// Patterns of KEYS: `*`, `?`, `[a-c]`, `[^a]` and `\` in front of what stands for itself.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where the last star stands, and what it has swallowed so far: one star to go back to is enough.
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at + 1, read));
            at += 1;
            continue;
        }
        match one(&pattern[at..], text[read]) {
            Some(length) => (at, read) = (at + length, read + 1),
            None => match star {
                Some((after, swallowed)) => {
                    (at, read) = (after, swallowed + 1);
                    star = Some((after, swallowed + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

/// How much of the pattern stands for this byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', wanted, ..] => (*wanted == byte).then_some(2),
        [b'[', rest @ ..] if rest.contains(&b']') => {
            let end = rest.iter().position(|each| *each == b']')?;
            let (negated, set) = match &rest[..end] {
                [b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            let ranged = set.windows(3).any(|w| w[1] == b'-' && (w[0]..=w[2]).contains(&byte));
            ((ranged || set.contains(&byte)) != negated).then_some(end + 2)
        }
        [wanted, ..] => (*wanted == byte).then_some(1),
        [] => None,
    }
}
