//! Text of other people for a terminal: names in their programs, what their jobs log, messages of
//! servers. What a terminal would obey, or hide, is shown as an escape.

use std::borrow::Cow;

/// A text in one line.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !c.is_control())
}

/// A text whose lines and tabs stay what they are.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !c.is_control() || matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, is_plain: impl Fn(char) -> bool) -> Cow<'_, str> {
    let stays = |c: char| is_plain(c) && !turns_direction(c);
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if stays(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// Characters that change in which direction text behind them is shown.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_shown() {
        let text = "a\tb\r\n\u{1b}[2J\u{9b}0m\u{7f}\u{202e}ä";
        assert_eq!(line(text), "a\\tb\\r\\n\\u{1b}[2J\\u{9b}0m\\u{7f}\\u{202e}ä");
        assert_eq!(lines(text), "a\tb\\r\n\\u{1b}[2J\\u{9b}0m\\u{7f}\\u{202e}ä");
        assert!(matches!(lines("a\n\tb"), Cow::Borrowed(_)));
    }
}
