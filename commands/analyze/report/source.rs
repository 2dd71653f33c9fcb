//! For people: the message, the line it is about with a mark under the field, and a hint.

use annotate_snippets::{AnnotationKind, Group, Level as Mark, Renderer, Snippet, renderer::DecorStyle};
use sagene_analysis::input::Location;
use sagene_analysis::{Input, Level, Message, explain};

use crate::output;

/// Lines shown before the one that is meant.
const LINES_BEFORE: usize = 2;

pub(super) fn print(input: &Input, messages: &[&Message], places: &[Option<Location>]) {
    let colored = colored::control::SHOULD_COLORIZE.should_colorize();
    let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
    let width = terminal_size::terminal_size().map_or(140, |(width, _)| usize::from(width.0).max(60));
    let renderer = renderer.decor_style(DecorStyle::Unicode).term_width(width);
    for (message, place) in messages.iter().zip(places) {
        let group = group(input, message, place.as_ref());
        output::data(&format!("{}\n\n", renderer.render(&[group])));
    }
}

fn group<'m>(input: &'m Input, message: &'m Message, place: Option<&'m Location>) -> Group<'m> {
    let mark = match message.level() {
        Level::Error => Mark::ERROR,
        Level::Warning => Mark::WARNING,
        Level::Info => Mark::INFO,
    };
    let mut group = Group::with_title(mark.primary_title(&message.text).id(message.code.id()));
    let source = place.and_then(|place| Some((place, input.sources.get(&message.object)?)));
    if let Some((place, document)) = source {
        group = group.element(snippet(&document.file.text, message, place));
    }
    let origin = match &message.cluster {
        Some(cluster) => format!("{} (cluster {cluster})", message.object.origin()),
        None => message.object.origin(),
    };
    let field = if message.path.is_empty() { String::new() } else { format!(", {}", message.path) };
    group = group.element(Mark::NOTE.message(format!("{origin}{field}")));
    group.element(Mark::HELP.message(explain::hint(message.code)))
}

/// The line and those before it; a whole file may be large.
fn snippet<'m>(
    text: &'m str,
    message: &Message,
    place: &'m Location,
) -> Snippet<'m, annotate_snippets::Annotation<'m>> {
    let mut start = text[..place.range.start].rfind('\n').map_or(0, |at| at + 1);
    let mut line = place.line;
    for _ in 0..LINES_BEFORE {
        let before = text[..start.saturating_sub(1)].rfind('\n').map_or(0, |at| at + 1);
        if start == 0 || text[before..start].starts_with("---") {
            break;
        }
        start = before;
        line -= 1;
    }
    let end = text[place.range.end..].find('\n').map_or(text.len(), |length| place.range.end + length);
    // The end of a line is no part of it, however it is written.
    let end = if text[..end].ends_with('\r') { end - 1 } else { end }.max(place.range.end);
    let mut span = place.range.start - start..place.range.end - start;
    if span.is_empty() {
        let rest = text[place.range.start..end].trim_end();
        span.end = span.start + rest.len();
    }
    let label = if place.exact || message.path.is_empty() { "" } else { "here, or what is missing in it" };
    let annotation = AnnotationKind::Primary.span(span);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    Snippet::source(&text[start..end]).line_start(line).path(&*place.file).fold(false).annotation(annotation)
}
