//! DNS messages: reading a question, writing the answer that the table gives.

use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use sagene_base::dns_message::{refusal, reply};

use super::NameTable;

/// How long, in seconds, a client may keep an answer of ours; endpoints move, so not long.
const TTL: u32 = 30;

/// What to do with a message that came in.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Send this back.
    Answer(Box<Message>),
    /// Ask the upstream servers; the question is for refusals.
    Forward(Box<Message>),
    /// Not a question; say nothing.
    Ignore,
}

/// Looks at one message and answers it when the table can.
pub(super) fn decide(bytes: &[u8], table: &NameTable, search: &[String]) -> Verdict {
    let Ok(question) = Message::from_vec(bytes) else {
        return Verdict::Ignore;
    };
    if question.metadata.message_type != MessageType::Query {
        return Verdict::Ignore;
    }
    if question.metadata.op_code != OpCode::Query || question.queries.len() != 1 {
        return Verdict::Answer(Box::new(refusal(&question, ResponseCode::NotImp)));
    }
    match answer(&question, &question.queries[0], table, search) {
        Some(answer) => Verdict::Answer(Box::new(answer)),
        None => Verdict::Forward(Box::new(question)),
    }
}

fn answer(question: &Message, query: &Query, table: &NameTable, search: &[String]) -> Option<Message> {
    if query.query_class() != DNSClass::IN || !matches!(query.query_type(), RecordType::A | RecordType::AAAA)
    {
        return None;
    }
    let found = table.find(&query.name().to_ascii(), search)?;
    let mut message = reply(question);
    message.metadata.authoritative = true;
    let mut owner = query.name().clone();
    if let Some(base) = found.alias_of {
        let mut target = Name::from_str(&base).ok()?;
        target.set_fqdn(true);
        message.add_answer(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(target.clone()))));
        owner = target;
    }
    let mut addresses: Vec<RData> = found
        .host
        .addresses
        .iter()
        .filter_map(|address| match (address, query.query_type()) {
            (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(*v4))),
            (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(*v6))),
            _ => None,
        })
        .collect();
    // Clients take the first address; another one first for each question spreads them.
    if !addresses.is_empty() {
        let first = usize::from(question.metadata.id) % addresses.len();
        addresses.rotate_left(first);
    }
    message.add_answers(addresses.into_iter().map(|data| Record::from_rdata(owner.clone(), TTL, data)));
    Some(message)
}
