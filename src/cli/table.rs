//! Rows of text as columns below each other, or as CSV.

/// The rows below their head, as wide as need be.
pub(super) fn aligned<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_string);
    let all = || std::iter::once(&head).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        all().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>().trim_end().to_string() + "\n"
    };
    all().map(line).collect()
}

/// The rows as CSV with a head, whose names have no blanks.
pub(super) fn csv<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let cell = |cell: &String| match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |row: &[String; N]| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    let head = head.map(|name| name.replace(' ', "_"));
    std::iter::once(&head).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_string(), "1".to_string()], ["bcd".to_string(), String::new()]];
        assert_eq!(aligned(["n", "of it"], &rows), "n    of it\na    1\nbcd\n");
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        let rows = [["a,b".to_string(), "say \"c\"".to_string()]];
        assert_eq!(csv(["x y", "z"], &rows), "x_y,z\n\"a,b\",\"say \"\"c\"\"\"\n");
    }
}
