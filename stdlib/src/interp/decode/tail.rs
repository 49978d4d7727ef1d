//! The tail of a row has its values in the order of their columns, so that equal values are equal
//! words in whatever order they were read. Most plans read them so; what another one reads is put
//! in order at the row's end.

use flow_ir::decode_plan::{AvroOp, AvroStep, DecodePlan, JsonStep, Origin, PayloadPlan};
use flow_ir::row::{BatchBuilder, Column, RowLayout, RowRef, unpack_var, words_for};
use flow_ir::types::Slot;

/// Puts tails in order.
#[derive(Debug)]
pub(super) struct Tail {
    /// The variable columns, ascending.
    columns: Vec<(usize, Column)>,
    fixed_words: usize,
    scratch: Vec<u64>,
}

impl Tail {
    /// For the rows of a plan; `None` if they are in order as they are read.
    pub(super) fn of_plan(plan: &DecodePlan, layout: &RowLayout) -> Option<Self> {
        let mut order = Order::new(layout);
        for (i, column) in plan.columns.iter().enumerate() {
            if let Origin::Metadata(_) = column.origin {
                order.column(i as u32);
            }
        }
        for payload in [&plan.key, &plan.value] {
            match payload {
                PayloadPlan::Unread => {}
                PayloadPlan::Avro(avro) => order.avro(&avro.steps),
                PayloadPlan::Json(steps) => order.json(steps),
                PayloadPlan::Csv(plan) => {
                    plan.fields.iter().filter_map(|(_, c)| *c).for_each(|c| order.column(c));
                }
                PayloadPlan::Raw(columns) => columns.iter().for_each(|&c| order.column(c)),
            }
        }
        order.tail()
    }

    /// The same for the ROWs of a record.
    pub(super) fn of_record(steps: &[AvroStep], layout: &RowLayout) -> Option<Self> {
        let mut order = Order::new(layout);
        order.avro(steps);
        order.tail()
    }

    /// Puts the tail of the open row in order.
    pub(super) fn order(&mut self, row: &mut BatchBuilder) {
        let words = row.open_row();
        let mut end = self.fixed_words;
        let follows = |(_, column): &(usize, Column)| {
            if RowRef::new(words).is_null(*column) {
                return true;
            }
            let (offset, len) = unpack_var(words[column.word as usize]);
            let follows = offset == end * 8;
            end += words_for(len);
            follows
        };
        if self.columns.iter().all(follows) && end == words.len() {
            return;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(words);
        row.abandon();
        row.begin_with(self.scratch[..self.fixed_words].iter().copied());
        let from = RowRef::new(&self.scratch);
        for &(i, column) in &self.columns {
            if !from.is_null(column) {
                row.set_bytes(i, from.var(column));
            }
        }
    }
}

/// The order in which variable columns are set.
struct Order<'l> {
    layout: &'l RowLayout,
    /// The least column that may come next.
    next: u32,
    ascends: bool,
}

impl<'l> Order<'l> {
    fn new(layout: &'l RowLayout) -> Self {
        Self { layout, next: 0, ascends: true }
    }

    fn column(&mut self, column: u32) {
        if self.layout.column(column as usize).slot == Slot::Var {
            self.ascends &= column >= self.next;
            self.next = column + 1;
        }
    }

    fn avro(&mut self, steps: &[AvroStep]) {
        for step in steps {
            match &step.op {
                AvroOp::Skip(_) => {}
                AvroOp::Read(column, _) | AvroOp::Default(column, _) => self.column(*column),
                AvroOp::Peek(steps) => self.avro(steps),
                AvroOp::Union(branches) => {
                    let (before, mut last) = (self.next, self.next);
                    for branch in branches {
                        self.next = before;
                        self.avro(branch);
                        last = last.max(self.next);
                    }
                    self.next = last;
                }
            }
        }
    }

    fn json(&mut self, steps: &[JsonStep]) {
        for step in steps {
            match step {
                JsonStep::Column(column) => self.column(*column),
                JsonStep::Members(members) => members.iter().for_each(|m| self.json(&m.into)),
            }
        }
    }

    fn tail(self) -> Option<Tail> {
        let columns = self.layout.columns().iter().copied().enumerate();
        (!self.ascends).then(|| Tail {
            columns: columns.filter(|(_, column)| column.slot == Slot::Var).collect(),
            fixed_words: self.layout.fixed_words(),
            scratch: Vec::new(),
        })
    }
}
