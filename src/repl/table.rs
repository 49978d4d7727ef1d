//! Tables of text: columns as wide as what is in them, numbers to the right, cut to the terminal
//! with an ellipsis. Widths are columns of the terminal, not characters.
//!
//! Always holds: no line is wider than the frame allows, unless the columns cannot be narrower.

use nu_ansi_term::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::cell::Cell;
use super::server::Column;

/// No column is cut to less, in columns of the terminal.
const WIDTH_MIN: usize = 4;

/// What stands in the place of what is cut off.
const ELLIPSIS: char = '…';

/// How a table is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Lines around it, and values that stand out by their style.
    pub(super) terminal: bool,
    /// Columns of the terminal; `None`: as wide as it comes.
    pub(super) width: Option<usize>,
    /// Whether colours may be used.
    pub(super) colour: bool,
}

/// A table under way: its columns and their widths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    names: Vec<String>,
    right: Vec<bool>,
    widths: Vec<usize>,
    frame: Frame,
}

/// The lines between rows.
#[derive(Clone, Copy)]
enum Rule {
    Top,
    Middle,
    Bottom,
}

/// The whole table as text, a line break behind each line.
pub(super) fn table(columns: &[Column], rows: &[Vec<Cell>], frame: Frame) -> String {
    let mut table = Table::new(columns, frame);
    table.fit(rows);
    let mut out = table.head();
    out.extend(rows.iter().map(|row| table.row(row)));
    out.push_str(&table.foot());
    out
}

/// Whether values of a type stand to the right.
fn is_number(ty: &str) -> bool {
    let word = ty.split([' ', '(']).next().unwrap_or("");
    matches!(
        word,
        "TINYINT" | "SMALLINT" | "INT" | "INTEGER" | "BIGINT" | "REAL" | "DOUBLE" | "DECIMAL"
    )
}

/// Columns of the terminal that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

impl Table {
    /// A table that is as wide as its head.
    pub(super) fn new(columns: &[Column], frame: Frame) -> Self {
        let names: Vec<String> =
            columns.iter().map(|c| Cell::text(c.name.as_str()).shown()).collect();
        let widths = names.iter().map(|name| width(name)).collect();
        let right = columns.iter().map(|c| is_number(&c.ty)).collect();
        Self { names, right, widths, frame }
    }

    /// Makes room for these rows too. Whether a width has changed.
    pub(super) fn fit(&mut self, rows: &[Vec<Cell>]) -> bool {
        let mut wanted = self.widths.clone();
        for row in rows {
            for (wanted, cell) in wanted.iter_mut().zip(row) {
                *wanted = (*wanted).max(width(&cell.shown()));
            }
        }
        if let Some(total) = self.frame.width {
            // Each column has a border or gap of three before it; the last border is one more.
            let borders = 3 * wanted.len() + 1;
            cut_to(&mut wanted, total.saturating_sub(borders));
        }
        std::mem::replace(&mut self.widths, wanted) != self.widths
    }

    /// The lines above the rows.
    pub(super) fn head(&self) -> String {
        let mut out = String::new();
        if self.frame.terminal {
            out.push_str(&self.rule(Rule::Top));
        }
        let bold = Style::new().bold();
        let names = self.names.iter().zip(&self.widths).zip(&self.right);
        let names = names.map(|((name, width), right)| (set(name, *width, *right), Some(bold)));
        out.push_str(&self.line(names));
        out.push_str(&self.rule(Rule::Middle));
        out
    }

    /// One row.
    pub(super) fn row(&self, row: &[Cell]) -> String {
        let cells = row.iter().zip(&self.widths).zip(&self.right).map(|((cell, width), right)| {
            let style = (*cell == Cell::Null).then(|| Style::new().dimmed().italic());
            (set(&cell.shown(), *width, *right), style)
        });
        self.line(cells)
    }

    /// The lines below the rows.
    pub(super) fn foot(&self) -> String {
        if self.frame.terminal { self.rule(Rule::Bottom) } else { String::new() }
    }

    fn line(&self, cells: impl Iterator<Item = (String, Option<Style>)>) -> String {
        let styled = |(text, style): (String, Option<Style>)| match style {
            Some(style) if self.frame.colour => style.paint(text).to_string(),
            Some(_) | None => text,
        };
        let cells: Vec<String> = cells.map(styled).collect();
        match self.frame.terminal {
            true => format!("│ {} │\n", cells.join(" │ ")),
            false => format!("{}\n", format!(" {}", cells.join(" | ")).trim_end()),
        }
    }

    fn rule(&self, rule: Rule) -> String {
        let bars = |dash: &str, cross: &str| {
            let bars: Vec<String> = self.widths.iter().map(|w| dash.repeat(w + 2)).collect();
            bars.join(cross)
        };
        match (self.frame.terminal, rule) {
            (true, Rule::Top) => format!("┌{}┐\n", bars("─", "┬")),
            (true, Rule::Middle) => format!("├{}┤\n", bars("─", "┼")),
            (true, Rule::Bottom) => format!("└{}┘\n", bars("─", "┴")),
            (false, _) => format!("{}\n", bars("-", "+")),
        }
    }
}

/// Makes the widest columns narrower until all fit into a total.
fn cut_to(widths: &mut [usize], total: usize) {
    let sum = |cap: usize| widths.iter().map(|w| (*w).min(cap)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or(0);
    if sum(widest) <= total {
        return;
    }
    let caps: Vec<usize> = (WIDTH_MIN..widest).collect();
    let fitting = caps.partition_point(|cap| sum(*cap) <= total);
    let cap = WIDTH_MIN + fitting.saturating_sub(1);
    let mut left = total.saturating_sub(sum(cap));
    for width in widths.iter_mut().filter(|w| **w > cap) {
        let more = usize::from(left > 0);
        left -= more;
        *width = cap + more;
    }
}

/// Text in a field: cut where it is too wide, blanks where it is too narrow.
fn set(text: &str, field: usize, right: bool) -> String {
    let text = cut(text, field);
    let blanks = " ".repeat(field.saturating_sub(width(&text)));
    if right { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}

/// The beginning of a text that fits, with an ellipsis if it is not all.
pub(super) fn cut(text: &str, field: usize) -> String {
    if width(text) <= field {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= field {
            break;
        }
        out.push(c);
    }
    out.push(ELLIPSIS);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Frame = Frame { terminal: false, width: None, colour: false };

    fn columns(columns: &[(&str, &str)]) -> Vec<Column> {
        columns.iter().map(|(name, ty)| Column { name: (*name).into(), ty: (*ty).into() }).collect()
    }

    fn rows(rows: &[&[&str]]) -> Vec<Vec<Cell>> {
        rows.iter().map(|row| row.iter().map(|json| Cell::read(json)).collect()).collect()
    }

    #[test]
    fn a_terminal_has_borders_numbers_to_the_right_and_widths_of_what_is_seen() {
        let columns = columns(&[("name", "STRING"), ("n", "BIGINT NOT NULL")]);
        let rows = rows(&[&["\"日本\"", "1"], &["null", "-20"], &["\"e\u{301}é\"", "3"]]);
        let frame = Frame { terminal: true, width: Some(40), colour: false };
        let expected = "\
┌──────┬─────┐
│ name │   n │
├──────┼─────┤
│ 日本 │   1 │
│ NULL │ -20 │
│ e\u{301}é   │   3 │
└──────┴─────┘
";
        assert_eq!(table(&columns, &rows, frame), expected);
    }

    #[test]
    fn a_pipe_has_no_borders_and_no_blanks_at_the_ends_of_lines() {
        let columns = columns(&[("a", "INT"), ("b", "STRING")]);
        let expected = "  a | b\n----+----\n  1 | xy\n 22 |\n";
        let rows = rows(&[&["1", "\"xy\""], &["22", "\"\""]]);
        assert_eq!(table(&columns, &rows, PLAIN), expected);
    }

    #[test]
    fn wide_values_are_cut_to_the_terminal_the_widest_first() {
        let columns = columns(&[("k", "STRING"), ("text", "STRING"), ("more", "STRING")]);
        let long = format!("\"{}\"", "日".repeat(30));
        let rows = rows(&[&["\"key\"", &long, "\"0123456789abcdef\""]]);
        let frame = Frame { terminal: true, width: Some(40), colour: false };
        let text = table(&columns, &rows, frame);
        for line in text.lines() {
            assert_eq!(width(line), 40, "{line}");
        }
        assert!(text.contains("│ key │") && text.contains('…'), "{text}");
    }

    #[test]
    fn null_stands_out_where_colours_are() {
        let columns = columns(&[("a", "STRING")]);
        let frame = Frame { terminal: true, width: None, colour: true };
        let text = table(&columns, &rows(&[&["null"], &["\"NULL\""]]), frame);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].contains("\u{1b}[2;3mNULL"), "{:?}", lines[3]);
        assert_eq!(lines[4], "│ NULL │");
    }

    #[test]
    fn a_table_under_way_grows_with_its_rows_and_not_without() {
        let mut table = Table::new(&columns(&[("a", "STRING")]), PLAIN);
        assert!(table.fit(&rows(&[&["\"abc\""]])));
        assert!(!table.fit(&rows(&[&["\"ab\""]])));
        assert_eq!(table.row(&rows(&[&["\"ab\""]])[0]), " ab\n");
    }

    #[test]
    fn many_columns_on_a_narrow_terminal_are_as_narrow_as_they_may_be() {
        let mut widths = vec![10; 8];
        cut_to(&mut widths, 12);
        assert_eq!(widths, [WIDTH_MIN; 8]);
        let mut widths = vec![3, 20, 9];
        cut_to(&mut widths, 20);
        assert_eq!(widths.iter().sum::<usize>(), 20);
        assert_eq!(widths[0], 3);
    }
}
