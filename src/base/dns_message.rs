//! DNS answers: what every server of ours says in the same way, whatever it answers from.

use hickory_proto::op::{Edns, Message, ResponseCode};

/// Largest UDP answer to a client that does not say what it can take (RFC 1035).
const PLAIN_UDP_BYTES: u16 = 512;
/// Largest UDP answer whatever the client says, so that none is fragmented.
const LARGEST_UDP_BYTES: u16 = 1232;

/// The beginning of an answer: the question's id, flags and queries, and no record yet.
pub fn reply(question: &Message) -> Message {
    let mut message = Message::response(question.metadata.id, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.add_queries(question.queries.iter().cloned());
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_UDP_BYTES);
        message.set_edns(edns);
    }
    message
}

/// An answer without records that says why.
pub fn refusal(question: &Message, code: ResponseCode) -> Message {
    let mut message = reply(question);
    message.metadata.response_code = code;
    message
}

/// The answer's bytes for UDP: cut short, and marked so, when the client could not take all of it. `None` where it cannot be
/// written at all.
pub fn udp_bytes(answer: &Message, question: &Message) -> Option<Vec<u8>> {
    let limit = question
        .edns
        .as_ref()
        .map_or(PLAIN_UDP_BYTES, |edns| edns.max_payload().clamp(PLAIN_UDP_BYTES, LARGEST_UDP_BYTES));
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= usize::from(limit) {
        return Some(bytes);
    }
    let mut short = refusal(question, answer.metadata.response_code);
    short.metadata.truncation = true;
    short.to_vec().ok()
}
