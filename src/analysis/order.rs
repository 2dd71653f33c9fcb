//! The order of output. A check tells of one object after the other, in another order than that of output: messages move as runs.

use std::ops::Range;

use crate::message::Message;

/// Sorts by [`Message::compare`], and takes out what is told twice.
pub(crate) fn sort(messages: &mut Vec<Message>) {
    if !messages.is_sorted_by(|left, right| left.compare(right).is_le()) {
        let mut runs = runs(messages);
        runs.sort_by(|left, right| messages[left.start].compare(&messages[right.start]));
        permute(messages, &mut runs.into_iter().flatten().collect::<Vec<_>>());
        // Within a run, and where an object has several, little is left to do: the sort finds what is in order already.
        messages.sort_by(Message::compare);
    }
    messages.dedup();
}

/// Messages of one object that follow one another.
fn runs(messages: &[Message]) -> Vec<Range<usize>> {
    let mut start = 0;
    let lengths = messages.chunk_by(|left, right| left.object == right.object).map(<[Message]>::len);
    lengths
        .map(|length| {
            let run = start..start + length;
            start = run.end;
            run
        })
        .collect()
}

/// Puts at each place the message that was at `order[place]`, without room for a second list.
fn permute(messages: &mut [Message], order: &mut [usize]) {
    for start in 0..order.len() {
        let mut place = start;
        while order[place] != start {
            let from = std::mem::replace(&mut order[place], place);
            messages.swap(place, from);
            place = from;
        }
        order[place] = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::message::ObjectRef;

    #[test]
    fn runs_of_objects_in_any_order_are_sorted_and_told_once() {
        let message = |(name, text): &(&str, &str)| {
            Message::new(Code::SchemaWarning, ObjectRef::new("Service", "a", name), (*text).to_owned())
        };
        let mut messages: Vec<Message> =
            [("c", "2"), ("c", "1"), ("a", "9"), ("b", "5"), ("b", "5"), ("a", "3"), ("c", "0")]
                .iter()
                .map(message)
                .collect();
        sort(&mut messages);
        let found: Vec<_> = messages.iter().map(|it| (&*it.object.name, &*it.text)).collect();
        assert_eq!(found, [("a", "3"), ("a", "9"), ("b", "5"), ("c", "0"), ("c", "1"), ("c", "2")]);
    }
}
