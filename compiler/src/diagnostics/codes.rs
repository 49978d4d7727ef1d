//! The table of codes: id, default severity, title. Each row has one constructor in an area file
//! and one page in `explain/`; a missing page does not compile, a missing constructor fails a
//! test.
//!
//! Numbers: 01 syntax · 02 names · 03 types · 04 joins · 05 windows and time · 06 aggregates ·
//! 07 connectors, options, schemas · 08 plans, changelog kinds, sinks · 09 not available yet.
//! E is an error, W a lint.

use std::fmt;

use super::Severity;

macro_rules! codes {
    ($($id:ident $severity:ident $title:literal;)*) => {
        /// Which problem a diagnostic is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $id,)*
        }

        impl Code {
            /// Every code, in the table's order.
            pub const ALL: &'static [Code] = &[$(Code::$id),*];

            /// Its name: `E0101`.
            pub fn id(self) -> &'static str {
                match self { $(Code::$id => stringify!($id),)* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$id => $title,)* }
            }

            /// Severity unless a pass says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Code::$id => Severity::$severity,)* }
            }

            /// The long explanation, in Markdown, with a failing and a fixed example.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$id => include_str!(concat!("explain/", stringify!($id), ".md")),)*
                }
            }
        }
    };
}

codes! {
    E0101 Error "unexpected token";
    E0102 Error "missing comma";
    E0103 Error "bracket is never closed";
    E0104 Error "unknown statement";
    E0105 Error "string is never closed";
    E0106 Error "reserved word used as a name";
    E0107 Error "missing semicolon between statements";
    E0108 Error "nested too deeply";
    E0109 Error "comment is never closed";
    E0110 Error "quoted name is never closed";
    E0111 Error "unexpected character";
    E0112 Error "statement ends too early";
    E0113 Error "comma with nothing after it";
    E0114 Error "bracket was never opened";
    E0115 Error "statement that Flow does not have";
    E0116 Error "malformed literal";
    E0117 Error "clause in the wrong place";
    E0118 Error "quoted name where a string is needed";
    E0119 Error "source is too large";
    E0120 Error "incomplete statement set";
    E0121 Error "unknown time unit";
    E0122 Error "malformed call";
    E0123 Error "unknown thing to show, describe or drop";
    W0124 Warning "statement without effect";
    E0201 Error "unknown stream, table or view";
    E0202 Error "unknown column";
    E0203 Error "ambiguous name";
    E0204 Error "declared twice";
    E0205 Error "duplicate column name";
    E0206 Error "unknown function";
    E0207 Error "unknown field";
    E0208 Error "two relations of one name";
    E0209 Error "unknown relation in FROM";
    E0210 Error "index as a relation";
    E0301 Error "no such operation for these types";
    E0302 Error "condition is not BOOLEAN";
    E0303 Error "types that do not convert";
    E0304 Error "no common type";
    E0305 Error "invalid literal";
    E0306 Error "unknown type";
    E0307 Error "type out of range";
    E0308 Error "value does not fit the sink's column";
    W0309 Warning "precision beyond microseconds";
    W0310 Warning "INSERT narrows";
    W0311 Note "differs from Flink SQL";
    E0312 Error "value without fields or elements";
    E0313 Error "not a constant";
    E0401 Error "a join with versions is inner or left";
    E0402 Error "temporal join without a table";
    E0403 Error "temporal join without the table's key";
    E0404 Error "temporal join at another time";
    E0405 Error "empty interval";
    W0406 Warning "every row with every row";
    W0407 Warning "two clocks in a temporal join";
    E0501 Error "not an event time column";
    E0502 Error "invalid WATERMARK";
    E0503 Error "invalid window";
    W0504 Warning "half a window in GROUP BY";
    E0505 Error "window over updates";
    W0506 Warning "a rebuild may differ";
    E0507 Error "no such window";
    E0601 Error "neither grouped nor aggregated";
    E0602 Error "aggregate in the wrong place";
    E0603 Error "no such position";
    E0604 Error "modifier not taken";
    E0606 Error "a constant of an aggregate";
    E0607 Error "too many grouping sets";
    E0608 Error "no such frame";
    E0701 Error "unknown connector";
    E0702 Error "unknown option";
    E0703 Error "missing option";
    E0704 Error "invalid option value";
    E0705 Error "unknown format";
    E0706 Error "wrong direction";
    E0707 Error "variable not set";
    E0708 Error "unknown setting";
    E0709 Error "invalid setting";
    E0710 Error "registry gave no answer";
    E0711 Error "no columns";
    E0712 Error "column does not fit the schema";
    E0713 Error "incompatible output schema";
    E0714 Error "format cannot hold these columns";
    E0715 Error "invalid key";
    E0716 Error "invalid metadata column";
    E0717 Error "option given twice";
    W0718 Warning "setting without effect";
    E0801 Error "sink cannot hold changes";
    E0803 Error "wrong number of columns";
    E0804 Error "column without a value";
    W0805 Warning "nothing runs";
    E0806 Error "not a target";
    E0808 Error "clock over updates";
    E0809 Error "index without a kept view";
    E0810 Error "view without versions";
    E0811 Error "not one query";
    E0812 Error "not a number of rows";
    E0813 Error "order without an end";
    W0814 Warning "order without effect";
    W0815 Warning "state that nothing bounds";
    E0901 Error "not available yet";
}

impl Code {
    /// The code with this name, blind to case.
    pub fn parse(id: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(id))
    }

    /// The page's examples, in order: the first fails with this code, the others are right.
    pub fn examples(self) -> Vec<&'static str> {
        self.page()
            .split("```flow\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```"))
            .map(|(example, _)| example)
            .collect()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
