//! Calls: builtins, the clock, aggregates, and the bounds of the older group windows.

use flow_ir::expr::{Expr, ExprKind};
use flow_ir::physical::Changelog;
use flow_ir::span::Span;
use flow_ir::types::{DataType, Type};
use flow_ir::value::Value;
use flow_stdlib::aggregates;
use flow_stdlib::builtin::{self, Builtin, Volatility, lookup};
use flow_stdlib::coerce::castable;
use flow_stdlib::signature::Signature;

use super::Checker;
use super::coerce::{cast, fit_literals, open_type};
use super::current_watermark::CURRENT_WATERMARK;
use super::expr::ExprCx;
use super::grouping::is_grouping;
use super::json::json_parts;
use super::ksql_names::of_records;
use super::literal::constant;
use crate::diagnostics::{aggregates as problems, names, plans, types};
use crate::syntax::ast::{ArgValue, Call};

/// Digits of seconds of the clock, as in Flink.
const CLOCK_PRECISION: u8 = 3;

impl Checker<'_> {
    /// A call as written.
    pub(super) fn call(&mut self, call: &Call, span: Span, cx: &mut ExprCx<'_>) -> Option<Expr> {
        let name = call.name.last().text.to_uppercase();
        if let Some(over) = &call.over {
            return self.over_call(call, over, span, cx);
        }
        if let Some(clock) = clock(&name, call.args.is_empty(), span) {
            return Some(clock);
        }
        if name == CURRENT_WATERMARK {
            return self.current_watermark(call, span, cx);
        }
        if aggregates::lookup(&name).is_some() || is_grouping(call) {
            return self.aggregate_call(call, span, cx);
        }
        if let Some(window) = self.window_call(&name, call, span, cx) {
            return window;
        }
        if let Some(modifier) = modifier_of(call) {
            return self.report(problems::modifier_not_taken(&name, modifier, span));
        }
        if let Some(made) = self.constructed(&name, call, span, cx) {
            return made;
        }
        if self.is_function(&name) {
            let args = self.in_order(call.name.last(), &call.args)?;
            let args: Vec<Option<Expr>> =
                args.iter().map(|arg| self.argument(&name, arg, cx)).collect();
            let args = args.into_iter().collect::<Option<Vec<Expr>>>()?;
            return self.function_call(call.name.last(), args, span);
        }
        if let Some(made) = self.json_getter(&name, call, span, cx) {
            return made;
        }
        let Some(builtin) = lookup(&name) else {
            return self.unknown_function(&call.name.last().text, call.name.span());
        };
        if builtin.overloads.iter().any(Signature::takes_lambda) {
            return self.lambda_call(builtin, &name, &call.args, span, cx);
        }
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.argument(&name, arg, cx));
        }
        let args = args.into_iter().collect::<Option<Vec<Expr>>>()?;
        let args = match self.as_meant((builtin.name, &name), args, span, cx) {
            Ok(args) => args,
            Err(meant) => return meant,
        };
        self.call_lints(builtin, &args, span);
        let made = self.builtin(builtin, &name, args, span)?;
        // What Postgres builds is JSON, not its text.
        let builds = name.starts_with("JSON_BUILD_") || name.starts_with("JSONB_BUILD_");
        Some(if builds { cast(made, &DataType::Json, false, span) } else { made })
    }

    /// The arguments as the builtin takes them, or what is called in its place.
    fn as_meant(
        &mut self,
        (builtin, name): (&str, &str),
        args: Vec<Expr>,
        span: Span,
        cx: &ExprCx<'_>,
    ) -> Result<Vec<Expr>, Option<Expr>> {
        let args = match of_records(cx.scope) {
            true => match self.as_in_ksql(name, args, span) {
                Ok(meant) => return Err(meant),
                Err(args) => args,
            },
            false => args,
        };
        Ok(match builtin {
            "CONCAT" | "CONCAT_WS" => Self::texts(args),
            "JSON_OBJECT" | "JSON_ARRAY" | "JSON_BUILD_ARRAY" => json_parts(args),
            "TO_CHAR" if args.len() == 2 && args[0].ty.data.is_numeric() => {
                return Err(self.number_to_char(args, span));
            }
            "TO_TIMESTAMP" if args.len() == 1 && args[0].ty.data.is_numeric() => {
                return Err(self.of_seconds(args, span));
            }
            "JSON_EXTRACT" if args.len() > 2 => {
                return Err(self.at_names("JSONB_AT_PATH", args, span));
            }
            "JSON_EXTRACT_STRING" if args.len() > 2 => {
                return Err(self.at_names("JSONB_AT_PATH_TEXT", args, span));
            }
            "SUBSTRING" if args.len() == 2 && is_pattern(&args[1]) => {
                return Err(self.first_match(args, span));
            }
            _ => args,
        })
    }

    /// TO_CHAR of a number.
    fn number_to_char(&mut self, args: Vec<Expr>, span: Span) -> Option<Expr> {
        let mut args = args.into_iter();
        let (number, pattern) = args.next().zip(args.next())?;
        let number = cast(number, &DataType::String, false, span);
        self.operator("NUMBER_TO_CHAR", vec![number, pattern], span)
    }

    /// SUBSTRING(text FROM pattern): the first group, else the whole match.
    fn first_match(&mut self, args: Vec<Expr>, span: Span) -> Option<Expr> {
        let groups = self.operator("REGEXP_MATCH", args, span)?;
        let one = Expr::literal(Value::Int(1), Type::not_null(DataType::Int), span);
        self.operator("[]", vec![groups, one], span)
    }

    /// JSONB_EXTRACT_PATH(json, name, …).
    fn at_names(&mut self, function: &str, args: Vec<Expr>, span: Span) -> Option<Expr> {
        let mut names = args.into_iter();
        let json = names.next()?;
        let path = self.array_of(names.collect(), span)?;
        self.operator(function, vec![json, path], span)
    }

    fn unknown_function(&mut self, name: &str, span: Span) -> Option<Expr> {
        if name.eq_ignore_ascii_case("mz_now") {
            let help = "NOW() is the epoch's clock: WHERE asks a row once, when it comes.";
            return self.report(plans::not_available("mz_now()", span, Some(help)));
        }
        let words = |n: &&str| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let scalar = builtin::all().map(|b| b.name).filter(words);
        let known = scalar.chain(aggregates::AGGREGATES.iter().flat_map(|a| a.names()));
        let own = self.functions.iter().map(|f| f.name().text.clone());
        let known: Vec<String> = known.map(str::to_string).chain(own).collect();
        self.report(names::unknown_function(name, span, &known))
    }

    /// An argument of a scalar function. Units of time arrive as text.
    pub(super) fn argument(
        &mut self,
        function: &str,
        arg: &crate::syntax::ast::Arg,
        cx: &mut ExprCx<'_>,
    ) -> Option<Expr> {
        if let Some(name) = &arg.name {
            let what = format!("the named argument {name}");
            return self.report(plans::not_available(&what, arg.span, Some("Leave its name out.")));
        }
        match &arg.value {
            ArgValue::Expr(e) => self.expr(e, cx),
            ArgValue::Unit(unit) => {
                let text = Value::String(unit.word().to_string());
                Some(Expr::literal(text, Type::not_null(DataType::String), arg.span))
            }
            ArgValue::Wildcard => {
                self.report(problems::modifier_not_taken(function, "*", arg.span))
            }
            ArgValue::Lambda { .. } => {
                self.report(problems::modifier_not_taken(function, "a lambda", arg.span))
            }
            ArgValue::Table(_) | ArgValue::Descriptor(_) => {
                self.report(problems::modifier_not_taken(function, "a table", arg.span))
            }
        }
    }

    /// The instant so many seconds after the beginning of 1970.
    fn of_seconds(&mut self, mut args: Vec<Expr>, span: Span) -> Option<Expr> {
        let number =
            |value: i64, ty: DataType| Expr::literal(Value::Int(value), Type::not_null(ty), span);
        let second = number(1_000_000, DataType::BigInt);
        let micros = self.operator("*", vec![args.pop()?, second], span)?;
        let micros = cast(micros, &DataType::BigInt, false, span);
        self.operator("TO_TIMESTAMP_LTZ", vec![micros, number(6, DataType::Int)], span)
    }

    /// A builtin that is known to exist, by name.
    pub(super) fn operator(&mut self, name: &str, args: Vec<Expr>, span: Span) -> Option<Expr> {
        match lookup(name) {
            Some(builtin) => self.builtin(builtin, name, args, span),
            None => self.report(plans::not_available(name, span, None)),
        }
    }

    /// The call of a builtin: overload chosen, arguments cast to its types.
    fn builtin(
        &mut self,
        builtin: &Builtin,
        written: &str,
        mut args: Vec<Expr>,
        span: Span,
    ) -> Option<Expr> {
        if matches!(builtin.name, "=" | "<>" | "<" | "<=" | ">" | ">=") {
            fit_literals(&mut args);
        }
        let literals: Vec<Option<Value>> = args.iter().map(|e| constant(e).cloned()).collect();
        let literals: Vec<Option<&Value>> = literals.iter().map(Option::as_ref).collect();
        let as_written: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
        let open: Vec<Type> = args.iter().map(open_type).collect();
        let resolved = builtin
            .resolve_with(&as_written, &literals)
            .or_else(|_| builtin.resolve_with(&open, &literals));
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                let cast = self.cast_to_write(builtin, &args);
                let symbolic = !builtin.name.starts_with(|c: char| c.is_ascii_uppercase());
                let overloads = if symbolic { Vec::new() } else { error.candidates };
                let shown = if builtin.name == "neg" { "-" } else { written };
                let given = &as_written;
                return self.report(types::wrong_arguments(shown, given, &overloads, span, cast));
            }
        };
        let mut typed = Vec::with_capacity(args.len());
        for (arg, to) in args.into_iter().zip(&resolved.arg_types) {
            let stays = to.data == DataType::Null;
            typed.push(if stays { Some(arg) } else { self.widen(arg, &to.data) });
        }
        let args = typed.into_iter().collect::<Option<Vec<Expr>>>()?;
        let exact: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
        let ty = match builtin.resolve_with(&exact, &literals) {
            Ok(again) if again.overload == resolved.overload => again.ty,
            Ok(_) | Err(_) => resolved.ty,
        };
        let function = builtin.name.to_string();
        let kind = ExprKind::Call { function, overload: resolved.overload, args };
        Some(Expr { kind, ty, span })
    }

    /// The first single CAST that makes the call possible.
    fn cast_to_write(&self, builtin: &Builtin, args: &[Expr]) -> Option<String> {
        let given: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
        let others = given.iter().map(|ty| ty.data.clone());
        let usual = [
            DataType::String,
            DataType::BigInt,
            DataType::Double,
            DataType::Timestamp { precision: 3 },
            DataType::TimestampLtz { precision: 3 },
            DataType::Date,
        ];
        let targets: Vec<DataType> = others.chain(usual).collect();
        for to in &targets {
            for at in (0..args.len()).rev() {
                if given[at].data == *to || !castable(&given[at].data, to) {
                    continue;
                }
                let mut tried = given.clone();
                tried[at] = Type { data: to.clone(), nullable: given[at].nullable };
                if builtin.resolve(&tried).is_ok() {
                    return Some(format!("CAST({} AS {to})", self.sources.text(args[at].span)));
                }
            }
        }
        None
    }

    /// Calls that mean something else in Flink SQL.
    fn call_lints(&mut self, builtin: &Builtin, args: &[Expr], span: Span) {
        let lint = match (builtin.name, args.len()) {
            ("LOG", 1) => Some(("LOG(x)", "base 10", "For the natural logarithm write LN(x).")),
            ("REGEXP_REPLACE", 3) => Some((
                "REGEXP_REPLACE",
                "replaces the first match",
                "To replace all as Flink does, add the flag 'g'.",
            )),
            ("CONCAT", _) if args.iter().any(|e| e.ty.nullable) => Some((
                "CONCAT",
                "skips NULL",
                "Where NULL should make the result NULL, as in Flink, write a || b.",
            )),
            ("EXTRACT", _) if is_text(args.first(), &["DOW"]) => {
                Some(("EXTRACT(DOW …)", "Sunday is 0", "Flink counts from Sunday = 1: add 1."))
            }
            _ => None,
        };
        if let Some((what, ours, rewrite)) = lint {
            self.found.push(types::differs_from_flink(what, ours, rewrite, span));
        }
    }

    /// CAST of a fraction to an integer rounds here.
    pub(super) fn cast_lints(&mut self, arg: &Expr, to: &Type, span: Span) {
        let fraction = arg.ty.data.is_float()
            || matches!(arg.ty.data, DataType::Decimal { scale, .. } if scale > 0);
        let whole = matches!(
            &arg.kind,
            ExprKind::Call { function, .. }
                if matches!(function.as_str(), "FLOOR" | "CEIL" | "ROUND" | "TRUNC" | "TRUNCATE")
        );
        if fraction && to.data.is_integer() && !whole {
            let text = self.sources.text(arg.span);
            let rewrite = format!(
                "To cut the fraction off as Flink does, write TRUNC({text}) inside the CAST."
            );
            self.found.push(types::differs_from_flink(
                "CAST of a fraction",
                "rounds to the nearest",
                &rewrite,
                span,
            ));
        }
    }

    /// Refuses expressions whose value differs from epoch to epoch over rows that may be taken
    /// back. Where a query is asked, its end decides.
    pub(super) fn deny_clock(&mut self, expr: &Expr, over: Changelog) -> Option<()> {
        if over == Changelog::Append {
            return Some(());
        }
        let mut at = None;
        expr.walk(&mut |e| {
            let called =
                if let ExprKind::Call { function, .. } = &e.kind { lookup(function) } else { None };
            let varies = matches!(e.kind, ExprKind::Clock)
                || called.is_some_and(|b| b.volatility != Volatility::Immutable);
            if varies {
                at = Some(e.span);
            }
        });
        match at {
            Some(span) if self.asked => {
                self.clock_over_updates.get_or_insert(span);
                Some(())
            }
            Some(span) => self.report(plans::clock_over_updates(span)),
            None => Some(()),
        }
    }
}

/// What a call has that only aggregates take.
fn modifier_of(call: &Call) -> Option<&'static str> {
    if call.distinct {
        Some("DISTINCT")
    } else if call.filter.is_some() {
        Some("FILTER")
    } else if !call.order_by.is_empty() || !call.within_group.is_empty() {
        Some("ORDER BY")
    } else {
        None
    }
}

/// Whether what stands behind FROM of SUBSTRING is a pattern rather than a position.
fn is_pattern(arg: &Expr) -> bool {
    let number = |text: &str| text.trim().parse::<i64>().is_ok();
    arg.ty.data == DataType::String
        && !matches!(constant(arg), Some(Value::String(text)) if number(text))
}

fn is_text(arg: Option<&Expr>, of: &[&str]) -> bool {
    match arg.and_then(constant) {
        Some(Value::String(text)) => of.contains(&text.as_str()),
        Some(_) | None => false,
    }
}

/// The epoch's clock.
pub(super) fn epoch_clock(span: Span) -> Expr {
    let ty = Type::not_null(DataType::TimestampLtz { precision: CLOCK_PRECISION });
    Expr { kind: ExprKind::Clock, ty, span }
}

/// The epoch's clock under its various names.
fn clock(name: &str, bare: bool, span: Span) -> Option<Expr> {
    let precision = CLOCK_PRECISION;
    let clock = epoch_clock(span);
    let to = match name {
        _ if !bare => return None,
        "NOW"
        | "PROCTIME"
        | "CURRENT_TIMESTAMP"
        | "CURRENT_ROW_TIMESTAMP"
        | "CLOCK_TIMESTAMP"
        | "GET_CURRENT_TIMESTAMP"
        | "STATEMENT_TIMESTAMP"
        | "TRANSACTION_TIMESTAMP" => return Some(clock),
        "LOCALTIMESTAMP" | "CURRENT_LOCALTIMESTAMP" => DataType::Timestamp { precision },
        "CURRENT_DATE" | "TODAY" => DataType::Date,
        "CURRENT_TIME" | "LOCALTIME" | "CURRENT_LOCALTIME" => DataType::Time { precision: 0 },
        _ => return None,
    };
    Some(cast(clock, &to, false, span))
}
