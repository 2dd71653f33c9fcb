//! Workflow commands, which GitHub shows as annotations on the lines of a change.

use sagene_analysis::input::Location;
use sagene_analysis::{Level, Message};

use crate::output;

pub(super) fn print(messages: &[&Message], places: &[Option<Location>]) {
    let lines: String =
        messages.iter().zip(places).map(|(message, place)| line(message, place.as_ref())).collect();
    output::data(&lines);
}

fn line(message: &Message, place: Option<&Location>) -> String {
    let command = match message.level() {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "notice",
    };
    let place = place.filter(|place| &*place.file != "-").map(place_of);
    let title = format!("{} {}", message.code.id(), message.code.name());
    let text = format!("({}) {}", message.object.origin(), message.text);
    format!("::{command} {}title={}::{}\n", place.unwrap_or_default(), property(&title), data(&text))
}

/// Where the annotation begins and ends.
fn place_of(place: &Location) -> String {
    let begin = format!("file={},line={},col={},", property(&place.file), place.line, place.column);
    match place.width {
        0 => begin,
        width => format!("{begin}endLine={},endColumn={},", place.line, place.column + width),
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use sagene_analysis::{Code, ObjectRef};

    use super::*;

    #[test]
    fn what_would_end_the_command_is_escaped() {
        let object = ObjectRef::new("Pod", "a", "b");
        let message = Message::new(Code::PodMissingProxy, object, "50%\nof: x".to_owned());
        assert_eq!(
            line(&message, None),
            "::warning title=IST0103 PodMissingProxy::(Pod a/b) 50%25%0Aof: x\n"
        );
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
    }
}
