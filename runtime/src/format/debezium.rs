//! The envelope of `debezium-json`: `{"before":…,"after":…,"op":"c|u|d"}`.

/// A change whose rows are already JSON objects; at least one of them is there.
pub(crate) struct Debezium<'a> {
    /// The row that goes.
    pub(crate) before: Option<&'a [u8]>,
    /// The row that comes.
    pub(crate) after: Option<&'a [u8]>,
}

impl Debezium<'_> {
    /// Appends the envelope.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let op = match (self.before, self.after) {
            (Some(_), Some(_)) => b'u',
            (Some(_), None) => b'd',
            (None, _) => b'c',
        };
        out.extend_from_slice(b"{\"before\":");
        out.extend_from_slice(self.before.unwrap_or(b"null"));
        out.extend_from_slice(b",\"after\":");
        out.extend_from_slice(self.after.unwrap_or(b"null"));
        out.extend_from_slice(b",\"op\":\"");
        out.push(op);
        out.extend_from_slice(b"\"}");
    }
}

#[cfg(test)]
mod tests {
    use super::Debezium;

    #[test]
    fn the_operation_follows_from_the_rows() {
        let text = |before: Option<&str>, after: Option<&str>| {
            let (before, after) = (before.map(str::as_bytes), after.map(str::as_bytes));
            let mut out = Vec::new();
            Debezium { before, after }.write(&mut out);
            String::from_utf8(out).expect("JSON is text")
        };
        assert_eq!(text(None, Some("{}")), r#"{"before":null,"after":{},"op":"c"}"#);
        assert_eq!(text(Some("{}"), None), r#"{"before":{},"after":null,"op":"d"}"#);
        assert_eq!(text(Some("1"), Some("2")), r#"{"before":1,"after":2,"op":"u"}"#);
    }
}
