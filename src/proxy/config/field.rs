//! Errors that know which field of a resource they are about.

use std::fmt::Display;

/// What is wrong with one field. The path grows outwards while the error travels up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) path: String,
    pub(crate) reason: String,
}

impl FieldError {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }

    /// Puts the enclosing field in front of the path.
    pub(crate) fn within(mut self, outer: impl Display) -> Self {
        self.path = if self.path.is_empty() { outer.to_string() } else { format!("{outer}.{}", self.path) };
        self
    }
}

/// Adds the enclosing field to the error of a result.
pub(crate) trait Within<T> {
    fn within(self, outer: impl Display) -> Result<T, FieldError>;
    fn within_item(self, outer: &str, index: usize) -> Result<T, FieldError>;
}

impl<T> Within<T> for Result<T, FieldError> {
    fn within(self, outer: impl Display) -> Self {
        self.map_err(|error| error.within(outer))
    }

    fn within_item(self, outer: &str, index: usize) -> Self {
        self.map_err(|error| error.within(format_args!("{outer}[{index}]")))
    }
}

/// Refuses every one of these fields that says something: none of them is honored, and none is passed over in silence.
macro_rules! refuse_fields {
    ($from:expr, $($field:ident),+ $(,)?) => {
        $(
            #[allow(deprecated, reason = "older forms of a field are refused like the newer ones")]
            let said = $crate::config::is_said(&$from.$field);
            if said {
                let name = stringify!($field).trim_start_matches("r#");
                return Err($crate::config::FieldError::new(name, "is not supported"));
            }
        )+
    };
}

pub(crate) use refuse_fields;

/// Whether a field has another value than the one that stands for nothing.
pub(crate) fn is_said<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}

/// Refuses a field that is set although the proxy does not honor it.
pub(crate) fn refuse_if(set: bool, path: &str, reason: &str) -> Result<(), FieldError> {
    if set { Err(FieldError::new(path, reason)) } else { Ok(()) }
}
