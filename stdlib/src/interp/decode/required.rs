//! NOT NULL columns: a row whose steps are done must have set them.

use flow_ir::row::{BatchBuilder, RowLayout};

/// The null bits that must be clear, and whose they are.
#[derive(Debug)]
pub(super) struct Required {
    /// (word of the row, bits)
    masks: Vec<(usize, u64)>,
    names: Vec<Box<str>>,
}

impl Required {
    /// The NOT NULL columns of a layout among those that `counts` picks.
    pub(super) fn new<'n>(
        layout: &RowLayout,
        names: impl Iterator<Item = &'n str>,
        counts: impl Fn(usize) -> bool,
    ) -> Self {
        let mut masks: Vec<(usize, u64)> = Vec::new();
        for (i, (column, ty)) in layout.columns().iter().zip(layout.types().iter()).enumerate() {
            if ty.nullable || !counts(i) {
                continue;
            }
            let word = column.null_word as usize;
            match masks.last_mut() {
                Some((last, mask)) if *last == word => *mask |= column.null_mask,
                Some(_) | None => masks.push((word, column.null_mask)),
            }
        }
        Self { masks, names: names.map(Into::into).collect() }
    }

    /// The first column of the open row that is NULL and must not be.
    #[inline]
    pub(super) fn missing(&self, row: &mut BatchBuilder) -> Option<&str> {
        let open = row.open_row();
        let unset = self.masks.iter().find(|(word, mask)| open[*word] & mask != 0);
        let &(word, mask) = unset?;
        let bit = (open[word] & mask).trailing_zeros() as usize;
        let column = (word - 1) * 64 + bit;
        self.names.get(column).map(|name| &**name)
    }
}
