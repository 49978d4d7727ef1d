//! The text between tokens: comments, and the line breaks around them.

/// A comment.
#[derive(Clone, Debug)]
pub(super) struct Comment<'a> {
    pub(super) text: &'a str,
    /// A line begins with it.
    pub(super) own_line: bool,
    /// An empty line stands before it.
    pub(super) blank_before: bool,
}

impl Comment<'_> {
    /// Whether what follows must stand on another line.
    pub(super) fn ends_line(&self) -> bool {
        self.text.starts_with("--") || self.text.contains('\n')
    }
}

/// What stands between two tokens.
#[derive(Clone, Debug, Default)]
pub(super) struct Gap<'a> {
    pub(super) comments: Vec<Comment<'a>>,
    /// An empty line stands before the token behind it.
    pub(super) blank_before: bool,
}

impl<'a> Gap<'a> {
    /// Reads a gap: blanks, semicolons and comments. The last comment may lack its end.
    pub(super) fn of(mut text: &'a str, at_start: bool) -> Self {
        let mut gap = Gap::default();
        let mut breaks = usize::from(at_start);
        while let Some(next) = text.chars().next() {
            let length = if text.starts_with("--") {
                text.find('\n').unwrap_or(text.len())
            } else if let Some(body) = text.strip_prefix("/*") {
                body.find("*/").map_or(text.len(), |at| at + "/**/".len())
            } else {
                breaks += usize::from(next == '\n');
                text = text.get(next.len_utf8()..).unwrap_or("");
                continue;
            };
            let (comment, rest) = text.split_at(length);
            gap.comments.push(Comment {
                text: comment.trim_end(),
                own_line: breaks > 0,
                blank_before: breaks > 1,
            });
            (breaks, text) = (0, rest);
        }
        gap.blank_before = breaks > 1;
        gap
    }

    /// Takes off the comments on the line of what stands before.
    pub(super) fn take_trailing(&mut self) -> Vec<Comment<'a>> {
        let own = self.comments.iter().position(|comment| comment.own_line);
        let rest = self.comments.split_off(own.unwrap_or(self.comments.len()));
        std::mem::replace(&mut self.comments, rest)
    }
}
