//! The tree of an expression.

use crate::functions::Function;

/// A node.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    /// A variable.
    Name(String),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    /// `a.b`; with `optional`, `a.?b`.
    Select {
        of: Box<Expression>,
        field: String,
        optional: bool,
    },
    /// `has(a.b)`.
    Has {
        of: Box<Expression>,
        field: String,
    },
    /// `a[b]`; with `optional`, `a[?b]`.
    Index {
        of: Box<Expression>,
        index: Box<Expression>,
        optional: bool,
    },
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Conditional(Box<[Expression; 3]>),
    /// `matches` with a pattern written out.
    Matches(Box<Expression>, Box<regex::Regex>),
    Call {
        function: &'static Function,
        arguments: Vec<Expression>,
    },
    Comprehension(Box<Comprehension>),
}

/// `list.all(x, …)` and its kin.
#[derive(Debug, Clone)]
pub(crate) struct Comprehension {
    pub(crate) kind: Macro,
    pub(crate) range: Expression,
    /// One name, or two for the index or key and the value.
    pub(crate) variables: Vec<String>,
    /// The condition; for `map` with one expression, what is made of each element.
    pub(crate) body: Expression,
    /// What `map` with a condition makes of each element.
    pub(crate) transform: Option<Expression>,
}

/// The comprehensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// What stands between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Expression {
    /// Whether a variable stands anywhere in it.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        let all = |list: &[Self]| list.iter().any(|one| one.uses(variable));
        match self {
            Self::Name(name) => name == variable,
            Self::List(items) => all(items),
            Self::Map(entries) => {
                entries.iter().any(|(key, value)| key.uses(variable) || value.uses(variable))
            }
            Self::Select { of, .. }
            | Self::Has { of, .. }
            | Self::Not(of)
            | Self::Negate(of)
            | Self::Matches(of, _) => of.uses(variable),
            Self::Index { of, index, .. } => of.uses(variable) || index.uses(variable),
            Self::Binary(_, left, right) => left.uses(variable) || right.uses(variable),
            Self::Conditional(parts) => all(&parts[..]),
            Self::Call { arguments, .. } => all(arguments),
            Self::Comprehension(of) => {
                let transforms = of.transform.as_ref().is_some_and(|transform| transform.uses(variable));
                of.range.uses(variable) || of.body.uses(variable) || transforms
            }
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Double(_) | Self::Text(_) => false,
        }
    }
}
