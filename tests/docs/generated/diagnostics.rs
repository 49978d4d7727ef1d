//! Every code with its page, from the table of the compiler.

use flow_compiler::diagnostics::{Code, Severity};
use libtest_mimic::Failed;

use super::{head, row};
use crate::block::anchor;

/// The page of diagnostics.
pub(crate) fn page() -> Result<String, Failed> {
    let mut out = String::from(
        "# Diagnostics\n\nEvery code that a program can be told, written by the compiler's table. \
         A code that begins with E stops the program before anything runs; W is a lint, and the \
         program runs. The examples are tests of the compiler.\n\n",
    );
    out.push_str(&head(&["code", "kind", "about"]));
    for code in Code::ALL {
        let heading = format!("{code}: {}", code.title());
        let kind = match code.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let link = format!("[{code}](#{})", anchor(&heading));
        out.push_str(&row(&[&link, kind, code.title()]));
    }
    for code in Code::ALL {
        out.push_str(&format!("\n#{}\n", code.page().trim_end()));
    }
    Ok(out)
}
