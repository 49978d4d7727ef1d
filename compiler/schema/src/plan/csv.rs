//! The delimited text of a stream: its dialect from the options, its fields from the columns.

use flow_ir::csv::CsvDialect;
use flow_ir::decode_plan::Origin;
use flow_ir::physical::Stream;

use super::CsvFormat;

/// How a stream's options say that a side's text is written, `key` or `value`. An option with the
/// side's name before it wins over one without.
///
/// # Errors
/// The option that is of no use, and what it takes.
pub fn csv_dialect(stream: &Stream, side: &str) -> Result<CsvDialect, (String, &'static str)> {
    let option = |name: &str| {
        let own = stream.option(&format!("{side}.csv.{name}"));
        own.or_else(|| stream.option(&format!("csv.{name}")))
    };
    CsvDialect::of(option).map_err(|(name, takes)| (format!("csv.{name}"), takes))
}

/// The text of a stream's keys or values. A value has all columns of the record in order, also
/// those that are read from the key, unless the options leave them out.
///
/// # Errors
/// Names the option that is of no use.
pub fn csv_format(stream: &Stream, side: &str) -> Result<CsvFormat, String> {
    let dialect =
        csv_dialect(stream, side).map_err(|(name, takes)| format!("'{name}' takes {takes}"))?;
    let columns = stream.columns.iter();
    let names = if side == "key" {
        let mut columns: Vec<_> = columns.enumerate().collect();
        let place = |at: usize| stream.primary_key.iter().position(|&key| key == at);
        columns.sort_by_key(|(at, _)| place(*at));
        let path = columns.into_iter().filter_map(|(_, c)| match &c.origin {
            Origin::Key(path) => path.first().cloned(),
            Origin::Value(_) | Origin::Metadata(_) => None,
        });
        path.collect()
    } else {
        let in_value = columns.enumerate().filter(|(at, _)| stream.in_value(*at));
        in_value.map(|(_, column)| column.name.clone()).collect()
    };
    Ok(CsvFormat { dialect, names })
}
