//! The table of codes: id, default severity, title. Each row has one constructor in an area file
//! and one page in `explain/`; a missing page does not compile, a missing constructor fails a test.
//!
//! Numbers: 01 syntax · 02 names · 03 types · 04 joins · 05 windows and time · 06 aggregates ·
//! 07 connectors, options, schemas · 08 plans, changelog kinds, sinks. E is an error, W a lint.

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
                match self { $(Code::$id => include_str!(concat!("explain/", stringify!($id), ".md")),)* }
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
