//! Colours for what is typed.

use std::ops::Range;

use flow_compiler::syntax::{TokenKind, tokens};
use nu_ansi_term::{Color, Style};
use reedline::{Highlighter, StyledText};

use super::help::keywords;

/// Colours the language and the shell's commands.
pub(super) struct Colours;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Keyword,
    Function,
    Text,
    Number,
    Comment,
    Command,
    Other,
}

impl Highlighter for Colours {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        for (range, kind) in pieces(line) {
            styled.push((style(kind), line.get(range).unwrap_or("").to_string()));
        }
        styled
    }
}

fn style(kind: Kind) -> Style {
    match kind {
        Kind::Keyword => Style::new().fg(Color::Blue).bold(),
        Kind::Function => Style::new().fg(Color::Cyan),
        Kind::Text => Style::new().fg(Color::Green),
        Kind::Number => Style::new().fg(Color::Magenta),
        Kind::Comment => Style::new().dimmed(),
        Kind::Command => Style::new().fg(Color::Yellow),
        Kind::Other => Style::new(),
    }
}

/// The text cut into pieces of one kind, in order, all of it.
fn pieces(text: &str) -> Vec<(Range<usize>, Kind)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    if text.starts_with('\\') {
        at = text.find(char::is_whitespace).unwrap_or(text.len());
        pieces.push((0..at, Kind::Command));
    }
    for token in tokens(text) {
        if token.start < at {
            continue;
        }
        between(text, at..token.start, &mut pieces);
        pieces.push((token.start..token.end, kind(text, token.kind, token.start..token.end)));
        at = token.end;
    }
    between(text, at..text.len(), &mut pieces);
    pieces
}

/// What stands between tokens: comments, semicolons and blanks.
fn between(text: &str, range: Range<usize>, pieces: &mut Vec<(Range<usize>, Kind)>) {
    if range.is_empty() {
        return;
    }
    let is_comment = text.get(range.clone()).is_some_and(|t| t.contains("--") || t.contains("/*"));
    pieces.push((range, if is_comment { Kind::Comment } else { Kind::Other }));
}

fn kind(text: &str, token: TokenKind, range: Range<usize>) -> Kind {
    let word = text.get(range.clone()).unwrap_or("");
    match token {
        TokenKind::String | TokenKind::QuotedName => Kind::Text,
        TokenKind::Number => Kind::Number,
        TokenKind::Symbol => Kind::Other,
        TokenKind::Word => {
            let upper = word.to_ascii_uppercase();
            let behind = text.get(range.end..).unwrap_or("").trim_start();
            if keywords().binary_search(&upper).is_ok() {
                Kind::Keyword
            } else if behind.starts_with('(') {
                Kind::Function
            } else {
                Kind::Other
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(&str, Kind)> {
        let pieces = pieces(text).into_iter();
        let all: Vec<_> = pieces.map(|(range, kind)| (&text[range], kind)).collect();
        assert_eq!(all.iter().map(|(text, _)| *text).collect::<String>(), text);
        all.into_iter().filter(|(text, _)| !text.trim().is_empty()).collect()
    }

    #[test]
    fn the_language_has_its_colours() {
        use Kind::{Comment, Function, Keyword, Number, Other, Text};
        let found = shown("select upper('a'), 1 from t -- rest");
        let expected = [
            ("select", Keyword),
            ("upper", Function),
            ("(", Other),
            ("'a'", Text),
            (")", Other),
            (",", Other),
            ("1", Number),
            ("from", Keyword),
            ("t", Other),
            (" -- rest", Comment),
        ];
        assert_eq!(found, expected);
        assert_eq!(shown("\\watch 'open")[0], ("\\watch", Kind::Command));
    }

    #[test]
    fn no_byte_is_lost_whatever_is_typed() {
        for text in ["", "'", "/*", "\"é", "\\", "\\é 'x", "a;;-- é\n;b", "\u{1}", "e'\\'"] {
            shown(text);
        }
    }
}
