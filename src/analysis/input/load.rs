//! Text in, objects out. Large inputs are read on several threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use super::Input;
use super::document::{Document, SourceFile, lines, split};
use super::{kinds, list, overlaid, parse};
use crate::threads;
use crate::yaml::Arena;

/// A document that is no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct LoadError {
    /// File as the user named it.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
}

/// Most threads that read at once.
const MOST_THREADS: usize = 8;
/// Fewer documents are not worth a thread.
const DOCUMENTS_A_THREAD: usize = 64;
/// Documents of this many bytes may be lists whose items are worth to be read apart.
const LARGE: usize = 1 << 16;

/// Reads all documents of a file into `input`. Objects without a namespace get `namespace`. Documents that cannot be read are
/// returned; the others count.
pub fn load(input: &mut Input, name: &str, text: String, namespace: &str) -> Vec<LoadError> {
    let file = Arc::new(SourceFile { name: name.into(), text });
    let mut errors = Vec::new();
    let documents: Vec<Document> =
        split(&file).into_iter().flat_map(|document| apart(document, &mut errors)).collect();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = available.min(MOST_THREADS).min(documents.len() / DOCUMENTS_A_THREAD).max(1);
    if wanted == 1 {
        let mut part = Input::default();
        errors.extend(read_all(&mut part, documents, namespace));
        kinds::merge(input, part);
        overlaid::judge(input);
        return errors;
    }
    let size = documents.len().div_ceil(wanted);
    let mut documents = documents.into_iter();
    let share = || Mutex::new(documents.by_ref().take(size).collect());
    let shares: Vec<Mutex<Vec<Document>>> = std::iter::repeat_with(share).take(wanted).collect();
    let read = |share: &Mutex<Vec<Document>>| {
        let documents = std::mem::take(&mut *share.lock().unwrap_or_else(PoisonError::into_inner));
        let mut part = Input::default();
        let errors = read_all(&mut part, documents, namespace);
        (part, errors)
    };
    std::thread::scope(|scope| {
        let started: Vec<_> = shares.iter().map(|share| threads::start(scope, move || read(share))).collect();
        for (share, thread) in shares.iter().zip(started) {
            match thread.map_or_else(|| Ok(read(share)), ScopedJoinHandle::join) {
                Ok((part, found)) => {
                    kinds::merge(input, part);
                    errors.extend(found);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    overlaid::judge(input);
    errors
}

/// The same for bytes, which need not be text.
pub fn load_bytes(input: &mut Input, name: &str, bytes: Vec<u8>, namespace: &str) -> Vec<LoadError> {
    match String::from_utf8(bytes) {
        Ok(text) => load(input, name, text, namespace),
        Err(error) => vec![not_text(name, &error)],
    }
}

fn not_text(name: &str, error: &std::string::FromUtf8Error) -> LoadError {
    let bytes = error.as_bytes();
    let good = String::from_utf8_lossy(&bytes[..error.utf8_error().valid_up_to()]);
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let problem = if is_utf16 { "is UTF-16; save it as UTF-8" } else { "is not UTF-8 text" };
    LoadError {
        file: name.to_owned(),
        line: lines(&good) + 1,
        column: good.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        problem: problem.to_owned(),
    }
}

/// The items of a large list, or the document itself.
fn apart(document: Document, errors: &mut Vec<LoadError>) -> Vec<Document> {
    if document.range.len() < LARGE {
        return vec![document];
    }
    let Some((items, found)) = list::items_of(&document, &Arena::new()) else { return vec![document] };
    errors.extend(found);
    items
}

fn read_all(input: &mut Input, documents: Vec<Document>, namespace: &str) -> Vec<LoadError> {
    let mut arena = Arena::new();
    documents.into_iter().flat_map(|document| parse::read(input, document, namespace, &mut arena)).collect()
}
