//! From pest's error to a diagnostic. pest gives a place and the rules that it tried there; what a
//! person needs follows from the token found, its neighbours and the open brackets. `classify` is
//! the table: its questions are asked in order, the most telling first.

use std::collections::BTreeSet;

use flow_ir::span::{FileId, Span};
use pest::error::{Error, ErrorVariant, InputLocation};

use super::DEPTH_MAX;
use super::build::CLAUSE_ORDER;
use super::grammar::Rule;
use super::scan::{Token, TokenKind};
use crate::diagnostics::{Diagnostic, nearest, plans, syntax};

/// Words that a statement begins with.
const STATEMENTS: &[&str] = &[
    "CREATE",
    "INSERT",
    "SELECT",
    "WITH",
    "VALUES",
    "EXPLAIN",
    "SHOW",
    "DESCRIBE",
    "DROP",
    "SET",
    "RESET",
    "IMPORT",
    "EXECUTE",
    "SUBSCRIBE",
    "PRINT",
    "STOP",
    "PAUSE",
    "RESUME",
];

/// Statements of other systems, and what to do in Flow.
const FOREIGN: &[(&str, &str)] = &[
    ("ALTER", "Change the declaration in the file and run it again."),
    ("ASSERT", "What a topic and its schema are is checked when the program starts."),
    ("DEFINE", "Write ${NAME} in options and settings, and give its value on the command line."),
    ("UNDEFINE", "Write ${NAME} in options and settings, and give its value on the command line."),
    ("DECLARE", "Queries that read what they give are not available yet."),
    ("MERGE", "Declare a TABLE with a PRIMARY KEY; the newest row of a key replaces the older."),
    ("TRUNCATE", "Use --fresh to rebuild a job from its inputs."),
    (
        "ANALYZE",
        "Flow keeps no statistics; EXPLAIN shows a plan, EXPLAIN ANALYZE JOB what a job does.",
    ),
    ("GRANT", "Access is decided by Kafka and the Schema Registry."),
    ("REVOKE", "Access is decided by Kafka and the Schema Registry."),
    ("BEGIN", "Each epoch is one transaction; a set of inserts is EXECUTE STATEMENT SET BEGIN."),
    ("COMMIT", "Each epoch is committed by itself; SET 'commit.interval' says how often."),
    ("ROLLBACK", "Each epoch is committed whole or not at all, by itself."),
    ("REFRESH", "Views are always fresh."),
    ("COPY", "Declare a stream WITH ('connector' = 'file') and INSERT INTO it."),
    ("CALL", "Flow has no procedures; `flow jobs` and `flow topic` do what is to be done."),
    ("COMPILE", "`flow build FILE` compiles a program into a job file, `flow run` runs that."),
    ("PIVOT", "Write aggregates with FILTER: SUM(x) FILTER (WHERE k = 'a') AS a."),
    ("UNPIVOT", "Write CROSS JOIN UNNEST(MAP['a', a, 'b', b]) AS t (name, value)."),
    ("SUMMARIZE", "Write the aggregates that are asked for: MIN(x), MAX(x), COUNT(*)."),
];

/// Statements of other systems that change nothing here, and why: what follows them runs.
const IDLE: &[(&str, &str)] = &[
    ("USE", "A program has one namespace: of a dotted name the last part counts."),
    ("ADD", "Flow has no plug-ins. What it does not have is written in SQL: CREATE FUNCTION."),
    ("REMOVE", "Flow has no plug-ins. What it does not have is written in SQL: CREATE FUNCTION."),
    ("FLUSH", "Each epoch is committed by itself; SET 'commit.interval' says how often."),
    ("WAIT", "Each epoch is committed by itself; SET 'commit.interval' says how often."),
    ("LATENESS", "How far behind rows may be is said where their table is declared."),
    ("LOAD", "Flow has no modules; every function is there already."),
    ("UNLOAD", "Flow has no modules; every function is there already."),
];

/// Kinds of objects that Flow has none of, and needs none of.
const NAMESPACES: &[&str] = &["DATABASE", "CATALOG", "SCHEMA"];

/// Clauses of other systems that Flow refuses by name: the word, and the one behind it.
const CLAUSES_NOT_THERE: &[(&str, &str, &str)] = &[
    (
        "ON",
        "CONFLICT",
        "A TABLE with a PRIMARY KEY keeps the newest row: ON CONFLICT DO DEDUPLICATE.",
    ),
    ("TABLESAMPLE", "", "Write a condition, as in WHERE RAND() < 0.1."),
    ("PIVOT", "(", "Write aggregates with FILTER: SUM(x) FILTER (WHERE k = 'a') AS a."),
    ("UNPIVOT", "(", "Write CROSS JOIN UNNEST(MAP['a', a, 'b', b]) AS t (name, value)."),
];

/// Words that begin a clause of a query.
const CLAUSES: &[&str] = &[
    "WITH",
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "QUALIFY",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "EMIT",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "ON",
    "USING",
];

/// What a message lists at most.
const LISTED_MAX: usize = 7;

/// Where a piece is.
pub(crate) struct Place<'a> {
    pub(crate) file: FileId,
    /// The whole file.
    pub(crate) text: &'a str,
    /// The piece's tokens.
    pub(crate) tokens: &'a [Token],
    /// Where the piece ends.
    pub(crate) end: usize,
}

/// Explains why a piece that begins at `base` did not parse.
pub(crate) fn explain(place: &Place<'_>, base: usize, error: &Error<Rule>) -> Diagnostic {
    let at = base
        + match error.location {
            InputLocation::Pos(at) => at,
            InputLocation::Span((start, _)) => start,
        };
    let positives: BTreeSet<Rule> = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.iter().copied().collect(),
        ErrorVariant::CustomError { .. } => {
            let span = place.span(base, place.end);
            return syntax::nested_too_deeply(span, DEPTH_MAX);
        }
    };
    let index = place.tokens.partition_point(|token| token.end <= at);
    Failure { place, index, positives }.classify()
}

impl Place<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start as u32, end as u32)
    }
}

/// A place in the tokens where no rule fitted, and the rules that were tried.
struct Failure<'a> {
    place: &'a Place<'a>,
    /// Position of the token that did not fit; the number of tokens at the end.
    index: usize,
    positives: BTreeSet<Rule>,
}

impl Failure<'_> {
    fn classify(&self) -> Diagnostic {
        self.first_word()
            .or_else(|| self.brackets())
            .or_else(|| self.dangling_comma())
            .or_else(|| self.at_end())
            .or_else(|| self.object_kind())
            .or_else(|| self.clause_not_there())
            .or_else(|| self.new_statement())
            .or_else(|| self.double_quotes())
            .or_else(|| self.late_clause())
            .or_else(|| self.misspelt_before())
            .or_else(|| self.reserved_name())
            .or_else(|| self.misspelt_keyword())
            .or_else(|| self.comma())
            .unwrap_or_else(|| {
                syntax::unexpected_token(self.span(), &self.found(), &self.expected())
            })
    }

    fn token(&self, index: usize) -> Option<&Token> {
        self.place.tokens.get(index)
    }

    fn text(&self, index: usize) -> &str {
        self.token(index).and_then(|t| self.place.text.get(t.start..t.end)).unwrap_or("")
    }

    fn before(&self) -> &str {
        self.index.checked_sub(1).map_or("", |before| self.text(before))
    }

    /// Where the token found is; at the end, the empty span behind the last token.
    fn span(&self) -> Span {
        match self.token(self.index) {
            Some(token) => self.place.span(token.start, token.end),
            None => self.gap(),
        }
    }

    /// The empty span behind the token before.
    fn gap(&self) -> Span {
        let before = self.index.checked_sub(1).and_then(|before| self.token(before));
        let end = before.map_or(self.place.end, |token| token.end);
        self.place.span(end, end)
    }

    fn is_word(&self, index: usize) -> bool {
        self.token(index).is_some_and(|token| token.kind == TokenKind::Word)
    }

    /// Whether a clause of a query begins here.
    fn is_clause(&self, index: usize) -> bool {
        let word = self.text(index);
        let needs_by = ["group", "order"].iter().any(|w| word.eq_ignore_ascii_case(w));
        self.is_word(index)
            && CLAUSES.iter().any(|clause| clause.eq_ignore_ascii_case(word))
            && (!needs_by || self.text(index + 1).eq_ignore_ascii_case("by"))
    }

    /// The token found, for people.
    fn found(&self) -> String {
        match self.token(self.index).map(|token| token.kind) {
            Some(TokenKind::Word) if is_reserved(self.text(self.index)) => {
                self.text(self.index).to_uppercase()
            }
            Some(TokenKind::Word | TokenKind::QuotedName) => {
                format!("name {}", self.text(self.index))
            }
            Some(TokenKind::String) => "string".to_owned(),
            Some(TokenKind::Number) => format!("number {}", self.text(self.index)),
            Some(TokenKind::Symbol) => format!("'{}'", self.text(self.index)),
            None => "end of the statement".to_owned(),
        }
    }

    /// What could have stood here, for people: things first, then keywords and punctuation.
    fn expected(&self) -> Vec<String> {
        let things: BTreeSet<String> =
            self.positives.iter().filter_map(|rule| thing(*rule)).map(str::to_owned).collect();
        let words: BTreeSet<String> = self.positives.iter().filter_map(|r| keyword(*r)).collect();
        let marks: BTreeSet<String> =
            self.positives.iter().filter_map(|rule| mark(*rule)).map(str::to_owned).collect();
        let mut all: Vec<String> = things.into_iter().chain(words).chain(marks).collect();
        if all.len() > LISTED_MAX {
            all.clear();
        }
        all
    }

    /// A word that no statement begins with.
    fn first_word(&self) -> Option<Diagnostic> {
        if self.index > 0 {
            return None;
        }
        let word = self.text(0);
        if let Some((name, why)) = IDLE.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
            return Some(syntax::statement_without_effect(self.span(), name, why));
        }
        let foreign = FOREIGN.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        Some(match foreign {
            Some((name, help)) => syntax::foreign_statement(self.span(), name, help),
            None => {
                let found = if self.is_word(0) { word.to_owned() } else { self.found() };
                syntax::unknown_statement(self.span(), &found, STATEMENTS)
            }
        })
    }

    /// A closing bracket without partner, or an open one where the statement cannot go on inside.
    fn brackets(&self) -> Option<Diagnostic> {
        let mut open: Vec<usize> = Vec::new();
        for index in 0..=self.index {
            match self.text(index) {
                "(" | "[" | "{" if index < self.index => open.push(index),
                ")" | "]" | "}" => {
                    let partner = open.pop();
                    let fits = partner.is_some_and(|i| pairs_up(self.text(i), self.text(index)));
                    if index == self.index && !fits {
                        let bracket = self.text(index).chars().next().unwrap_or(')');
                        return Some(match partner {
                            Some(i) => self.unclosed(i),
                            None => syntax::unopened_bracket(self.span(), bracket),
                        });
                    }
                }
                _ => {}
            }
        }
        if self.positives.contains(&Rule::rangle) {
            let angle = (0..self.index).rev().find(|i| self.text(*i) == "<");
            return angle.map(|i| self.unclosed(i));
        }
        let innermost = *open.last()?;
        let closes_later = self.closes_later(open.len());
        let stuck = self.token(self.index).is_none()
            || self.is_clause(self.index)
            || (self.before().eq_ignore_ascii_case("with") && self.text(self.index) == "(");
        (stuck && !closes_later).then(|| self.unclosed(innermost))
    }

    /// Whether the brackets that are open here are all closed in the rest of the piece.
    fn closes_later(&self, open: usize) -> bool {
        let mut level = open;
        for index in self.index..self.place.tokens.len() {
            match self.text(index) {
                "(" | "[" | "{" => level += 1,
                ")" | "]" | "}" => level = level.saturating_sub(1),
                _ => {}
            }
        }
        level == 0
    }

    fn unclosed(&self, open: usize) -> Diagnostic {
        let bracket = self.text(open).chars().next().unwrap_or('(');
        let at = self.token(open).map_or(self.gap(), |t| self.place.span(t.start, t.end));
        syntax::unclosed_bracket(at, bracket, self.span())
    }

    /// A comma before a clause, a closing bracket or the end.
    fn dangling_comma(&self) -> Option<Diagnostic> {
        let closes = matches!(self.text(self.index), ")" | "]" | "}" | "");
        if self.before() != "," || !(closes || self.is_clause(self.index)) {
            return None;
        }
        let comma = self.index.checked_sub(1).and_then(|before| self.token(before))?;
        let next = match self.text(self.index) {
            "" => "the end of the statement".to_owned(),
            bracket @ (")" | "]" | "}") => format!("'{bracket}'"),
            word => word.to_uppercase(),
        };
        Some(syntax::trailing_comma(self.place.span(comma.start, comma.end), &next))
    }

    fn at_end(&self) -> Option<Diagnostic> {
        let end = self.token(self.index).is_none();
        end.then(|| syntax::unexpected_end(self.span(), &self.expected()))
    }

    /// CREATE, DROP or SHOW CREATE before a word that is no kind of object.
    fn object_kind(&self) -> Option<Diagnostic> {
        let asked = [Rule::create_kind, Rule::drop_kind, Rule::object_kind];
        if !asked.iter().any(|rule| self.positives.contains(rule)) || !self.is_word(self.index) {
            return None;
        }
        let (verb, word) = (self.text(0), self.text(self.index));
        if NAMESPACES.iter().any(|kind| kind.eq_ignore_ascii_case(word)) && self.index == 1 {
            let name = format!("{verb} {word}");
            let why = "A program has one namespace: of a dotted name the last part counts.";
            return Some(syntax::statement_without_effect(self.span(), &name, why));
        }
        if word.eq_ignore_ascii_case("DEFAULT") && self.index == 1 {
            let why = "What a view keeps is found by its key; CREATE INDEX adds other orders.";
            return Some(syntax::statement_without_effect(
                self.span(),
                "CREATE DEFAULT INDEX",
                why,
            ));
        }
        let kinds = [
            "STREAM",
            "TABLE",
            "VIEW",
            "MATERIALIZED VIEW",
            "INDEX",
            "SEARCH INDEX",
            "FUNCTION",
            "JOB",
        ];
        Some(syntax::unknown_object_kind(self.span(), verb, word, &kinds))
    }

    /// A clause that other systems have, here or taken for a name before.
    fn clause_not_there(&self) -> Option<Diagnostic> {
        let near = self.index.saturating_sub(3)..=self.index;
        near.into_iter().find_map(|at| {
            let is = |index: usize, word: &str| self.text(index).eq_ignore_ascii_case(word);
            let mut all = CLAUSES_NOT_THERE.iter();
            let (word, next, instead) =
                all.find(|(word, next, _)| is(at, word) && (next.is_empty() || is(at + 1, next)))?;
            let token = self.token(at)?;
            let name = if next.len() > 1 { format!("{word} {next}") } else { (*word).to_owned() };
            let span = self.place.span(token.start, token.end);
            Some(plans::not_available(&name, span, Some(instead)))
        })
    }

    /// A word that begins a statement where the one before could have ended.
    fn new_statement(&self) -> Option<Diagnostic> {
        let word = self.text(self.index);
        let begins = STATEMENTS.iter().any(|name| name.eq_ignore_ascii_case(word));
        if !begins || !self.is_word(self.index) || !self.positives.contains(&Rule::EOI) {
            return None;
        }
        Some(syntax::missing_semicolon(self.gap(), self.span(), word))
    }

    /// A name in double quotes where only a string can stand.
    fn double_quotes(&self) -> Option<Diagnostic> {
        let text = self.text(self.index);
        let string = [Rule::string, Rule::option_value, Rule::option_key];
        let name = [Rule::ident, Rule::expr, Rule::object_name];
        let wants_string = string.iter().any(|rule| self.positives.contains(rule))
            && !name.iter().any(|rule| self.positives.contains(rule));
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        wants_string.then(|| syntax::string_in_double_quotes(self.span(), inner))
    }

    /// A clause that has to stand earlier, where the query could have ended.
    fn late_clause(&self) -> Option<Diagnostic> {
        let ends = [Rule::EOI, Rule::rparen].iter().any(|rule| self.positives.contains(rule));
        let word = self.text(self.index).to_uppercase();
        let clause = match word.as_str() {
            "GROUP" | "ORDER" => format!("{word} BY"),
            "FROM" | "WHERE" | "HAVING" | "WITH" | "WINDOW" | "QUALIFY" => word,
            _ => return None,
        };
        let in_query = (0..self.index).any(|i| self.text(i).eq_ignore_ascii_case("select"));
        (ends && in_query && self.is_word(self.index))
            .then(|| syntax::misplaced_clause(self.span(), &clause, CLAUSE_ORDER))
    }

    /// A reserved word that stands like a name.
    fn reserved_name(&self) -> Option<Diagnostic> {
        let word = self.text(self.index);
        if !self.is_word(self.index) || !is_reserved(word) {
            return None;
        }
        let next = self.text(self.index + 1);
        let is_clause = next.eq_ignore_ascii_case("by");
        let named = [
            Rule::ident,
            Rule::object_name,
            Rule::table_element,
            Rule::column,
            Rule::table_ref,
            Rule::table_factor,
            Rule::field_type,
            Rule::column_alias,
            Rule::table_alias,
            Rule::cte,
            Rule::ident_list,
        ];
        let wants_name = named.iter().any(|rule| self.positives.contains(rule));
        let wants_expr = [Rule::expr, Rule::select_item, Rule::order_item, Rule::group_item]
            .iter()
            .any(|rule| self.positives.contains(rule));
        let like_a_name = next.is_empty()
            || ",).=<>+-*/|;".contains(next)
            || self.is_clause(self.index + 1)
            || next.eq_ignore_ascii_case("as");
        // FROM, WHERE and the like begin a clause unless a name must be here and looks like one.
        let fits = wants_name && !self.is_clause(self.index)
            || (wants_name || wants_expr) && like_a_name
            || wants_name && self.positives.contains(&Rule::table_element);
        (fits && !is_clause).then(|| syntax::reserved_word(self.span(), word))
    }

    /// A word that is nearly one of the keywords that could stand here.
    fn misspelt_keyword(&self) -> Option<Diagnostic> {
        let words: Vec<String> = self.positives.iter().filter_map(|r| keyword(*r)).collect();
        let name = self.keyword_near(self.index, words.iter().map(String::as_str))?;
        Some(self.misspelt(self.index, name))
    }

    /// A clause's word, misspelt, was taken for an alias; then nothing fitted.
    fn misspelt_before(&self) -> Option<Diagnostic> {
        let before = self.index.checked_sub(1)?;
        let next_is_word = self.is_word(self.index) || self.token(self.index).is_none();
        let name = self.keyword_near(before, []).filter(|_| next_is_word)?;
        Some(self.misspelt(before, name))
    }

    /// The word of `words` or of the clauses that a word which is not reserved is nearest to.
    fn keyword_near<'w>(
        &self,
        index: usize,
        words: impl IntoIterator<Item = &'w str>,
    ) -> Option<&'w str> {
        let word = self.text(index);
        if !self.is_word(index) || is_reserved(word) || word.len() < 3 {
            return None;
        }
        let long = |name: &&str| name.len() > 2;
        nearest(word, words.into_iter().chain(CLAUSES.iter().copied()).filter(long))
    }

    fn misspelt(&self, index: usize, name: &str) -> Diagnostic {
        let at = self.token(index).map_or(self.gap(), |t| self.place.span(t.start, t.end));
        let found = format!("name {}", self.text(index));
        syntax::unexpected_token(at, &found, &[name.to_owned()]).with_fix(
            format!("change to {name}"),
            at,
            name,
        )
    }

    /// Two items of a list side by side.
    fn comma(&self) -> Option<Diagnostic> {
        let kind = self.token(self.index)?.kind;
        let starts_item = match kind {
            TokenKind::Word => !is_reserved(self.text(self.index)),
            TokenKind::QuotedName | TokenKind::String | TokenKind::Number => true,
            TokenKind::Symbol => false,
        };
        let list = [Rule::comma, Rule::arg_separator];
        let fits = starts_item && list.iter().any(|rule| self.positives.contains(rule));
        fits.then(|| syntax::missing_comma(self.gap(), self.span()))
    }
}

fn pairs_up(open: &str, close: &str) -> bool {
    matches!((open, close), ("(", ")") | ("[", "]") | ("{", "}"))
}

/// Whether the grammar reserves the word.
pub(crate) fn is_reserved(word: &str) -> bool {
    use pest::Parser;
    super::grammar::FlowParser::parse(Rule::reserved, word)
        .is_ok_and(|mut pairs| pairs.next().is_some_and(|p| p.as_str().len() == word.len()))
}

/// The keyword of a rule `k_…`.
fn keyword(rule: Rule) -> Option<String> {
    format!("{rule:?}").strip_prefix("k_").map(str::to_uppercase)
}

/// Punctuation, for people.
fn mark(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::comma => Some("','"),
        Rule::lparen => Some("'('"),
        Rule::rparen => Some("')'"),
        Rule::lbracket => Some("'['"),
        Rule::rbracket => Some("']'"),
        Rule::langle => Some("'<'"),
        Rule::rangle => Some("'>'"),
        Rule::equals => Some("'='"),
        Rule::EOI => Some("';'"),
        _ => None,
    }
}

/// What a rule stands for, for people; nothing for rules that only go on with what is there.
fn thing(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::expr
        | Rule::arith
        | Rule::arg
        | Rule::paren
        | Rule::call_args
        | Rule::prefix
        | Rule::values_row
        | Rule::fetch_count => Some("an expression"),
        Rule::select_item => Some("a column or an expression"),
        Rule::order_item | Rule::group_item => Some("an expression"),
        Rule::query | Rule::select | Rule::values | Rule::table_query | Rule::paren_query => {
            Some("a query")
        }
        Rule::data_type | Rule::bare_type | Rule::type_name | Rule::named_type => Some("a type"),
        Rule::table_ref | Rule::table_factor => Some("a table"),
        Rule::table_element | Rule::column => Some("a column"),
        Rule::ident | Rule::object_name | Rule::word | Rule::cte => Some("a name"),
        Rule::string => Some("a string"),
        Rule::integer | Rule::number => Some("a number"),
        Rule::unit | Rule::interval_units => Some("a time unit"),
        Rule::option | Rule::option_key => Some("an option"),
        Rule::option_value | Rule::option_number | Rule::option_word => Some("a value"),
        Rule::window_spec => Some("'('"),
        Rule::create_kind | Rule::drop_kind | Rule::object_kind => Some("a kind of object"),
        Rule::when | Rule::case => Some("WHEN"),
        Rule::as_query => Some("AS"),
        Rule::frame_bound => Some("a frame bound"),
        Rule::pattern | Rule::pattern_seq | Rule::pattern_factor => Some("a pattern"),
        _ => None,
    }
}
