//! The call around a cursor: its function's argument lists, and which argument is being written.

use super::functions;
use super::place::Place;

/// A call that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function's argument lists.
    pub signatures: Vec<String>,
    /// What it gives, as Markdown.
    pub doc: String,
    /// The argument at the cursor, from 0.
    pub argument: u32,
}

/// The innermost call of a known function whose arguments a byte offset of a text is in.
pub fn call(text: &str, offset: usize) -> Option<Call> {
    let place = Place::at(text, offset)?;
    if place.in_comment() {
        return None;
    }
    let before = place.tokens.iter().take_while(|t| t.start < offset).count();
    let mut open = place.open_bracket(before)?;
    let function = loop {
        match functions::find(&place.word_before(open)) {
            Some(function) if !function.is_bare => break function,
            // Brackets inside an argument.
            Some(_) | None => open = place.open_bracket(open)?,
        }
    };
    let mut depth = 0usize;
    let mut argument = 0;
    for token in &place.tokens[open + 1..before] {
        match place.text_of(token) {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "," if depth == 0 => argument += 1,
            _ => {}
        }
    }
    Some(Call { signatures: function.signatures, doc: function.doc.to_string(), argument })
}
