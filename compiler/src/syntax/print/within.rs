//! Spans of time behind FROM and JOIN as text.

use super::Printer;
use crate::syntax::ast::{JoinWithin, TimeWindow, TimeWindowKind};
use crate::syntax::pratt::Precedence;

impl Printer {
    pub(super) fn time_window(&mut self, window: &TimeWindow) {
        self.push(match window.kind {
            TimeWindowKind::Tumbling => "WINDOW TUMBLING (SIZE ",
            TimeWindowKind::Hopping => "WINDOW HOPPING (SIZE ",
            TimeWindowKind::Session => "WINDOW SESSION (",
        });
        self.expr(&window.size, Precedence::Lowest);
        let more = [
            (", ADVANCE BY ", &window.advance),
            (", RETENTION ", &window.retention),
            (", GRACE PERIOD ", &window.grace),
        ];
        for (words, length) in more {
            if let Some(length) = length {
                self.push(words);
                self.expr(length, Precedence::Lowest);
            }
        }
        self.push(")");
    }

    pub(super) fn join_within(&mut self, within: &JoinWithin) {
        self.push(" WITHIN ");
        match &within.after {
            Some(after) => {
                self.push("(");
                self.expr(&within.before, Precedence::Lowest);
                self.push(", ");
                self.expr(after, Precedence::Lowest);
                self.push(")");
            }
            None => self.expr(&within.before, Precedence::Lowest),
        }
        if let Some(grace) = &within.grace {
            self.push(" GRACE PERIOD ");
            self.expr(grace, Precedence::Lowest);
        }
    }
}
