//! Names of SELECT's items in its other items, in WHERE and in what groups and sorts its rows. A
//! column of that name comes first. The name stands for what the item is.

use flow_ir::expr::Expr;

use super::Checker;
use super::scope::{Found, find};
use crate::diagnostics::plans;
use crate::exprs::is_repeatable;
use crate::syntax::ast::{self, Ident};

/// The item of SELECT with this name; an exact match wins.
pub(super) fn alias(aliases: &[(&Ident, &ast::Expr)], name: &str) -> Option<usize> {
    match find(name, aliases.iter().map(|(ident, _)| ident.text.as_str())) {
        Found::One(at) => Some(at),
        Found::None | Found::Many(_) => None,
    }
}

impl Checker<'_> {
    /// What an item is where another one names it; refused where it would be another value there.
    pub(super) fn again(&mut self, value: Expr, place: &str, name: &Ident) -> Option<Expr> {
        if is_repeatable(&value) || !matches!(place, "SELECT" | "WHERE") {
            return Some(value);
        }
        let what = format!("{name}, which differs each time, in another item");
        let instead = "Give it its name in a query in FROM.";
        self.report(plans::not_available(&what, name.span, Some(instead)))
    }
}
