//! The functions and methods, each with the number of values it takes; a method's target is its first value.

mod address;
mod convert;
mod list;
mod text;

use crate::EvaluationError;
use crate::value::Value;

pub(crate) use convert::{duration_of, nanos};

/// A function or method.
pub(crate) struct Function {
    name: &'static str,
    /// Whether it is written behind a dot; `size` and `matches` may stand both ways.
    method: bool,
    /// Fewest and most values, with the target.
    count: (usize, usize),
    pub(crate) run: Run,
}

pub(crate) type Outcome<'a> = Result<Value<'a>, EvaluationError>;
type Run = for<'v, 'a> fn(&'v [Value<'a>]) -> Outcome<'a>;

impl std::fmt::Debug for Function {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

const fn global(name: &'static str, count: usize, run: Run) -> Function {
    Function { name, method: false, count: (count, count), run }
}

const fn method(name: &'static str, least: usize, most: usize, run: Run) -> Function {
    Function { name, method: true, count: (least, most), run }
}

/// The function of a name that takes so many values.
pub(crate) fn find(name: &str, as_method: bool, count: usize) -> Result<&'static Function, String> {
    let named = || {
        let tables = [text::FUNCTIONS, list::FUNCTIONS, convert::FUNCTIONS, address::FUNCTIONS];
        tables
            .into_iter()
            .flatten()
            .filter(move |function| function.name == name && function.method == as_method)
    };
    let fits = |function: &&Function| (function.count.0..=function.count.1).contains(&count);
    match named().find(fits) {
        Some(function) => Ok(function),
        None if named().next().is_some() => Err(format!("{name}() does not take {count} values")),
        None => Err(format!("undeclared reference to '{name}': no such function")),
    }
}

/// A regular expression in RE2's syntax, of bounded size.
pub(crate) fn compile_regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
}

/// No overload of `name` takes these values.
fn no_overload<'a>(name: &str, values: &[Value<'_>]) -> Outcome<'a> {
    let types: Vec<&str> = values.iter().map(Value::type_name).collect();
    Err(EvaluationError::new(format!("no such overload: {name}({})", types.join(", "))))
}

fn error<'a>(reason: String) -> Outcome<'a> {
    Err(EvaluationError::new(reason))
}

fn integer<'a>(count: usize) -> Outcome<'a> {
    Ok(Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}
