//! The agent's own questions: where the control plane is.
//!
//! Asked over the agent's own sockets, which capture rules know, so that they work before anything else does and
//! with DNS capture on.

use std::net::IpAddr;
use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::ResolvConf;
use super::upstream::Upstream;

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Not a host name.
    #[error("{0:?} is not a host name")]
    Name(String),
    /// There are no servers.
    #[error("cannot resolve {0}: /etc/resolv.conf names no server")]
    NoServers(String),
    /// The servers know no such name.
    #[error("cannot resolve {0}: no such host")]
    NoSuchHost(String),
    /// No server answered.
    #[error("cannot resolve {0}: no DNS server answered")]
    NoAnswer(String),
}

/// Addresses of `host`, which may be short: the search domains are tried first, then the name as it is.
///
/// # Errors
/// [`LookupError`] says whether nobody answered or nobody knows.
pub async fn lookup(host: &str, resolv_conf: &ResolvConf) -> Result<Vec<IpAddr>, LookupError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if resolv_conf.servers.is_empty() {
        return Err(LookupError::NoServers(host.to_owned()));
    }
    lookup_at(host, &resolv_conf.search, &Upstream::new(&resolv_conf.servers)).await
}

pub(super) async fn lookup_at(
    host: &str,
    search: &[String],
    upstream: &Upstream,
) -> Result<Vec<IpAddr>, LookupError> {
    let mut candidates: Vec<String> = Vec::new();
    if !host.ends_with('.') {
        candidates.extend(search.iter().map(|domain| format!("{host}.{domain}.")));
    }
    candidates.push(format!("{}.", host.trim_end_matches('.')));
    let mut answered = false;
    for candidate in &candidates {
        let name = Name::from_str(candidate).map_err(|_| LookupError::Name(host.to_owned()))?;
        for kind in [RecordType::A, RecordType::AAAA] {
            match ask(&name, kind, upstream).await {
                Some((_, addresses)) if !addresses.is_empty() => return Ok(addresses),
                Some((code, _)) => answered |= matches!(code, ResponseCode::NoError | ResponseCode::NXDomain),
                None => return Err(LookupError::NoAnswer(host.to_owned())),
            }
        }
    }
    if answered {
        return Err(LookupError::NoSuchHost(host.to_owned()));
    }
    Err(LookupError::NoAnswer(host.to_owned()))
}

async fn ask(name: &Name, kind: RecordType, upstream: &Upstream) -> Option<(ResponseCode, Vec<IpAddr>)> {
    let id = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), name.num_labels());
    let mut question = Message::new((id & 0xffff) as u16, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), kind));
    let bytes = question.to_vec().ok()?;
    let answer = Message::from_vec(&upstream.ask_udp(&bytes).await?).ok()?;
    let addresses = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        })
        .collect();
    Some((answer.metadata.response_code, addresses))
}
