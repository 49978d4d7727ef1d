//! Where the lines of a statement break.
//!
//! A run of tokens that fits on the line stands on it. Else it breaks at the outermost places it
//! has, all of them; and where it has none, at the brackets that do not fit, whose content is set
//! in.

use super::Statement;
use super::marks::Break;

/// Columns by which a line is set in.
const INDENT_COLUMNS: usize = 2;

/// Text with a last line that is still growing.
#[derive(Default)]
pub(super) struct Line {
    out: String,
    /// Columns of the last line.
    column: usize,
    /// The next text begins a line, set in by so much, maybe with an empty line before.
    pending: Option<(usize, bool)>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What comes next begins a line.
    pub(super) fn end(&mut self, indent: usize, blank: bool) {
        let blank = blank || self.pending.is_some_and(|(_, blank)| blank);
        self.pending = Some((indent, blank));
    }

    pub(super) fn push(&mut self, text: &str) {
        if let Some((indent, blank)) = self.pending.take() {
            if !self.out.is_empty() {
                self.out.push_str(if blank { "\n\n" } else { "\n" });
            }
            self.out.extend(std::iter::repeat_n(' ', indent));
            self.column = indent;
        }
        self.out.push_str(text);
        match text.rsplit_once('\n') {
            Some((_, last)) => self.column = last.chars().count(),
            None => self.column += text.chars().count(),
        }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        // A text that is left as it is may end with a line break of its own.
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out
    }

    fn is_at_start(&self) -> bool {
        self.pending.is_some()
    }

    fn column(&self) -> usize {
        self.pending.map_or(self.column, |(indent, _)| indent)
    }
}

/// Prints one statement.
pub(super) struct Layout<'a> {
    statement: &'a Statement<'a>,
    line: &'a mut Line,
    /// Columns of a line at most.
    columns: usize,
    /// Columns of all tokens before a token, on one line.
    widths: Vec<usize>,
    /// How many tokens before a token, itself not, have a comment that ends the line.
    ended: Vec<usize>,
    /// How many tokens before a token, itself not, must begin a line.
    begun: Vec<usize>,
    /// A comment has ended the line.
    must_end: bool,
}

impl<'a> Layout<'a> {
    pub(super) fn new(statement: &'a Statement<'a>, line: &'a mut Line, columns: usize) -> Self {
        let count = statement.words.len();
        let mut all = Self {
            statement,
            line,
            columns,
            widths: vec![0],
            ended: vec![0],
            begun: vec![0],
            must_end: false,
        };
        for i in 0..count {
            let trailing = &statement.trailing[i];
            let comments: usize = trailing.iter().map(|c| c.text.chars().count() + 1).sum();
            let width = statement.words[i].chars().count() + usize::from(statement.spaced[i]);
            let is_group = statement.blank_before[i]
                && statement.marks.breaks[i].is_some_and(|kind| kind <= Break::Item);
            let begins = is_group
                || !statement.leading[i].is_empty()
                || (i > 0 && statement.marks.breaks[i] == Some(Break::Always));
            all.widths.push(all.widths[i] + width + comments);
            all.ended.push(all.ended[i] + usize::from(trailing.iter().any(|c| c.ends_line())));
            all.begun.push(all.begun[i] + usize::from(begins));
        }
        all
    }

    pub(super) fn print(mut self) {
        self.run(0, self.statement.words.len(), 0, false, 1);
    }

    /// Whether tokens fit on the line with `after` more columns.
    fn fits(&self, from: usize, to: usize, after: usize) -> bool {
        let none =
            |counts: &[usize], from: usize, to: usize| to <= from || counts[to] == counts[from];
        let width = self.widths[to] - self.widths[from];
        none(&self.begun, from + 1, to)
            && none(&self.ended, from, to - 1)
            && (!self.must_end || self.line.is_at_start())
            && self.line.column() + width + after <= self.columns
    }

    /// Prints tokens from `from` to before `to`; lines that it begins are set in by `indent`. Items
    /// of the content of brackets (`inside`) are not set in further.
    fn run(&mut self, from: usize, to: usize, indent: usize, inside: bool, after: usize) {
        if from >= to {
            return;
        }
        let places = self.top_level(from, to);
        let is_element = |i: &usize| self.statement.marks.breaks[*i] == Some(Break::Element);
        let breaks_anyway = inside && places.iter().any(is_element);
        if !breaks_anyway && self.fits(from, to, after) {
            return (from..to).for_each(|i| self.token(i, indent + INDENT_COLUMNS));
        }
        let kind_at = |i: &usize| self.statement.marks.breaks[*i];
        let outermost = places.iter().filter(|i| **i > from).filter_map(kind_at).min();
        let has_brackets = places.iter().any(|i| self.content(*i, to).is_some());
        match outermost {
            None => self.brackets(from, to, indent, after),
            Some(Break::Operator) if has_brackets => self.brackets(from, to, indent, after),
            Some(kind) => {
                let kind = kind.max(Break::Clause);
                let here = |i: &usize| *i > from && kind_at(i).is_some_and(|there| there <= kind);
                let starts: Vec<usize> = places.into_iter().filter(here).collect();
                self.split(from, to, &starts, (kind, indent, inside), after);
            }
        }
    }

    /// Breaks a run before each of `starts`.
    fn split(
        &mut self,
        from: usize,
        to: usize,
        starts: &[usize],
        (kind, indent, inside): (Break, usize, bool),
        after: usize,
    ) {
        let is_set_in = kind > Break::Item || (kind == Break::Item && !inside);
        let further = if is_set_in { indent + INDENT_COLUMNS } else { indent };
        let ends = starts.iter().copied().chain([to]);
        for (n, (start, end)) in [from].iter().chain(starts).copied().zip(ends).enumerate() {
            let own = if n == 0 { indent } else { further };
            if n > 0 {
                self.line.end(own, false);
            }
            self.run(start, end, own, false, if end == to { after } else { 0 });
        }
    }

    /// The tokens of a run that are inside none of its brackets.
    fn top_level(&self, from: usize, to: usize) -> Vec<usize> {
        let mut places = Vec::new();
        let mut i = from;
        while i < to {
            places.push(i);
            i = self.content(i, to).map_or(i + 1, |close| close);
        }
        places
    }

    /// Where what this token opens is closed, if there is something in it.
    fn content(&self, open: usize, to: usize) -> Option<usize> {
        self.statement.marks.close[open].filter(|close| *close < to && *close > open + 1)
    }

    /// Prints a run that may break in its brackets only.
    fn brackets(&mut self, from: usize, to: usize, indent: usize, after: usize) {
        let mut i = from;
        while i < to {
            self.token(i, indent + INDENT_COLUMNS);
            let Some(close) = self.content(i, to) else {
                i += 1;
                continue;
            };
            let places = self.top_level(close, to);
            let next = places.into_iter().find(|at| self.content(*at, to).is_some());
            let (end, after) = next.map_or((to, after), |open| (open + 1, 0));
            if self.fits(i + 1, close + 1, after + self.widths[end] - self.widths[close + 1])
                && self.ended[i + 1] == self.ended[i]
                && self.begun[i + 2] == self.begun[i + 1]
            {
                (i + 1..=close).for_each(|at| self.token(at, indent + INDENT_COLUMNS));
            } else {
                self.block(i, close, indent);
            }
            i = close + 1;
        }
    }

    /// Prints the content of brackets on lines of its own, and the closing one.
    fn block(&mut self, open: usize, close: usize, indent: usize) {
        let inner = indent + INDENT_COLUMNS;
        let breaks = &self.statement.marks.breaks;
        let is_case =
            self.statement.words[open] == "CASE" && breaks[open + 1] != Some(Break::Element);
        let mut start = open + 1;
        if is_case {
            // The operand stands behind its CASE.
            let places = self.top_level(start, close);
            let first = places.into_iter().find(|i| breaks[*i] == Some(Break::Element));
            let end = first.unwrap_or(close);
            self.run(start, end, inner, false, 0);
            start = end;
        }
        self.line.end(inner, false);
        self.run(start, close, inner, true, 0);
        if self.statement.leading[close].is_empty() {
            self.line.end(indent, false);
        } else {
            self.comments_before(close, inner);
            self.line.end(indent, false);
        }
        self.word(close);
    }

    /// Prints a token; if a comment comes before it, it begins a line that is set in by `indent`.
    fn token(&mut self, i: usize, indent: usize) {
        if !self.statement.leading[i].is_empty() {
            let at_start = self.line.is_at_start();
            let indent = if at_start { self.line.column() } else { indent };
            self.comments_before(i, indent);
            self.line.end(indent, self.statement.blank_before[i]);
        } else if self.must_end && !self.line.is_at_start() {
            self.line.end(indent, false);
        }
        self.word(i);
    }

    /// The comments before a token, each on a line.
    fn comments_before(&mut self, i: usize, indent: usize) {
        for comment in &self.statement.leading[i] {
            self.line.end(indent, comment.blank_before);
            self.line.push(comment.text);
        }
    }

    /// A token and the comments behind it.
    fn word(&mut self, i: usize) {
        let statement = self.statement;
        self.must_end = false;
        if self.line.is_at_start() {
            if i > 0 && statement.blank_before[i] {
                let indent = self.line.column();
                self.line.end(indent, true);
            }
        } else if statement.spaced[i] || self.is_behind_comment(i) {
            self.line.push(" ");
        }
        self.line.push(&statement.words[i]);
        for comment in &statement.trailing[i] {
            self.line.push(" ");
            self.line.push(comment.text);
            self.must_end |= comment.ends_line();
        }
    }

    fn is_behind_comment(&self, i: usize) -> bool {
        i > 0 && !self.statement.trailing[i - 1].is_empty()
    }
}
