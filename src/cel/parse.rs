//! From words to a tree, by precedence.

use crate::functions::{self, compile_regex};
use crate::syntax::{Comprehension, Expression, Macro, Operator};
use crate::token::{Token, tokens};

/// Deepest nesting taken.
const DEPTH: u32 = 100;

/// By precedence, weakest first.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

/// Words that a field may only be called as `__word__`.
const RESERVED: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    /// What names may be used here, innermost last.
    variables: Vec<String>,
    /// Whether any name and any function will do.
    open: bool,
}

/// Reads a whole expression.
pub(crate) fn parse(text: &str, variables: &[&str]) -> Result<Expression, String> {
    read(text, variables, false)
}

/// Reads a whole expression whose names and functions are not known.
pub(crate) fn check(text: &str) -> Result<(), String> {
    read(text, &[], true).map(drop)
}

fn read(text: &str, variables: &[&str], open: bool) -> Result<Expression, String> {
    let variables = variables.iter().map(|name| (*name).to_owned()).collect();
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, variables, open };
    let made = parser.expression()?;
    match parser.peek() {
        None => Ok(made),
        Some(token) => Err(format!("{} was not expected", shown(token))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("{name:?}"),
        Token::Text(text) => format!("the string {text:?}"),
        Token::Integer(number) => number.to_string(),
        Token::Double(number) => number.to_string(),
        Token::Sign(sign) => format!("{sign:?}"),
    }
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take_sign(sign) { Ok(()) } else { Err(format!("{sign:?} is missing")) }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err("a name is missing".to_owned()),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let made = read(self);
        self.depth -= 1;
        made
    }

    fn expression(&mut self) -> Result<Expression, String> {
        self.nested(|parser| {
            let condition = parser.binary(0)?;
            if !parser.take_sign("?") {
                return Ok(condition);
            }
            let yes = parser.expression()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            Ok(Expression::Conditional(Box::new([condition, yes, no])))
        })
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        // A chain is as deep as it is long, for what walks the tree.
        let depth = self.depth;
        while let Some(operator) = self.operator(operators) {
            self.depth += 1;
            if self.depth > DEPTH {
                return Err("it is nested too deeply".to_owned());
            }
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth = depth;
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        let written = match self.peek()? {
            Token::Sign(sign) => *sign,
            Token::Name(name) => name.as_str(),
            _ => return None,
        };
        let found = operators.iter().find(|(known, _)| *known == written)?.1;
        self.at += 1;
        Some(found)
    }

    fn unary(&mut self) -> Result<Expression, String> {
        if self.take_sign("!") {
            return Ok(Expression::Not(Box::new(self.nested(Self::unary)?)));
        }
        if self.take_sign("-") {
            return Ok(match self.nested(Self::unary)? {
                Expression::Integer(number) => Expression::Integer(-number),
                Expression::Double(number) => Expression::Double(-number),
                other => Expression::Negate(Box::new(other)),
            });
        }
        let first = self.primary()?;
        self.members(first)
    }

    /// Fields, elements and methods of what was read.
    fn members(&mut self, mut made: Expression) -> Result<Expression, String> {
        let depth = self.depth;
        loop {
            if self.take_sign(".") {
                let optional = self.take_sign("?");
                let name = self.name()?;
                made = if self.take_sign("(") {
                    self.method(made, &name)?
                } else {
                    Expression::Select { of: Box::new(made), field: field_name(&name), optional }
                };
            } else if self.take_sign("[") {
                let optional = self.take_sign("?");
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                made = Expression::Index { of: Box::new(made), index, optional };
            } else {
                self.depth = depth;
                return Ok(made);
            }
            self.depth += 1;
            if self.depth > DEPTH {
                return Err("it is nested too deeply".to_owned());
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, String> {
        let token = self.peek().cloned().ok_or("it ends too early")?;
        self.at += 1;
        Ok(match token {
            Token::Text(text) => Expression::Text(text),
            Token::Integer(number) => Expression::Integer(number),
            Token::Double(number) => Expression::Double(number),
            Token::Sign("(") => {
                let made = self.expression()?;
                self.expect(")")?;
                made
            }
            Token::Sign("[") => Expression::List(self.list("]")?),
            Token::Sign("{") => Expression::Map(self.map()?),
            Token::Name(name) => match name.as_str() {
                "true" => Expression::Boolean(true),
                "false" => Expression::Boolean(false),
                "null" => Expression::Null,
                _ if self.take_sign("(") => self.function(&name)?,
                _ if self.open || self.variables.contains(&name) => Expression::Name(name),
                "optional" => self.optional()?,
                "cel" | "sets" | "math" | "strings" => {
                    return Err(format!("the functions of {name:?} are not supported"));
                }
                _ => return Err(format!("undeclared reference to '{name}'")),
            },
            Token::Sign(sign) => return Err(format!("{sign:?} was not expected")),
        })
    }

    /// `optional.of(…)` and `optional.none()`.
    fn optional(&mut self) -> Result<Expression, String> {
        self.expect(".")?;
        let name = format!("optional.{}", self.name()?);
        self.expect("(")?;
        let arguments = self.list(")")?;
        self.call(&name, false, arguments)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expression>, String> {
        let mut items = Vec::new();
        loop {
            if self.take_sign(end) {
                return Ok(items);
            }
            items.push(self.expression()?);
            if !self.take_sign(",") {
                self.expect(end)?;
                return Ok(items);
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(Expression, Expression)>, String> {
        let mut entries = Vec::new();
        loop {
            if self.take_sign("}") {
                return Ok(entries);
            }
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.take_sign(",") {
                self.expect("}")?;
                return Ok(entries);
            }
        }
    }

    fn function(&mut self, name: &str) -> Result<Expression, String> {
        let mut arguments = self.list(")")?;
        if name == "has" {
            return match (arguments.pop(), arguments.is_empty()) {
                (Some(Expression::Select { of, field, .. }), true) => Ok(Expression::Has { of, field }),
                _ => Err("has() takes a field, as in has(self.field)".to_owned()),
            };
        }
        self.call(name, false, arguments)
    }

    fn method(&mut self, target: Expression, name: &str) -> Result<Expression, String> {
        let kind = match name {
            "all" => Some(Macro::All),
            "exists" => Some(Macro::Exists),
            "exists_one" | "existsOne" => Some(Macro::ExistsOne),
            "filter" => Some(Macro::Filter),
            "map" => Some(Macro::Map),
            _ => None,
        };
        if let Some(kind) = kind {
            return self.comprehension(kind, target);
        }
        let mut arguments = self.list(")")?;
        if let ("matches", [Expression::Text(pattern)]) = (name, arguments.as_slice()) {
            let regex = compile_regex(pattern)?;
            return Ok(Expression::Matches(Box::new(target), Box::new(regex)));
        }
        arguments.insert(0, target);
        self.call(name, true, arguments)
    }

    fn call(&self, name: &str, method: bool, arguments: Vec<Expression>) -> Result<Expression, String> {
        if self.open {
            return Ok(Expression::List(arguments));
        }
        let function = functions::find(name, method, arguments.len())?;
        Ok(Expression::Call { function, arguments })
    }

    /// The arguments of `all`, `exists` and the like: one or two names, then one or two expressions.
    fn comprehension(&mut self, kind: Macro, range: Expression) -> Result<Expression, String> {
        let outer = self.variables.len();
        self.declare()?;
        let second = matches!(
            (self.peek(), self.tokens.get(self.at + 1)),
            (Some(Token::Name(name)), Some(Token::Sign(","))) if kind != Macro::Map && !self.variables.contains(name)
        );
        if second {
            self.declare()?;
        }
        let body = self.expression()?;
        let transform = match kind == Macro::Map && self.take_sign(",") {
            true => Some(self.expression()?),
            false => None,
        };
        self.expect(")")?;
        let variables = self.variables.split_off(outer);
        Ok(Expression::Comprehension(Box::new(Comprehension { kind, range, variables, body, transform })))
    }

    fn declare(&mut self) -> Result<(), String> {
        let name = self.name()?;
        self.variables.push(name);
        self.expect(",")
    }
}

/// The field's own name behind Kubernetes' spelling for names that CEL cannot spell.
fn field_name(name: &str) -> String {
    let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| RESERVED.contains(word)) {
        return word.to_owned();
    }
    if !name.contains("__") {
        return name.to_owned();
    }
    [("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"), ("__underscores__", "__")]
        .into_iter()
        .fold(name.to_owned(), |name, (spelling, meaning)| name.replace(spelling, meaning))
}
