//! Declared columns against a subject's schema: every difference that would lose or refuse data is
//! named, all in one go.

use std::fmt;

use apache_avro::Schema;
use apache_avro::schema::RecordField;
use flow_ir::types::{DataType, Field, Type};

use crate::avro::{Names, describe, type_of};
use crate::plan::readable;

/// What is wrong with a declared column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredProblem {
    /// Position of the column in the declaration.
    pub column: usize,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

/// How a declared column and a schema disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The schema has no such field.
    Missing {
        /// The fields that it has.
        fields: Vec<String>,
    },
    /// The field's type does not become the column's without loss.
    Mismatch {
        /// The column's type.
        declared: Type,
        /// The type that would fit the schema; `None` if Flow has none.
        fits: Option<Type>,
        /// What the schema says.
        schema: String,
    },
    /// The column is NOT NULL, the field may be null.
    Nullable,
}

impl fmt::Display for DeclaredProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.problem {
            Problem::Missing { .. } => write!(f, "the schema has no field {name}"),
            Problem::Mismatch { declared, fits: Some(fits), .. } => write!(
                f,
                "{name} is declared {}, the schema's field is {}",
                declared.data, fits.data
            ),
            Problem::Mismatch { declared, fits: None, schema } => {
                write!(f, "{name} is declared {}, the schema's field is {schema}", declared.data)
            }
            Problem::Nullable => {
                write!(f, "{name} is declared NOT NULL, the schema's field may be null")
            }
        }
    }
}

/// Compares declared columns with a record schema, by name. Widening is fine, as is TIMESTAMP
/// for TIMESTAMP_LTZ and back.
pub fn check_declared(columns: &[Field], schema: &Schema) -> Vec<DeclaredProblem> {
    let fields: &[RecordField] = match schema {
        Schema::Record(record) => &record.fields,
        _ => &[],
    };
    let names = Names::of(schema);
    let mut problems = Vec::new();
    for (column, Field { name, ty }) in columns.iter().enumerate() {
        let problem = match fields.iter().find(|f| f.name == *name) {
            Some(field) => check_field(ty, &field.schema, schema, &names),
            None => {
                Some(Problem::Missing { fields: fields.iter().map(|f| f.name.clone()).collect() })
            }
        };
        if let Some(problem) = problem {
            problems.push(DeclaredProblem { column, name: name.clone(), problem });
        }
    }
    problems
}

fn check_field<'a>(
    declared: &Type,
    field: &'a Schema,
    whole: &'a Schema,
    names: &Names<'a>,
) -> Option<Problem> {
    let fits = type_of(field, names).ok();
    let lossless = match &fits {
        Some(fits) => keeps_digits(&declared.data, &fits.data),
        None => true,
    };
    if !lossless || !readable(field, whole, &declared.with_nullable(true)) {
        let (declared, schema) = (declared.clone(), describe(names.resolve(field)));
        return Some(Problem::Mismatch { declared, fits, schema });
    }
    let may_be_null = fits.is_some_and(|fits| fits.nullable);
    (may_be_null && !declared.nullable).then_some(Problem::Nullable)
}

/// Whether a DECIMAL column keeps all digits of the schema's decimal, also inside containers.
fn keeps_digits(declared: &DataType, schema: &DataType) -> bool {
    match (declared, schema) {
        (
            DataType::Decimal { precision, scale },
            DataType::Decimal { precision: from_precision, scale: from_scale },
        ) => scale >= from_scale && precision - scale >= from_precision - from_scale,
        (DataType::Array(a), DataType::Array(b)) => keeps_digits(&a.data, &b.data),
        (DataType::Map(_, a), DataType::Map(_, b)) => keeps_digits(&a.data, &b.data),
        (DataType::Row(a), DataType::Row(b)) => a.iter().all(|field| {
            let other = b.iter().find(|f| f.name == field.name);
            other.is_none_or(|other| keeps_digits(&field.ty.data, &other.ty.data))
        }),
        _ => true,
    }
}
