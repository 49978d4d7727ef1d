//! Reads the expressions of examples. Not the language's grammar: just enough of it to call every
//! builtin, with none of its care for mistakes.

use std::rc::Rc;

use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::builder::{Lazy, Operand, ScalarBuilder};
use flow_stdlib::builtin::{self, Builtin};
use flow_stdlib::coerce::{castable, common_type};
use flow_stdlib::text::{interval_of_unit, parse_value};

/// Builds an expression's instructions.
type Build = Rc<dyn Fn(&mut ScalarBuilder) -> Operand>;

/// A typed expression.
#[derive(Clone)]
pub(crate) struct Node {
    /// Its type.
    pub(crate) ty: Type,
    /// Its value, if it is a literal.
    pub(crate) literal: Option<Value>,
    /// Its instructions.
    pub(crate) build: Build,
    /// The outermost call.
    call: Option<Call>,
}

/// A call of a builtin.
#[derive(Clone)]
pub(crate) struct Call {
    /// The builtin.
    pub(crate) function: &'static Builtin,
    /// Its arguments.
    pub(crate) args: Vec<Node>,
}

type Read<T> = Result<T, String>;

/// The expression in a text.
pub(crate) fn expression(text: &str) -> Read<Node> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    let node = reader.expr(0)?;
    match reader.peek() {
        Token::End => Ok(node),
        other => Err(format!("{other:?} after the expression {text}")),
    }
}

/// The call that an expression is.
pub(crate) fn call(text: &str) -> Read<Call> {
    expression(text)?.call.ok_or_else(|| "no call".to_string())
}

/// A call with NULL of the right type in one place.
pub(crate) fn call_with_null(
    function: &'static Builtin,
    args: &[Node],
    place: usize,
) -> Read<Node> {
    let mut args = args.to_vec();
    let ty = args[place].ty.with_nullable(true);
    args[place] = literal(Value::Null, ty);
    args[place].literal = None;
    invoke(function, args)
}

fn literal(value: Value, ty: Type) -> Node {
    let (v, t) = (value.clone(), ty.clone());
    let build: Build = Rc::new(move |b| b.constant(v.clone(), t.clone()));
    Node { ty, literal: Some(value), build, call: None }
}

fn text_literal(text: &str) -> Node {
    literal(Value::String(text.into()), Type::not_null(DataType::String))
}

fn cast(node: Node, ty: Type) -> Node {
    if node.ty.data == ty.data {
        return node;
    }
    let (inner, to) = (node.build, ty.clone());
    let build: Build = Rc::new(move |b| {
        let value = inner(b);
        b.cast(value, &to)
    });
    Node { ty, literal: None, build, call: None }
}

fn invoke(function: &'static Builtin, args: Vec<Node>) -> Read<Node> {
    let types: Vec<Type> = args.iter().map(|a| a.ty.clone()).collect();
    let literals: Vec<Option<&Value>> = args.iter().map(|a| a.literal.as_ref()).collect();
    let resolved = function.resolve_with(&types, &literals).map_err(|e| e.to_string())?;
    let call = Some(Call { function, args: args.clone() });
    let cast_args: Vec<Build> =
        args.into_iter().zip(&resolved.arg_types).map(|(a, t)| cast(a, t.clone()).build).collect();
    let ty = resolved.ty.clone();
    let build: Build = Rc::new(move |b| {
        let args: Vec<Lazy<'_>> = cast_args.iter().map(|a| &**a as Lazy<'_>).collect();
        b.call(function, resolved.overload, &args, &resolved.ty)
    });
    Ok(Node { ty, literal: None, build, call })
}

fn named(name: &str, args: Vec<Node>) -> Read<Node> {
    invoke(builtin::lookup(name).ok_or_else(|| format!("no builtin {name}"))?, args)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(String),
    Text(String),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 21] = [
    "->>", "->", "||", "<>", "<=", ">=", "(", ")", "[", "]", ",", "+", "-", "*", "/", "%", "=",
    "<", ">", ".", ":",
];

fn tokens(text: &str) -> Read<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, len) = if c == '\'' {
            let end = rest[1..].find('\'').ok_or("an open quote")?;
            (Token::Text(rest[1..=end].to_string()), end + 2)
        } else if c.is_ascii_digit() {
            let mut len =
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            if rest[len..].starts_with('e') {
                let tail = &rest[len + 1..];
                len += 1 + tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            }
            (Token::Number(rest[..len].to_string()), len)
        } else if c.is_ascii_alphabetic() {
            let len =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Token::Word(rest[..len].to_string()), len)
        } else {
            let symbol = SYMBOLS.iter().find(|s| rest.starts_with(**s));
            let symbol = symbol.ok_or_else(|| format!("'{c}'"))?;
            (Token::Symbol(symbol), symbol.len())
        };
        tokens.push(token);
        rest = rest[len..].trim_start();
    }
    tokens.push(Token::End);
    Ok(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        self.at += usize::from(token != Token::End);
        token
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let hit = matches!(self.peek(), Token::Symbol(s) if *s == symbol);
        self.at += usize::from(hit);
        hit
    }

    fn word(&mut self, word: &str) -> bool {
        let hit = matches!(self.peek(), Token::Word(w) if w == word);
        self.at += usize::from(hit);
        hit
    }

    fn need(&mut self, symbol: &str) -> Read<()> {
        if self.symbol(symbol) || self.word(symbol) {
            return Ok(());
        }
        Err(format!("{symbol} before {:?}", self.peek()))
    }

    fn expr(&mut self, least: u8) -> Read<Node> {
        let mut left = self.primary()?;
        loop {
            let at = self.at;
            let (power, name) = self.operator();
            if power == 0 || power <= least {
                self.at = at;
                return Ok(left);
            }
            left = self.infix(left, power, name)?;
        }
    }

    /// The operator that comes next and how tightly it binds; 0 if there is none.
    fn operator(&mut self) -> (u8, String) {
        let power = match self.next() {
            Token::Symbol(s @ ("=" | "<>" | "<" | "<=" | ">" | ">=")) => return (2, s.into()),
            Token::Symbol(s @ ("+" | "-" | "||" | "->" | "->>")) => return (4, s.into()),
            Token::Symbol(s @ ("*" | "/" | "%")) => return (5, s.into()),
            Token::Symbol("[") => return (7, "[]".into()),
            Token::Word(w) => match w.as_str() {
                "LIKE" | "ILIKE" => return (3, w),
                "SIMILAR" if self.word("TO") => return (3, "SIMILAR TO".into()),
                "IS" => return (1, w),
                "AT" if self.word("TIME") && self.word("ZONE") => {
                    return (6, "AT TIME ZONE".into());
                }
                _ => 0,
            },
            Token::Number(_) | Token::Text(_) | Token::Symbol(_) | Token::End => 0,
        };
        (power, String::new())
    }

    fn infix(&mut self, left: Node, power: u8, name: String) -> Read<Node> {
        match name.as_str() {
            "IS" => self.is(left),
            "[]" => {
                let index = self.expr(0)?;
                self.need("]")?;
                named("[]", vec![left, index])
            }
            _ => {
                let mut args = vec![left, self.expr(power)?];
                if self.word("ESCAPE") {
                    args.push(self.expr(power)?);
                }
                named(&name, args)
            }
        }
    }

    fn is(&mut self, left: Node) -> Read<Node> {
        let not = self.word("NOT");
        if self.word("NULL") {
            let build: Build = Rc::new(move |b| {
                let value = (left.build)(b);
                let null = b.is_null(value);
                if not { b.not(null) } else { null }
            });
            let ty = Type::not_null(DataType::Boolean);
            return Ok(Node { ty, literal: None, build, call: None });
        }
        if self.word("DISTINCT") {
            self.need("FROM")?;
            let right = self.expr(1)?;
            let name = if not { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
            return named(name, vec![left, right]);
        }
        match self.next() {
            Token::Word(w) if w == "JSON" => {
                let kinds = ["OBJECT", "ARRAY", "SCALAR"];
                let kind = kinds.into_iter().find(|kind| self.word(kind));
                named(&kind.map_or("IS JSON".into(), |kind| format!("IS JSON {kind}")), vec![left])
            }
            Token::Word(w) => named(&format!("IS {w}"), vec![left]),
            other => Err(format!("IS {other:?}")),
        }
    }

    fn primary(&mut self) -> Read<Node> {
        match self.next() {
            Token::Symbol("-") => {
                let inner = self.expr(6)?;
                match inner.literal {
                    Some(Value::Int(v)) => Ok(literal(Value::Int(-v), inner.ty)),
                    Some(Value::Decimal(v)) => Ok(literal(Value::Decimal(-v), inner.ty)),
                    _ => named("neg", vec![inner]),
                }
            }
            Token::Symbol("(") => {
                let inner = self.expr(0)?;
                self.need(")")?;
                Ok(inner)
            }
            Token::Number(text) => number(&text),
            Token::Text(text) => Ok(text_literal(&text)),
            Token::Word(word) => self.word_form(&word),
            other => Err(format!("{other:?} as a start")),
        }
    }

    fn word_form(&mut self, word: &str) -> Read<Node> {
        let boolean = |v| literal(Value::Boolean(v), Type::not_null(DataType::Boolean));
        match word {
            "NULL" => return Ok(literal(Value::Null, Type::nullable(DataType::Null))),
            "TRUE" => return Ok(boolean(true)),
            "FALSE" => return Ok(boolean(false)),
            "CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIMESTAMP" => return named(word, Vec::new()),
            "ARRAY" if self.symbol("[") => return self.items("]").and_then(array),
            "MAP" if self.symbol("[") => {
                let entries = self.items("]")?;
                let pick = |odd| entries.iter().skip(odd).step_by(2).cloned().collect();
                return named("MAP_FROM_ARRAYS", vec![array(pick(0))?, array(pick(1))?]);
            }
            "INTERVAL" => return self.interval(),
            "DATE" | "TIME" | "TIMESTAMP" => {
                if let Token::Text(text) = self.peek().clone() {
                    self.at += 1;
                    let data = type_named(word)?;
                    let value = parse_value(&text, &data).map_err(|e| format!("{e:?}"))?;
                    return Ok(literal(value, Type::not_null(data)));
                }
            }
            _ => {}
        }
        self.need("(")?;
        match word {
            "CAST" => {
                let inner = self.expr(0)?;
                self.need("AS")?;
                let data = self.data_type()?;
                self.need(")")?;
                if !castable(&inner.ty.data, &data) {
                    return Err(format!("no cast from {} to {data}", inner.ty));
                }
                let nullable = inner.ty.nullable;
                Ok(cast(inner, Type { data, nullable }))
            }
            "EXTRACT" => {
                let Token::Word(unit) = self.next() else { return Err("a unit".into()) };
                self.need("FROM")?;
                let inner = self.expr(0)?;
                self.need(")")?;
                named(word, vec![text_literal(&unit), inner])
            }
            _ => {
                let args = self.arguments(word)?;
                named(word, args)
            }
        }
    }

    /// Arguments with commas, or the keywords IN, PLACING, FROM, FOR, TO between.
    fn arguments(&mut self, function: &str) -> Read<Vec<Node>> {
        let mut args = Vec::new();
        if self.symbol(")") {
            return Ok(args);
        }
        if matches!(function, "TIMESTAMPADD" | "TIMESTAMPDIFF")
            && let Token::Word(unit) = self.next()
        {
            args.push(text_literal(&unit));
            self.need(",")?;
        }
        loop {
            args.push(self.expr(0)?);
            if self.symbol(")") {
                return Ok(args);
            }
            if self.word("TO") {
                let Token::Word(unit) = self.next() else { return Err("a unit".into()) };
                args.push(text_literal(&unit));
                self.need(")")?;
                return Ok(args);
            }
            let between = self.symbol(",")
                || self.word("IN")
                || self.word("PLACING")
                || self.word("FROM")
                || self.word("FOR");
            if !between {
                return Err(format!("{:?} among arguments", self.peek()));
            }
        }
    }

    fn items(&mut self, close: &str) -> Read<Vec<Node>> {
        let mut items = vec![self.expr(0)?];
        while self.symbol(",") {
            items.push(self.expr(0)?);
        }
        self.need(close)?;
        Ok(items)
    }

    fn interval(&mut self) -> Read<Node> {
        let (Token::Text(count), Token::Word(unit)) = (self.next(), self.next()) else {
            return Err("INTERVAL takes a text and a unit".into());
        };
        let count: i64 = count.parse().map_err(|_| "a count")?;
        let (months, micros) = interval_of_unit(&unit).ok_or("a unit")?;
        let value = Value::Interval { months: months * count, micros: micros * count };
        Ok(literal(value, Type::not_null(DataType::Interval)))
    }

    fn data_type(&mut self) -> Read<DataType> {
        let Token::Word(word) = self.next() else { return Err("a type".into()) };
        if word == "ARRAY" {
            self.need("<")?;
            let item = self.data_type()?;
            self.need(">")?;
            return Ok(DataType::Array(Box::new(Type::nullable(item))));
        }
        if word == "MAP" {
            self.need("<")?;
            let key = Type::not_null(self.data_type()?);
            self.need(",")?;
            let value = Type::nullable(self.data_type()?);
            self.need(">")?;
            return Ok(DataType::Map(Box::new(key), Box::new(value)));
        }
        type_named(&word)
    }
}

fn type_named(word: &str) -> Read<DataType> {
    Ok(match word {
        "BOOLEAN" => DataType::Boolean,
        "TINYINT" => DataType::TinyInt,
        "INT" => DataType::Int,
        "BIGINT" => DataType::BigInt,
        "DOUBLE" => DataType::Double,
        "STRING" => DataType::String,
        "BYTES" => DataType::Bytes,
        "DATE" => DataType::Date,
        "TIME" => DataType::Time { precision: 6 },
        "TIMESTAMP" => DataType::Timestamp { precision: 6 },
        "INTERVAL" => DataType::Interval,
        "UUID" => DataType::Uuid,
        other => return Err(format!("no type {other}")),
    })
}

fn number(text: &str) -> Read<Node> {
    if text.contains('e') {
        let value = text.parse().map_err(|_| "a number")?;
        return Ok(literal(Value::Float(value), Type::not_null(DataType::Double)));
    }
    if let Some((whole, fraction)) = text.split_once('.') {
        let scale = fraction.len() as u8;
        let precision = (whole.trim_start_matches('0').len() as u8 + scale).max(1);
        let data = DataType::Decimal { precision, scale };
        let value = parse_value(text, &data).map_err(|e| format!("{e:?}"))?;
        return Ok(literal(value, Type::not_null(data)));
    }
    let value: i64 = text.parse().map_err(|_| "a number")?;
    let data = if i32::try_from(value).is_ok() { DataType::Int } else { DataType::BigInt };
    Ok(literal(Value::Int(value), Type::not_null(data)))
}

fn array(items: Vec<Node>) -> Read<Node> {
    let types: Vec<Type> = items.iter().map(|i| i.ty.clone()).collect();
    let item = common_type(&types).ok_or("the items have no common type")?;
    let items: Vec<Build> = items.into_iter().map(|i| cast(i, item.clone()).build).collect();
    let ty = Type::not_null(DataType::Array(Box::new(item)));
    let of = ty.clone();
    let build: Build = Rc::new(move |b| {
        let items = items.iter().map(|i| i(b)).collect();
        b.array(items, &of)
    });
    Ok(Node { ty, literal: None, build, call: None })
}
