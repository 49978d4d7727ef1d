//! Accumulators of many groups updated by bids: the aggregates of Nexmark's q17 over a price and
//! the conditions of three filters, each bid in the block of its auction.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use flow_ir::aggregate::AggregateCall;
use flow_ir::kernel::{Blocks, KernelFactory};
use flow_ir::row::{BatchBuilder, RowBatch, RowLayout};
use flow_ir::types::{DataType, Type};
use flow_stdlib::aggregates;

use super::bids::{BATCH, Random, bid};

/// Groups.
const AUCTIONS: u64 = 10_000;

/// The aggregates of q17; column 0 is the price, the filters follow.
fn calls() -> Vec<AggregateCall> {
    let (number, average) = (Type::not_null(DataType::BigInt), Type::nullable(DataType::Double));
    let count = |filter| AggregateCall {
        filter,
        ..AggregateCall::new("COUNT", Vec::new(), Vec::new(), number.clone())
    };
    let of_price = |function, ty| AggregateCall::new(function, vec![0], vec![number.clone()], ty);
    let price = number.with_nullable(true);
    vec![
        count(None),
        count(Some(1)),
        count(Some(2)),
        count(Some(3)),
        of_price("MIN", price.clone()),
        of_price("MAX", price.clone()),
        of_price("AVG", average),
        of_price("SUM", price),
    ]
}

/// A batch of bids and the numbers of their auctions.
fn bids(layout: &Arc<RowLayout>) -> (RowBatch, Vec<u32>) {
    let mut random = Random::new();
    let (mut out, mut auctions) = (BatchBuilder::new(layout.clone()), Vec::new());
    for number in 0..BATCH {
        let bid = bid(number as u64, &mut random);
        auctions.push((bid.auction % AUCTIONS) as u32);
        out.begin();
        out.set_i64(0, bid.price as i64);
        let ranks = [0..10_000, 10_000..1_000_000, 1_000_000..u64::MAX];
        for (i, rank) in ranks.iter().enumerate() {
            out.set_word(1 + i, u64::from(rank.contains(&bid.price)));
        }
        out.finish(1);
    }
    (out.take(), auctions)
}

/// A pass that adds a batch of bids again and again, `rows` rows in all.
pub(crate) fn accumulating(factory: &dyn KernelFactory, rows: usize) -> io::Result<impl FnMut()> {
    let mut input = vec![Type::not_null(DataType::BigInt)];
    input.resize(4, Type::not_null(DataType::Boolean));
    let program = aggregates::adding(&calls(), &input).map_err(io::Error::other)?;
    let mut updater = factory.updater(&program).map_err(|e| io::Error::other(e.0))?;
    let (batch, places) = bids(&Arc::new(RowLayout::new(input)));
    let picks: Vec<u32> = (0..batch.len() as u32).collect();
    let layout = RowLayout::new(program.state);
    let mut block = vec![0; layout.fixed_words()];
    for column in layout.columns() {
        block[column.null_word as usize] |= column.null_mask;
    }
    let mut words = block.repeat(AUCTIONS as usize);
    Ok(move || {
        for _ in 0..rows.div_ceil(batch.len()) {
            let mut blocks = Blocks { layout: &layout, words: &mut words, places: &places };
            updater.update(&batch, &picks, &mut blocks);
            black_box(&words);
        }
    })
}
