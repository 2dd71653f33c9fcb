//! Commands that write values: SET with its options, and its older kin.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{SYNTAX, full, integer};
use crate::samples::redis::resp::Reply;
use crate::samples::redis::store::{Expiry, Store};

/// What SET was asked for besides key and value.
struct Options {
    expiry: Expiry,
    /// Only where there is a value (`XX`), or only where there is none (`NX`).
    present: Option<bool>,
    /// Answers with the value before.
    get: bool,
}

/// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`.
pub(super) fn set(store: &mut Store, database: usize, words: &[Vec<u8>]) -> Result<Reply, String> {
    let options = options(&words[2..])?;
    let before = store.get(database, &words[0]).map(<[u8]>::to_vec);
    let allowed = options.present.is_none_or(|wanted| wanted == before.is_some());
    if allowed {
        store.set(database, &words[0], words[1].clone(), options.expiry).map_err(full)?;
    }
    Ok(match (options.get, allowed) {
        (true, _) => before.map_or(Reply::Nil, Reply::Text),
        (false, true) => Reply::ok(),
        (false, false) => Reply::Nil,
    })
}

fn options(words: &[Vec<u8>]) -> Result<Options, String> {
    let mut options = Options { expiry: Expiry::Never, present: None, get: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = word.to_ascii_uppercase();
        match name.as_slice() {
            b"NX" | b"XX" if options.present.is_none() => options.present = Some(name == b"XX"),
            b"GET" => options.get = true,
            b"KEEPTTL" if options.expiry == Expiry::Never => options.expiry = Expiry::Same,
            b"EX" | b"PX" | b"EXAT" | b"PXAT" if options.expiry == Expiry::Never => {
                let number = integer(words.next().ok_or(SYNTAX)?)?;
                options.expiry =
                    Expiry::In(time(&name, number).ok_or("ERR invalid expire time in 'set' command")?);
            }
            _ => return Err(SYNTAX.to_owned()),
        }
    }
    Ok(options)
}

fn time(name: &[u8], number: i64) -> Option<Duration> {
    let number = u64::try_from(number).ok().filter(|number| *number > 0)?;
    let unit = if name.starts_with(b"EX") { Duration::from_secs } else { Duration::from_millis };
    if !name.ends_with(b"AT") {
        return Some(unit(number));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(unit(number).saturating_sub(now))
}

/// `SETNX key value`.
pub(super) fn if_absent(store: &mut Store, database: usize, words: &[Vec<u8>]) -> Result<Reply, String> {
    let absent = store.get(database, &words[0]).is_none();
    if absent {
        store.set(database, &words[0], words[1].clone(), Expiry::Never).map_err(full)?;
    }
    Ok(Reply::Integer(absent.into()))
}

/// `SETEX key seconds value`, and the same in milliseconds.
pub(super) fn with_time(
    store: &mut Store,
    database: usize,
    words: &[Vec<u8>],
    unit: fn(u64) -> Duration,
) -> Result<Reply, String> {
    let time = u64::try_from(integer(&words[1])?).ok().filter(|time| *time > 0);
    let time = time.ok_or("ERR invalid expire time in 'setex' command")?;
    store.set(database, &words[0], words[2].clone(), Expiry::In(unit(time))).map_err(full)?;
    Ok(Reply::ok())
}

/// `MSET key value …`.
pub(super) fn many(store: &mut Store, database: usize, words: &[Vec<u8>]) -> Result<Reply, String> {
    if !words.len().is_multiple_of(2) {
        return Err("ERR wrong number of arguments for 'mset' command".to_owned());
    }
    for pair in words.chunks_exact(2) {
        store.set(database, &pair[0], pair[1].clone(), Expiry::Never).map_err(full)?;
    }
    Ok(Reply::ok())
}

/// `APPEND key value`.
pub(super) fn append(store: &mut Store, database: usize, words: &[Vec<u8>]) -> Result<Reply, String> {
    let text = [store.get(database, &words[0]).unwrap_or_default(), &words[1]].concat();
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    store.set(database, &words[0], text, Expiry::Same).map_err(full)?;
    Ok(Reply::Integer(length))
}
