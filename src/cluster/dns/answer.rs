//! Questions about the cluster's own names, and their answers.

use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use sagene_base::dns_message::{refusal, reply};

use super::names::{ClusterNames, DOMAIN, Entry};

/// How long, in seconds, clients may keep an answer: as long as the cluster DNS of Kubernetes says for Services.
const TTL: u32 = 5;
/// Reverse zones of the cluster's own ranges; nobody else knows them.
const REVERSE_ZONES: [&str; 4] = [
    ".244.10.in-addr.arpa",
    ".96.10.in-addr.arpa",
    ".0.0.0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa",
    ".0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
];

/// What to do with a message.
pub(super) enum Verdict {
    /// Send this.
    Answer(Box<Message>),
    /// An alias that leads out of the cluster: send this with the answer for the name.
    Follow(Box<Message>, Name),
    /// Not ours: ask the machine's servers.
    Forward,
    /// Not a question.
    Ignore,
}

/// Reads a question.
pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    Message::from_vec(bytes).ok().filter(|message| message.metadata.message_type == MessageType::Query)
}

/// Decides about a question.
pub(super) fn decide(question: &Message, names: &ClusterNames) -> Verdict {
    let [query] = question.queries.as_slice() else {
        return Verdict::Answer(Box::new(refusal(question, ResponseCode::FormErr)));
    };
    if question.metadata.op_code != OpCode::Query {
        return Verdict::Answer(Box::new(refusal(question, ResponseCode::NotImp)));
    }
    let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let ours = name == DOMAIN || name.strip_suffix(DOMAIN).is_some_and(|rest| rest.ends_with('.'));
    if query.query_class() != DNSClass::IN {
        return if ours { Verdict::Ignore } else { Verdict::Forward };
    }
    if REVERSE_ZONES.iter().any(|zone| name.ends_with(zone)) {
        return Verdict::Answer(Box::new(refusal(question, ResponseCode::NXDomain)));
    }
    if !ours {
        return Verdict::Forward;
    }
    match names.find(&name) {
        Some(entry) => answer(question, query, &entry, names),
        None => Verdict::Answer(Box::new(absent(question))),
    }
}

fn absent(question: &Message) -> Message {
    let mut message = refusal(question, ResponseCode::NXDomain);
    message.metadata.authoritative = true;
    message
}

fn answer(question: &Message, query: &Query, entry: &Entry, names: &ClusterNames) -> Verdict {
    let mut message = reply(question);
    message.metadata.authoritative = true;
    let owner = query.name();
    if let Some(alias) = &entry.alias {
        let Ok(mut target) = Name::from_str(alias) else { return Verdict::Answer(Box::new(message)) };
        target.set_fqdn(true);
        message.add_answer(record(owner, RData::CNAME(CNAME(target.clone()))));
        return match names.find(alias) {
            Some(entry) => {
                add_addresses(&mut message, &target, query.query_type(), &entry);
                Verdict::Answer(Box::new(message))
            }
            None => Verdict::Follow(Box::new(message), target),
        };
    }
    add_addresses(&mut message, owner, query.query_type(), entry);
    if matches!(query.query_type(), RecordType::SRV | RecordType::ANY) {
        add_targets(&mut message, owner, entry, names);
    }
    Verdict::Answer(Box::new(message))
}

fn add_addresses(message: &mut Message, owner: &Name, kind: RecordType, entry: &Entry) {
    let wanted = |address: &&IpAddr| match kind {
        RecordType::A => address.is_ipv4(),
        RecordType::AAAA => address.is_ipv6(),
        kind => kind == RecordType::ANY,
    };
    let mut addresses: Vec<IpAddr> = entry.addresses.iter().filter(wanted).copied().collect();
    // Clients take the first address; another one first for each question spreads them.
    if !addresses.is_empty() {
        let first = usize::from(message.metadata.id) % addresses.len();
        addresses.rotate_left(first);
    }
    message.add_answers(addresses.into_iter().map(|address| record(owner, data(address))));
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

fn add_targets(message: &mut Message, owner: &Name, entry: &Entry, names: &ClusterNames) {
    let weight = u16::try_from(100 / entry.targets.len().max(1)).unwrap_or(1).max(1);
    for target in &entry.targets {
        let Ok(mut host) = Name::from_str(&target.host) else { continue };
        host.set_fqdn(true);
        message.add_answer(record(owner, RData::SRV(SRV::new(0, weight, target.port, host.clone()))));
        for address in names.find(&target.host).map(|entry| entry.addresses).unwrap_or_default() {
            message.add_additional(record(&host, data(address)));
        }
    }
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL, data)
}

/// A question of our own for the target of an alias.
pub(super) fn question_about(target: &Name, kind: RecordType, id: u16) -> Message {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(target.clone(), kind));
    message
}
