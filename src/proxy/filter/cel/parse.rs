//! From words to a tree, by precedence.

use super::attribute::Attribute;
use super::evaluate::Value;
use super::token::{Token, tokens};
use crate::config::compile_search_regex;

/// Deepest nesting taken.
const DEPTH: u32 = 64;

/// A node of the tree.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Literal(Value),
    Attribute(Attribute),
    /// One entry of a map or list.
    Entry(Box<Expression>, Box<Expression>),
    Has(Box<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Conditional(Box<Expression>, Box<Expression>, Box<Expression>),
    List(Vec<Expression>),
    Matches(Box<Expression>, regex::bytes::Regex),
    Call(Function, Box<Expression>, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Size,
    Text,
    Integer,
    Double,
    LowerAscii,
    UpperAscii,
}

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

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let made = parser.expression()?;
    match parser.peek() {
        None => Ok(made),
        Some(token) => Err(format!("{token:?} was not expected")),
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

    fn expression(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let condition = self.binary(0)?;
        let made = if self.take_sign("?") {
            let yes = self.expression()?;
            self.expect(":")?;
            Expression::Conditional(Box::new(condition), Box::new(yes), Box::new(self.expression()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(made)
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
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
            return Ok(Expression::Not(Box::new(self.nested_unary()?)));
        }
        if self.take_sign("-") {
            return Ok(Expression::Negate(Box::new(self.nested_unary()?)));
        }
        let mut made = self.primary()?;
        loop {
            if self.take_sign(".") {
                let Some(Token::Name(name)) = self.peek().cloned() else {
                    return Err("a name is missing behind .".to_owned());
                };
                self.at += 1;
                made = if self.take_sign("(") { self.method(made, &name)? } else { select(made, &name) };
            } else if self.take_sign("[") {
                let index = self.expression()?;
                self.expect("]")?;
                made = Expression::Entry(Box::new(made), Box::new(index));
            } else {
                return Ok(made);
            }
        }
    }

    fn nested_unary(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let made = self.unary();
        self.depth -= 1;
        made
    }

    fn primary(&mut self) -> Result<Expression, String> {
        let token = self.peek().cloned().ok_or("it ends too early")?;
        self.at += 1;
        Ok(match token {
            Token::Text(text) => Expression::Literal(Value::Text(text)),
            Token::Integer(number) => Expression::Literal(Value::Integer(number)),
            Token::Double(number) => Expression::Literal(Value::Double(number)),
            Token::Sign("(") => {
                let made = self.expression()?;
                self.expect(")")?;
                made
            }
            Token::Sign("[") => Expression::List(self.list("]")?),
            Token::Name(name) => match name.as_str() {
                "true" => Expression::Literal(Value::Boolean(true)),
                "false" => Expression::Literal(Value::Boolean(false)),
                "null" => Expression::Literal(Value::Null),
                _ if self.take_sign("(") => self.function(&name)?,
                _ => Expression::Attribute(Attribute::root(&name)),
            },
            Token::Sign(sign) => return Err(format!("{sign:?} was not expected")),
        })
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expression>, String> {
        let mut items = Vec::new();
        if self.take_sign(end) {
            return Ok(items);
        }
        loop {
            items.push(self.expression()?);
            if self.take_sign(end) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn function(&mut self, name: &str) -> Result<Expression, String> {
        let mut arguments = self.list(")")?.into_iter();
        let (Some(only), None) = (arguments.next(), arguments.next()) else {
            return Err(format!("{name} takes one argument"));
        };
        let function = match name {
            "has" => return Ok(Expression::Has(Box::new(only))),
            "size" => Function::Size,
            "string" => Function::Text,
            "int" | "uint" => Function::Integer,
            "double" => Function::Double,
            other => return Err(format!("{other}() is not a supported function")),
        };
        Ok(Expression::Call(function, Box::new(only), Vec::new()))
    }

    fn method(&mut self, target: Expression, name: &str) -> Result<Expression, String> {
        let arguments = self.list(")")?;
        let function = match (name, arguments.len()) {
            ("matches", 1) => {
                let Some(Expression::Literal(Value::Text(pattern))) = arguments.first() else {
                    return Err("matches() takes a text written out".to_owned());
                };
                let regex = compile_search_regex(pattern).map_err(|error| error.reason)?;
                return Ok(Expression::Matches(Box::new(target), regex));
            }
            ("startsWith", 1) => Function::StartsWith,
            ("endsWith", 1) => Function::EndsWith,
            ("contains", 1) => Function::Contains,
            ("size", 0) => Function::Size,
            ("lowerAscii", 0) => Function::LowerAscii,
            ("upperAscii", 0) => Function::UpperAscii,
            (other, _) => return Err(format!("{other}() is not a supported function")),
        };
        Ok(Expression::Call(function, Box::new(target), arguments))
    }
}

/// `a.b`: an attribute by its name, or an entry of a map.
fn select(from: Expression, name: &str) -> Expression {
    match from {
        Expression::Attribute(attribute) => match attribute.select(name) {
            Some(attribute) => Expression::Attribute(attribute),
            None => entry(Expression::Attribute(attribute), name),
        },
        other => entry(other, name),
    }
}

fn entry(from: Expression, name: &str) -> Expression {
    Expression::Entry(Box::new(from), Box::new(Expression::Literal(Value::Text(name.to_owned()))))
}
