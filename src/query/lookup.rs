//! Rows of one view by the values of some columns, without SQL: read by key or index where one
//! begins with these columns.

use std::ops::{Bound, ControlFlow};
use std::time::Instant;

use flow_ir::physical::KeyRange;
use flow_ir::row::{BatchBuilder, KeyEncoder};
use flow_ir::types::{Field, Type};
use flow_ir::value::Value;
use flow_runtime::view::ViewSpec;
use flow_stdlib::builder::ScalarBuilder;
use flow_stdlib::interp::eval;

use super::answer::{Answer, Position, Shown};
use super::{Offer, Unanswered, in_time};

/// The rows, at most `limit`, whose columns have these values, each given as text.
///
/// # Errors
/// See `Unanswered`.
pub fn lookup(
    offer: &Offer,
    view: &str,
    wanted: &[(String, String)],
    limit: usize,
    deadline: Instant,
) -> Result<Answer, Unanswered> {
    let began = Instant::now();
    let place = offer.store.find(view)?;
    let spec = &offer.store.specs()[place];
    let wanted: Vec<(usize, Value)> =
        wanted.iter().map(|(name, text)| value(spec, name, text)).collect::<Result<_, _>>()?;
    let range = range(spec, &wanted);
    let filters: Vec<(KeyEncoder, Vec<u8>)> = wanted
        .iter()
        .map(|(column, value)| {
            let encoder = KeyEncoder::new(spec.layout(), &[*column]);
            (encoder, KeyEncoder::value_bytes(value, &spec.columns[*column].ty))
        })
        .collect();
    let mut found = BatchBuilder::new(spec.layout().clone());
    let (mut late, mut key) = (None, Vec::new());
    let at = offer.store.read(|snapshot| {
        snapshot.scan(place, range.as_slice(), |rows| {
            for (index, row) in rows.rows().enumerate() {
                let fits = filters.iter().all(|(encoder, value)| {
                    key.clear();
                    encoder.append(row, &mut key);
                    key == *value
                });
                let copies = if fits { rows.weight(index).max(0) as u64 } else { 0 };
                for _ in 0..copies.min((limit - found.len()) as u64) {
                    found.push_row(row, 1);
                }
            }
            late = in_time(deadline).err();
            match late.is_some() || found.len() >= limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(Position::of(&offer.job, snapshot.at()))
    })?;
    if let Some(late) = late {
        return Err(late);
    }
    let mut shown = Shown::new(&spec.columns, spec.columns.len())?;
    let rows = shown.rows(&found.take())?.into_iter().map(|(_, row)| row).collect();
    let elapsed_micros = began.elapsed().as_micros() as u64;
    Ok(Answer { columns: shown.columns, rows, at: vec![at], elapsed_micros })
}

/// A column of a view and the value that a text is in its type.
fn value(spec: &ViewSpec, name: &str, text: &str) -> Result<(usize, Value), Unanswered> {
    let exact = |c: &Field| c.name == name;
    let blind = |c: &Field| c.name.eq_ignore_ascii_case(name);
    let place = spec.columns.iter().position(exact);
    let place = place.or_else(|| spec.columns.iter().position(blind)).ok_or_else(|| {
        let columns: Vec<&str> = spec.columns.iter().map(|c| c.name.as_str()).collect();
        let message = format!("view {} has no column {name}", spec.name);
        Unanswered::Refused(message, Some(format!("It has {}.", columns.join(", "))))
    })?;
    let ty = &spec.columns[place].ty;
    let told = |why: &str| Unanswered::Refused(format!("{name}: {text:?} is no {ty}: {why}"), None);
    let mut program = ScalarBuilder::new(Vec::new());
    let given = program.text(text);
    let cast = match ty.data == flow_ir::types::DataType::String {
        true => given,
        false => program.cast(given, &Type::nullable(ty.data.clone())),
    };
    let value = eval(&program.finish(), cast, &[], 0).map_err(|e| told(e.code.message()))?;
    Ok((place, value))
}

/// The order that begins with the most of these columns, and where in it their values lie.
fn range(spec: &ViewSpec, wanted: &[(usize, Value)]) -> Option<KeyRange> {
    let value = |column: &usize| wanted.iter().find(|(c, _)| c == column).map(|(_, v)| v.clone());
    let equal = |keys: &[usize]| keys.iter().map_while(value).collect::<Vec<Value>>();
    let best = spec.orders.iter().rev().max_by_key(|order| {
        let columns = equal(&order.keys).len();
        // A whole hash finds one place; a part of it must be looked for in all.
        (columns >= order.hashed, columns)
    })?;
    let equal = equal(&best.keys);
    let (from, to) = (Bound::Unbounded, Bound::Unbounded);
    (!equal.is_empty()).then(|| KeyRange { index: best.index.clone(), equal, from, to })
}
