//! A query over views, answered from one epoch of each job that it reads.

use std::ops::ControlFlow;
use std::time::Instant;

use flow_ir::types::Field;
use flow_runtime::query::{Arrangement, Query};
use flow_runtime::view::Snapshot;
use flow_runtime::world::{Clock, SystemClock};
use flow_stdlib::interp::Interpreter;

use super::answer::{Answer, Position, Shown};
use super::compile::Compiled;
use super::{ANSWER_ROWS_MAX, Offer, QUERY_MEMORY_BYTES, Unanswered, in_time};

/// Answers a query that reads only views. Computes on the caller's thread.
///
/// # Errors
/// See `Unanswered`.
pub fn once(compiled: &Compiled, deadline: Instant) -> Result<Answer, Unanswered> {
    let began = Instant::now();
    let now = SystemClock::default().now_micros();
    let mut query = Query::new(compiled.graph.clone(), &Interpreter, now, QUERY_MEMORY_BYTES)?;
    let enough = enough(compiled, &query);
    let mut at = Vec::new();
    for offer in &compiled.reads {
        at.push(read(&mut query, offer, enough, deadline)?);
    }
    let rows = query.step(now)?;
    in_time(deadline)?;
    let fields = fields(compiled);
    let mut shown = Shown::new(&fields, compiled.query.columns.len())?;
    let rows = arrangement(compiled).arrange(&rows, ANSWER_ROWS_MAX as u64).map_err(too_many)?;
    let rows = shown.rows(&rows)?.into_iter().map(|(_, row)| row).collect();
    let elapsed_micros = began.elapsed().as_micros() as u64;
    Ok(Answer { columns: shown.columns, rows, at, elapsed_micros })
}

/// What is said of an answer that is too long.
pub(super) fn too_many(rows: u64) -> Unanswered {
    Unanswered::Refused(
        format!("the answer has {rows} rows, more than the {ANSWER_ROWS_MAX} of one answer"),
        Some("Ask for a part of it with LIMIT, or SUBSCRIBE TO it.".into()),
    )
}

/// ORDER BY, OFFSET and LIMIT.
pub(super) fn arrangement(compiled: &Compiled) -> Arrangement {
    let query = &compiled.query;
    Arrangement { order: query.order.clone(), offset: query.offset, limit: query.limit }
}

/// The columns of the rows that a query gives: the visible ones, and those that order them.
pub(super) fn fields(compiled: &Compiled) -> Vec<Field> {
    let answer = compiled.graph.streams.iter().find(|s| s.connector == flow_ir::connector::ANSWER);
    let columns = answer.map_or(&[][..], |stream| &stream.columns);
    columns.iter().map(|c| Field::new(c.name.clone(), c.ty.clone())).collect()
}

/// Rows after which no more need be read; `None`: all must be.
fn enough(compiled: &Compiled, query: &Query) -> Option<u64> {
    let any = compiled.query.order.is_empty() && query.is_stateless();
    let limit = compiled.query.limit.filter(|_| any)?;
    limit.checked_add(compiled.query.offset)
}

/// Gives a query the rows of a job's views, all of one epoch.
pub(super) fn read(
    query: &mut Query,
    offer: &Offer,
    enough: Option<u64>,
    deadline: Instant,
) -> Result<Position, Unanswered> {
    let places = bind(query, offer)?;
    offer.store.read(|snapshot| {
        let fed = feed(query, &places, snapshot, enough, deadline);
        Ok(fed.map(|()| Position::of(&offer.job, snapshot.at())))
    })?
}

/// Gives a query the rows that its sources want of the views of a snapshot.
pub(super) fn feed(
    query: &mut Query,
    places: &[(usize, usize)],
    snapshot: &Snapshot<'_>,
    enough: Option<u64>,
    deadline: Instant,
) -> Result<(), Unanswered> {
    let mut fed = Ok(());
    for &(source, view) in places {
        let ranges = query.sources()[source].ranges().to_vec();
        snapshot.scan(view, &ranges, |rows| {
            fed = in_time(deadline)
                .and_then(|()| query.push(source, &rows).map_err(Unanswered::from));
            let full = enough.is_some_and(|rows| query.answered() as u64 >= rows);
            match fed.is_err() || full {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        fed.clone()?;
    }
    Ok(())
}

/// Binds the sources that read a job: source and number of the view.
pub(super) fn bind(query: &mut Query, offer: &Offer) -> Result<Vec<(usize, usize)>, Unanswered> {
    let mut places = Vec::new();
    for source in 0..query.sources().len() {
        if query.sources()[source].job != offer.job {
            continue;
        }
        let view = offer.store.find(&query.sources()[source].view)?;
        query.bind(source, &offer.store.specs()[view])?;
        places.push((source, view));
    }
    Ok(places)
}
