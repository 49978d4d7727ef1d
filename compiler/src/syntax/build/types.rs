//! Types.

use super::{Builder, Node, child, children, has, must};
use crate::syntax::ast::{
    FieldType, Ident, IntervalUnits, TimeUnit, TimeZoneClause, TypeExpr, TypeKind, TypeParam,
};
use crate::syntax::grammar::Rule;

impl Builder<'_> {
    /// The type directly below.
    pub(super) fn first_type(&mut self, pair: &Node<'_>) -> TypeExpr {
        self.type_expr(must(child(pair, Rule::data_type)))
    }

    /// A type with what follows it: ARRAY, MULTISET, NOT NULL.
    pub(super) fn type_expr(&mut self, pair: Node<'_>) -> TypeExpr {
        let span = self.span(&pair);
        let parts = pair.clone().into_inner();
        let levels = parts.clone().count();
        if !self.enter(levels, &pair) {
            return TypeExpr { kind: TypeKind::Interval(None), nullable: None, span };
        }
        let mut ty = TypeExpr { kind: TypeKind::Interval(None), nullable: None, span };
        for part in parts {
            let end = self.span(&part);
            match part.as_rule() {
                Rule::type_suffix => {
                    let inner = Box::new(ty);
                    let kind = if has(&part, Rule::k_multiset) {
                        TypeKind::Multiset(inner)
                    } else {
                        TypeKind::Array(inner)
                    };
                    ty = TypeExpr { kind, nullable: None, span: span.start_point().to(end) };
                }
                Rule::nullability => {
                    ty.nullable = Some(!has(&part, Rule::k_not));
                    ty.span = ty.span.to(end);
                }
                _ => ty = TypeExpr { kind: self.type_kind(&part), nullable: None, span: end },
            }
        }
        self.leave(levels);
        ty
    }

    fn type_kind(&mut self, pair: &Node<'_>) -> TypeKind {
        match pair.as_rule() {
            Rule::array_type => TypeKind::Array(Box::new(self.first_type(pair))),
            Rule::multiset_type => TypeKind::Multiset(Box::new(self.first_type(pair))),
            Rule::map_type => {
                let mut types = children(pair, Rule::data_type);
                let key = Box::new(self.type_expr(must(types.next())));
                TypeKind::Map(key, Box::new(self.type_expr(must(types.next()))))
            }
            Rule::row_type => {
                let fields: Vec<_> = children(pair, Rule::field_type).collect();
                TypeKind::Row(fields.iter().map(|field| self.field_type(field)).collect())
            }
            Rule::interval_type => {
                let units = child(pair, Rule::interval_units);
                TypeKind::Interval(units.map(|units| self.interval_units(&units)))
            }
            _ => self.named_type(pair),
        }
    }

    fn field_type(&mut self, pair: &Node<'_>) -> FieldType {
        let comment = child(pair, Rule::comment).and_then(|c| self.first_text(&c));
        FieldType { name: self.first_ident(pair), ty: self.first_type(pair), comment }
    }

    fn named_type(&mut self, pair: &Node<'_>) -> TypeKind {
        let name = must(child(pair, Rule::type_name));
        let name = match child(&name, Rule::ident) {
            Some(ident) => self.ident(&ident),
            None => {
                let words: Vec<&str> = name.clone().into_inner().map(|w| w.as_str()).collect();
                let text = words.join(" ").to_uppercase();
                Ident { text, quoted: false, span: self.span(&name) }
            }
        };
        let name = if has(pair, Rule::k_unsigned) {
            Ident { text: format!("{} UNSIGNED", name.text.to_uppercase()), ..name }
        } else {
            name
        };
        let params = child(pair, Rule::type_params).map_or_else(Vec::new, |params| {
            let number = |c: Node<'_>| TypeParam {
                value: c.as_str().parse().unwrap_or(u32::MAX),
                span: self.span(&c),
            };
            children(&params, Rule::integer).map(number).collect()
        });
        let zone = child(pair, Rule::time_zone);
        TypeKind::Named { name, params, zone: zone.map_or(TimeZoneClause::None, |z| zone_of(&z)) }
    }

    /// `DAY TO SECOND`.
    pub(super) fn interval_units(&self, pair: &Node<'_>) -> IntervalUnits {
        let mut units = children(pair, Rule::unit);
        let from = must(units.next().and_then(|u| unit_named(u.as_str())));
        let to = units.next().and_then(|u| unit_named(u.as_str()));
        IntervalUnits { from, to, span: self.span(pair) }
    }
}

fn zone_of(pair: &Node<'_>) -> TimeZoneClause {
    if has(pair, Rule::k_without) {
        TimeZoneClause::Without
    } else if has(pair, Rule::k_local) {
        TimeZoneClause::WithLocal
    } else {
        TimeZoneClause::With
    }
}

/// The unit with this name, singular or plural, in any case.
pub(super) fn unit_named(word: &str) -> Option<TimeUnit> {
    let word = word.to_ascii_lowercase();
    let unit = match word.strip_suffix('s').unwrap_or(&word) {
        "millennium" => TimeUnit::Millennium,
        "century" | "centurie" => TimeUnit::Century,
        "decade" => TimeUnit::Decade,
        "year" => TimeUnit::Year,
        "quarter" => TimeUnit::Quarter,
        "month" => TimeUnit::Month,
        "week" => TimeUnit::Week,
        "day" => TimeUnit::Day,
        "hour" => TimeUnit::Hour,
        "minute" => TimeUnit::Minute,
        "second" => TimeUnit::Second,
        "millisecond" => TimeUnit::Millisecond,
        "microsecond" => TimeUnit::Microsecond,
        "nanosecond" => TimeUnit::Nanosecond,
        "epoch" => TimeUnit::Epoch,
        "dow" => TimeUnit::DayOfWeek,
        "isodow" => TimeUnit::IsoDayOfWeek,
        "doy" => TimeUnit::DayOfYear,
        "isoyear" => TimeUnit::IsoYear,
        _ => return None,
    };
    Some(unit)
}
