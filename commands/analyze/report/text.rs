//! `Error [IST0101] (VirtualService default/x file.yaml:9) …`: a line a finding, as istioctl prints it.

use sagene_analysis::input::Location;
use sagene_analysis::{Level, Message};

use crate::output;

/// Prints in portions of this many bytes.
const PORTION: usize = 1 << 16;

pub(super) fn print(messages: &[&Message], places: &[Option<Location>]) {
    let colored = colored::control::SHOULD_COLORIZE.should_colorize();
    let mut text = String::with_capacity(PORTION + 1024);
    for (message, place) in messages.iter().zip(places) {
        line(&mut text, message, place.as_ref(), colored);
        if text.len() > PORTION {
            output::data(&text);
            text.clear();
        }
    }
    if messages.is_empty() {
        text.push('\n');
    }
    output::data(&text);
}

/// The same as one text, without colors.
pub(super) fn lines(messages: &[&Message], places: &[Option<Location>]) -> String {
    let mut text = String::new();
    for (message, place) in messages.iter().zip(places) {
        line(&mut text, message, place.as_ref(), false);
    }
    text
}

fn line(text: &mut String, message: &Message, place: Option<&Location>, colored: bool) {
    let color = match message.level() {
        _ if !colored => "",
        Level::Error => "\u{1b}[1;31m",
        Level::Warning => "\u{1b}[33m",
        Level::Info => "",
    };
    let reset = if colored { "\u{1b}[0m" } else { "" };
    let mut put = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
    // Joined, for findings may be many, and formatting takes several times as long.
    put(&[color, message.level().name(), reset, " [", message.code.id(), "]"]);
    if let Some(cluster) = &message.cluster {
        put(&[" [cluster-", cluster, "]"]);
    }
    put(&[" ("]);
    put(&message.object.origin_parts());
    if let Some(place) = place {
        put(&[" ", &place.file, ":", &place.line.to_string()]);
    }
    put(&[") ", &message.text, "\n"]);
}
