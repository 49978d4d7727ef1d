//! Types as written to types. Everything is nullable unless NOT NULL is written.

use flow_ir::types::{
    DECIMAL_MAX_PRECISION, DataType, Field, TIME_MAX_PRECISION, TYPE_DEPTH_MAX, Type,
};

use super::Checker;
use crate::diagnostics::{names, nearest, plans, types};
use crate::syntax::ast::{CreateType, ObjectName, TimeZoneClause, TypeExpr, TypeKind, TypeParam};

/// Precision of TIMESTAMP and TIME where none is written, as in Flink.
const TIMESTAMP_PRECISION_DEFAULT: u8 = 6;
/// Largest precision of times that is accepted; what is beyond microseconds is not kept.
const TIME_PRECISION_ACCEPTED_MAX: u32 = 9;

/// Names of scalar types.
pub const NAMES: &[&str] = &[
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "REAL",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "STRING",
    "VARCHAR",
    "CHAR",
    "TEXT",
    "BYTES",
    "VARBINARY",
    "BINARY",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "UUID",
    "JSON",
];

impl Checker<'_> {
    /// CREATE TYPE.
    pub(super) fn create_type(&mut self, create: &CreateType) {
        let name = create.name.last();
        let Some(ty) = self.type_of(&create.ty) else { return };
        let upper = name.text.to_uppercase();
        if NAMES.contains(&upper.as_str()) {
            let why = "it is the name of a type that is there already";
            self.found.push(types::bad_type(&name.text, why, name.span));
            return;
        }
        match self.types.get(&upper) {
            Some((_, first)) if !create.or_replace => {
                if !create.if_not_exists {
                    self.found.push(names::declared_twice(&name.text, name.span, *first));
                }
            }
            Some(_) | None => {
                self.types.insert(upper, (ty, name.span));
            }
        }
    }

    /// DROP TYPE.
    pub(super) fn drop_type(&mut self, name: &ObjectName, if_exists: bool) {
        let name = name.last();
        if self.types.remove(&name.text.to_uppercase()).is_none() && !if_exists {
            let near = nearest(&name.text, self.types.keys().map(String::as_str));
            self.found.push(types::unknown_type(&name.text, name.span, near));
        }
    }

    /// The type that is written.
    pub(super) fn type_of(&mut self, written: &TypeExpr) -> Option<Type> {
        let data = match &written.kind {
            TypeKind::Named { name, params, zone } => {
                self.named_type(written, &name.text, params, *zone)?
            }
            TypeKind::Interval(_) => DataType::Interval,
            TypeKind::Array(item) => DataType::Array(Box::new(self.type_of(item)?)),
            // As COLLECT gives it: how often each element is there.
            TypeKind::Multiset(item) => {
                let key = self.type_of(item)?.with_nullable(false);
                DataType::Map(Box::new(key), Box::new(Type::nullable(DataType::Int)))
            }
            TypeKind::Map(key, value) => {
                let key = self.type_of(key)?.with_nullable(false);
                DataType::Map(Box::new(key), Box::new(self.type_of(value)?))
            }
            TypeKind::Row(fields) => {
                let typed: Vec<Option<Field>> = fields
                    .iter()
                    .map(|f| self.type_of(&f.ty).map(|ty| Field::new(f.name.text.clone(), ty)))
                    .collect();
                DataType::Row(typed.into_iter().collect::<Option<Vec<_>>>()?.into())
            }
        };
        if data.depth() > TYPE_DEPTH_MAX {
            let why = format!("types nest {TYPE_DEPTH_MAX} levels at most");
            return self.report(types::bad_type("this", &why, written.span));
        }
        Some(Type { data, nullable: written.nullable.unwrap_or(true) })
    }

    fn named_type(
        &mut self,
        written: &TypeExpr,
        name: &str,
        params: &[TypeParam],
        zone: TimeZoneClause,
    ) -> Option<DataType> {
        let upper = name.to_uppercase();
        Some(match upper.as_str() {
            "BOOLEAN" | "BOOL" => DataType::Boolean,
            "TINYINT" => DataType::TinyInt,
            "SMALLINT" | "INT2" | "TINYINT UNSIGNED" | "UTINYINT" => DataType::SmallInt,
            "INT" | "INTEGER" | "INT4" | "SMALLINT UNSIGNED" | "USMALLINT" | "UINT2" => {
                DataType::Int
            }
            // The largest type of integers; a number beyond it is refused where it comes.
            "BIGINT" | "INT8" | "LONG" | "INT UNSIGNED" | "INTEGER UNSIGNED" | "UINTEGER"
            | "UINT4" | "BIGINT UNSIGNED" | "UBIGINT" | "UINT8" => DataType::BigInt,
            "REAL" | "FLOAT" | "FLOAT4" => DataType::Real,
            "DOUBLE" | "DOUBLE PRECISION" | "FLOAT8" => DataType::Double,
            "DECIMAL" | "NUMERIC" | "DEC" => self.decimal_type(written, params)?,
            "STRING" | "TEXT" | "VARCHAR" | "CHAR" | "CHARACTER" | "CHARACTER VARYING"
            | "CHAR VARYING" => DataType::String,
            "BYTES" | "BYTEA" | "VARBINARY" | "BINARY" | "BINARY VARYING" | "BLOB" => {
                DataType::Bytes
            }
            "DATE" => DataType::Date,
            "TIME" => DataType::Time { precision: self.precision(written, params, 0)? },
            "TIMESTAMP" | "DATETIME" => {
                let precision = self.precision(written, params, TIMESTAMP_PRECISION_DEFAULT)?;
                match zone {
                    TimeZoneClause::None | TimeZoneClause::Without => {
                        DataType::Timestamp { precision }
                    }
                    TimeZoneClause::With | TimeZoneClause::WithLocal => {
                        DataType::TimestampLtz { precision }
                    }
                }
            }
            "TIMESTAMP_LTZ" | "TIMESTAMPTZ" => DataType::TimestampLtz {
                precision: self.precision(written, params, TIMESTAMP_PRECISION_DEFAULT)?,
            },
            "UUID" => DataType::Uuid,
            "JSON" | "JSONB" | "VARIANT" => DataType::Json,
            "HUGEINT" | "INT128" => {
                DataType::Decimal { precision: DECIMAL_MAX_PRECISION, scale: 0 }
            }
            "RAW" => {
                let instead = "Its bytes mean something to a program in Java alone. Use BYTES.";
                let at = written.span;
                return self.report(plans::not_available("the type RAW", at, Some(instead)));
            }
            _ => {
                if let Some((named, _)) = self.types.get(&upper) {
                    return Some(named.data.clone());
                }
                let near = nearest(name, NAMES.iter().copied());
                return self.report(types::unknown_type(name, written.span, near));
            }
        })
    }

    fn decimal_type(&mut self, written: &TypeExpr, params: &[TypeParam]) -> Option<DataType> {
        let precision = params.first().map_or(10, |p| p.value);
        let scale = params.get(1).map_or(0, |p| p.value);
        let max = u32::from(DECIMAL_MAX_PRECISION);
        if precision == 0 || precision > max || scale > precision {
            let ty = format!("DECIMAL({precision}, {scale})");
            let why = format!("it has 1 to {max} digits, the scale among them");
            return self.report(types::bad_type(&ty, &why, written.span));
        }
        Some(DataType::Decimal { precision: precision as u8, scale: scale as u8 })
    }

    /// Digits of seconds that are kept.
    fn precision(&mut self, written: &TypeExpr, params: &[TypeParam], default: u8) -> Option<u8> {
        let Some(param) = params.first() else { return Some(default) };
        let text = self.sources.text(written.span).to_string();
        if param.value > TIME_PRECISION_ACCEPTED_MAX {
            let why = format!("times have 0 to {TIME_PRECISION_ACCEPTED_MAX} digits of seconds");
            return self.report(types::bad_type(&text, &why, written.span));
        }
        if param.value > u32::from(TIME_MAX_PRECISION) {
            self.found.push(types::precision_beyond_micros(&text, written.span));
        }
        Some((param.value as u8).min(TIME_MAX_PRECISION))
    }
}
