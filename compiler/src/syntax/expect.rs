//! What can come next: the words that the grammar takes behind the beginning of a statement, and
//! the kinds of things. For completion; the grammar itself is asked, so a new construct is known
//! here without another line.

use std::collections::BTreeSet;
use std::sync::Mutex;

use pest::Parser;
use pest::error::{ErrorVariant, InputLocation};

use super::grammar::{FlowParser, Rule};

/// Longest beginning of a statement that is looked at, in bytes.
const TEXT_MAX_BYTES: usize = 256 << 10;
/// A character that no statement has, so that the parser stops there and says what it tried.
const STOP: char = '\u{1}';

/// What pest shows for a class of characters.
const NO_TOKEN: &str = "BUILTIN_RULE";

/// Kinds of things that can stand somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// An expression.
    Expression,
    /// A relation of FROM.
    Relation,
    /// A type.
    Type,
    /// A name; which kind of name the words before it tell.
    Name,
    /// A string.
    String,
    /// `'key' = value`.
    Option,
}

/// What can stand somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Keywords, in upper case.
    pub keywords: BTreeSet<String>,
    /// Kinds of things.
    pub things: BTreeSet<Thing>,
}

/// What can follow `text`, the beginning of one statement; nothing, if the text is wrong already.
pub fn expected(text: &str) -> Expected {
    if text.len() > TEXT_MAX_BYTES {
        return Expected::default();
    }
    let probe = format!("{text}{STOP}");
    let Err(error) = parse_in_detail(&probe) else { return Expected::default() };
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        return Expected::default();
    };
    if at != text.len() {
        return Expected::default();
    }
    let tokens = error.parse_attempts().map(|a| a.expected_tokens()).unwrap_or_default();
    Expected {
        keywords: tokens.iter().map(|t| t.to_string()).filter(|t| is_keyword(t)).collect(),
        things: positives.iter().filter_map(|rule| thing(*rule)).collect(),
    }
}

/// Parses with every token noted that was tried where the parse stopped. The switch for that is
/// one for the whole process: it is on for this parse only, since noting takes time; a parse on
/// another thread at the same moment only notes more.
fn parse_in_detail(text: &str) -> Result<(), Box<pest::error::Error<Rule>>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    pest::set_error_detail(true);
    let parsed = FlowParser::parse(Rule::piece, text);
    pest::set_error_detail(false);
    parsed.map(|_| ()).map_err(Box::new)
}

/// Whether a token, as pest shows it, is a word of the grammar.
fn is_keyword(token: &str) -> bool {
    token.len() > 1
        && token != NO_TOKEN
        && token.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

fn thing(rule: Rule) -> Option<Thing> {
    match rule {
        Rule::expr
        | Rule::arith
        | Rule::arg
        | Rule::call_args
        | Rule::prefix
        | Rule::constant
        | Rule::values_row
        | Rule::select_item
        | Rule::order_item
        | Rule::group_item => Some(Thing::Expression),
        Rule::table_ref | Rule::table_factor | Rule::table_paren => Some(Thing::Relation),
        Rule::data_type
        | Rule::bare_type
        | Rule::column_type
        | Rule::named_type
        | Rule::type_name
        | Rule::array_type => Some(Thing::Type),
        Rule::ident | Rule::object_name | Rule::ident_list => Some(Thing::Name),
        Rule::string => Some(Thing::String),
        Rule::option | Rule::option_key => Some(Thing::Option),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let words: Vec<String> = expected(text).keywords.into_iter().collect();
        words.join(" ")
    }

    #[test]
    fn an_empty_statement_takes_what_statements_begin_with() {
        let words = words("");
        for word in ["CREATE", "INSERT", "SELECT", "WITH", "EXPLAIN"] {
            assert!(words.contains(word), "{word}: {words}");
        }
        assert!(!words.contains("WHERE") && !words.contains("BUILTIN"), "{words}");
    }

    #[test]
    fn kinds_of_objects_follow_create() {
        let words = words("CREATE ");
        assert!(words.contains("STREAM") && words.contains("MATERIALIZED"), "{words}");
        assert!(!words.contains("SELECT"), "{words}");
    }

    #[test]
    fn clauses_follow_a_relation() {
        let found = words("SELECT a FROM t ");
        for word in ["WHERE", "GROUP", "JOIN", "LEFT", "UNION", "EMIT"] {
            assert!(found.contains(word), "{word}: {found}");
        }
        assert_eq!(words("SELECT a FROM t GROUP "), "BY");
    }

    #[test]
    fn kinds_of_things_are_told() {
        let has = |text: &str, thing| expected(text).things.contains(&thing);
        assert!(has("SELECT ", Thing::Expression));
        assert!(has("SELECT a + ", Thing::Expression));
        assert!(has("SELECT a FROM t WHERE ", Thing::Expression));
        assert!(!has("SELECT a ", Thing::Expression));
        assert!(has("SELECT a FROM ", Thing::Relation));
        assert!(has("SELECT a FROM t JOIN ", Thing::Relation));
        assert!(has("CREATE STREAM s (a ", Thing::Type));
        assert!(has("SELECT CAST(a AS ", Thing::Type));
        assert!(has("INSERT INTO ", Thing::Name));
    }

    #[test]
    fn text_that_is_wrong_already_takes_nothing() {
        assert_eq!(expected("SELECT FROM WHERE "), Expected::default());
        assert_eq!(expected(&"(".repeat(100_000)), Expected::default());
    }
}
