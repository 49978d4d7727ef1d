//! Random delimited text: dialects, fields, and what a field's text tells of its value.

use flow_ir::csv::CsvDialect;
use flow_ir::decode_plan::csv_reads_as;
use flow_ir::types::{DataType, Field, Type};
use flow_ir::value::Value;

use crate::source::Source;
use crate::types::{any_type, scalar_type};

/// Literals for NULL, none of which is the text of a value that is no STRING.
const NULLS: [&str; 4] = ["", "\\N", "-", "null!"];

/// A dialect whose marks can be told apart.
pub fn dialect(s: &mut Source<'_>) -> CsvDialect {
    CsvDialect {
        delimiter: *s.pick(b",;\t|"),
        quote: (!s.once_in(4)).then(|| *s.pick(b"\"'")),
        escape: s.once_in(3).then_some(b'\\'),
        comments: s.once_in(4),
        header: false,
        null: s.once_in(2).then(|| (*s.pick(&NULLS)).to_string()),
        elements: (*s.pick(&[";", ",", "::"])).to_string(),
    }
}

/// Fields of types that delimited text has forms for.
pub fn fields(s: &mut Source<'_>) -> Vec<Field> {
    let mut fields = Vec::new();
    for i in 0..1 + s.below(6) {
        let ty = match s.below(6) {
            0 => Type { data: DataType::Array(Box::new(any_type(s, 0))), nullable: true },
            _ => Type { data: scalar_type(s), nullable: !s.once_in(3) },
        };
        if csv_reads_as(&ty.data) {
            fields.push(Field::new(format!("c{i}"), ty));
        }
    }
    fields
}

/// A value as it is read back, if the text tells it: an empty text is no value but of a STRING,
/// and the elements of an ARRAY are not told from what has their delimiter in it.
pub fn comes_back(value: &Value, ty: &DataType, dialect: &CsvDialect) -> Option<Value> {
    let is_null = |text: &str| dialect.null.as_deref() == Some(text);
    Some(match (value, ty) {
        (Value::Null, DataType::String) if dialect.null.is_none() => Value::String(String::new()),
        (Value::String(text), _) if is_null(text) => Value::Null,
        (Value::Bytes(bytes), _) if bytes.is_empty() => Value::Null,
        (Value::Array(_), _) => return None,
        (other, _) => other.clone(),
    })
}
