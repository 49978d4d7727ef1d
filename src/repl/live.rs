//! Results as they come: rows below each other, changes, or a table that is redrawn in place.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cell::{Cell, json_object};
use super::interrupt::is_stopped;
use super::screen::Screen;
use super::server::Column;
use super::table::{Table, cut};
use super::{Format, cell};

/// Rows that are kept for redrawing, at most.
const ROWS_MAX: usize = 1_000_000;

/// Lines of a table that are no rows: borders, head, and the line below.
const OTHER_LINES: usize = 6;

/// Moves the cursor up this many lines and clears what is below.
fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\u{1b}[{lines}A\r\u{1b}[J") }
}

/// How rows are shown as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Rows that are never taken back.
    Rows,
    /// Every change, with its sign.
    Changes,
    /// The result as it is now, redrawn in place.
    InPlace,
}

/// A result that is being shown.
pub(super) struct Live {
    columns: Vec<Column>,
    manner: Manner,
    format: Format,
    table: Option<Table>,
    /// The rows and how often each is there; only kept for `InPlace`.
    rows: BTreeMap<Vec<Cell>, i64>,
    /// Lines on the screen that the next drawing takes the place of.
    drawn: usize,
    /// Rows or changes that were shown.
    shown: u64,
    begun: bool,
}

impl Live {
    /// A result with these columns. Changes have a column more in front, with the sign.
    pub(super) fn new(columns: Vec<Column>, manner: Manner, format: Format) -> Self {
        Self {
            columns,
            manner,
            format,
            table: None,
            rows: BTreeMap::new(),
            drawn: 0,
            shown: 0,
            begun: false,
        }
    }

    /// Takes changes up. Whether somebody reads what is written.
    ///
    /// # Errors
    /// If more rows would have to be kept than is allowed.
    pub(super) fn take(
        &mut self,
        changes: &[(i64, Vec<Cell>)],
        screen: &mut Screen,
    ) -> Result<bool, String> {
        if self.manner != Manner::InPlace {
            return Ok(self.append(changes, screen));
        }
        self.keep(changes)?;
        Ok(true)
    }

    /// Takes a whole result in the place of what there was.
    ///
    /// # Errors
    /// As `take`.
    pub(super) fn replace(&mut self, rows: &[(i64, Vec<Cell>)]) -> Result<(), String> {
        self.rows.clear();
        self.keep(rows)
    }

    /// How rows are shown.
    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    fn keep(&mut self, changes: &[(i64, Vec<Cell>)]) -> Result<(), String> {
        for (weight, row) in changes {
            let count = self.rows.entry(row.clone()).or_default();
            *count = count.saturating_add(*weight);
            if *count == 0 {
                self.rows.remove(row);
            }
        }
        match self.rows.len() > ROWS_MAX {
            true => Err(format!(
                "the result has over {ROWS_MAX} rows, too many to redraw; `\\changelog on` shows \
                 its changes instead"
            )),
            false => Ok(()),
        }
    }

    /// Draws the result in the place of the last drawing. `note` is shown below it.
    pub(super) fn draw(&mut self, note: &str, screen: &mut Screen) {
        if self.manner != Manner::InPlace {
            return;
        }
        let size = screen.size();
        let space = size.rows.saturating_sub(OTHER_LINES).max(1);
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        let counts = self.rows.values().map(|n| u64::try_from(*n).unwrap_or(0));
        let all = counts.fold(0, u64::saturating_add);
        for (row, count) in &self.rows {
            let copies = usize::try_from(*count).unwrap_or(0).min(space - rows.len());
            rows.extend(std::iter::repeat_n(row.clone(), copies));
            if rows.len() == space {
                break;
            }
        }
        let mut text = super::table::table(&self.columns, &rows, screen.frame());
        let hidden = all.saturating_sub(rows.len() as u64);
        let mut below = count_of(all, "row");
        if hidden > 0 {
            let _ = write!(below, ", {hidden} of them not shown");
        }
        if !note.is_empty() {
            let _ = write!(below, " · {note}");
        }
        text.push_str(&cut(&below, size.columns.saturating_sub(1)));
        text.push('\n');
        screen.write(&format!("{}{text}", up(self.drawn)));
        self.drawn = text.lines().count();
        self.shown = all;
    }

    /// Ends the result: what is below the rows. The number of rows or changes.
    pub(super) fn end(&mut self, screen: &mut Screen) -> u64 {
        if self.manner != Manner::InPlace && self.format == Format::Table {
            if !self.begun {
                self.append(&[], screen);
            }
            if let Some(table) = &self.table {
                screen.write(&table.foot());
            }
        }
        self.shown
    }

    fn append(&mut self, changes: &[(i64, Vec<Cell>)], screen: &mut Screen) -> bool {
        let with_sign = self.manner == Manner::Changes;
        let mut rows: Vec<(i64, Vec<Cell>)> = Vec::with_capacity(changes.len());
        for (weight, row) in changes {
            if with_sign {
                rows.push((*weight, row.clone()));
                continue;
            }
            // A row may be there more often than there is memory for.
            let mut left = usize::try_from(*weight).unwrap_or(0);
            while left > 0 {
                let copies = left.min(ROWS_MAX);
                rows.extend(std::iter::repeat_n((1, row.clone()), copies));
                left -= copies;
                if left > 0 && (!self.write(std::mem::take(&mut rows), screen) || is_stopped()) {
                    return false;
                }
            }
        }
        self.write(rows, screen)
    }

    fn write(&mut self, rows: Vec<(i64, Vec<Cell>)>, screen: &mut Screen) -> bool {
        self.shown += rows.len() as u64;
        let text = match self.format {
            Format::Table => self.table_rows(rows, screen),
            Format::Json => rows.iter().map(|(weight, row)| self.json(*weight, row)).collect(),
            Format::Csv => self.csv(&rows),
        };
        self.begun = true;
        screen.write(&text)
    }

    fn table_rows(&mut self, rows: Vec<(i64, Vec<Cell>)>, screen: &Screen) -> String {
        let with_sign = self.manner == Manner::Changes;
        let rows: Vec<Vec<Cell>> = match with_sign {
            true => rows.into_iter().map(|(weight, row)| signed(weight, row)).collect(),
            false => rows.into_iter().map(|(_, row)| row).collect(),
        };
        let mut out = String::new();
        let columns = match with_sign {
            true => [&[sign_column()], self.columns.as_slice()].concat(),
            false => self.columns.clone(),
        };
        let table = self.table.get_or_insert_with(|| Table::new(&columns, screen.frame()));
        // Wider rows get a new head, so that nothing is cut off that would fit.
        if table.fit(&rows) || !self.begun {
            out.push_str(&table.head());
        }
        out.extend(rows.iter().map(|row| table.row(row)));
        out
    }

    fn json(&self, weight: i64, row: &[Cell]) -> String {
        let object = json_object(&self.columns, row);
        match self.manner {
            Manner::Changes => format!("{{\"weight\":{weight},\"row\":{object}}}\n"),
            Manner::Rows | Manner::InPlace => format!("{object}\n"),
        }
    }

    fn csv(&self, rows: &[(i64, Vec<Cell>)]) -> String {
        let with_sign = self.manner == Manner::Changes;
        let mut out = String::new();
        if !self.begun {
            let names = self.columns.iter().map(|c| cell::csv_field(&c.name));
            let names: Vec<String> =
                with_sign.then(|| "weight".to_string()).into_iter().chain(names).collect();
            let _ = writeln!(out, "{}", names.join(","));
        }
        for (weight, row) in rows {
            let sign = with_sign.then(|| weight.to_string());
            let fields: Vec<String> = sign.into_iter().chain(row.iter().map(Cell::csv)).collect();
            let _ = writeln!(out, "{}", fields.join(","));
        }
        out
    }
}

/// Rows that are all there: in a format, with everything around them.
pub(super) fn whole(
    columns: &[Column],
    rows: &[Vec<Cell>],
    format: Format,
    screen: &mut Screen,
) -> u64 {
    let mut live = Live::new(columns.to_vec(), Manner::Rows, format);
    let changes: Vec<(i64, Vec<Cell>)> = rows.iter().map(|row| (1, row.clone())).collect();
    live.append(&changes, screen);
    live.end(screen)
}

/// `1 row`, `2 rows`.
pub(super) fn count_of(count: u64, what: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {what}{ending}")
}

fn sign_column() -> Column {
    Column { name: String::new(), ty: "STRING".into() }
}

fn signed(weight: i64, row: Vec<Cell>) -> Vec<Cell> {
    let sign = match weight {
        1 => "+".to_string(),
        -1 => "-".to_string(),
        more => format!("{more:+}"),
    };
    std::iter::once(Cell::Text(sign)).chain(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Written;
    use super::*;

    fn columns() -> Vec<Column> {
        [("k", "STRING"), ("n", "BIGINT")]
            .map(|(name, ty)| Column { name: name.into(), ty: ty.into() })
            .into()
    }

    fn row(k: &str, n: i64) -> Vec<Cell> {
        vec![Cell::text(k), Cell::Number(n.to_string())]
    }

    fn show(manner: Manner, format: Format, changes: &[&[(i64, Vec<Cell>)]]) -> String {
        let (mut screen, written) = Written::screen();
        let mut live = Live::new(columns(), manner, format);
        for changes in changes {
            assert!(live.take(changes, &mut screen).unwrap());
            live.draw("", &mut screen);
        }
        live.end(&mut screen);
        written.out()
    }

    #[test]
    fn rows_come_below_each_other_and_a_wider_one_brings_a_new_head() {
        let text =
            show(Manner::Rows, Format::Table, &[&[(1, row("a", 1))], &[(2, row("long", 100))]]);
        let expected = " k | n\n---+---\n a | 1\n k    |   n\n------+-----\n long | 100\n \
                        long | 100\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn changes_have_their_sign() {
        let changes: &[(i64, Vec<Cell>)] = &[(-1, row("a", 1)), (1, row("a", 2)), (2, row("b", 0))];
        let text = show(Manner::Changes, Format::Table, &[changes]);
        assert_eq!(text, "    | k | n\n----+---+---\n -  | a | 1\n +  | a | 2\n +2 | b | 0\n");
        let text = show(Manner::Changes, Format::Csv, &[changes]);
        assert_eq!(text, "weight,k,n\n-1,a,1\n1,a,2\n2,b,0\n");
        let text = show(Manner::Changes, Format::Json, &[&changes[..1]]);
        assert_eq!(text, "{\"weight\":-1,\"row\":{\"k\":\"a\",\"n\":1}}\n");
    }

    #[test]
    fn an_empty_result_has_its_head() {
        assert_eq!(show(Manner::Rows, Format::Table, &[]), " k | n\n---+---\n");
    }

    #[test]
    fn a_table_in_place_takes_the_place_of_the_last_and_forgets_what_is_gone() {
        let text = show(
            Manner::InPlace,
            Format::Table,
            &[
                &[(1, row("b", 1)), (1, row("a", 2))],
                &[(-1, row("b", 1)), (1, row("b", 5)), (-1, row("a", 2))],
            ],
        );
        let expected = " k | n\n---+---\n a | 2\n b | 1\n2 rows\n\u{1b}[5A\r\u{1b}[J k | n\n\
                        ---+---\n b | 5\n1 row\n";
        assert_eq!(text, expected);
    }
}
