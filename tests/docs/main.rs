//! The book in `docs/`: what it shows is run, what is generated is what the code says, what it
//! links to is there. One named test per block and page, so that a failure names its line.
//!
//! What stands behind the three backticks says what a block is:
//!
//! | block | what becomes of it |
//! | --- | --- |
//! | `flow` | must compile, without a warning |
//! | `flow,continues` | the same, behind the blocks of `flow` before it |
//! | `flow,fails=E0301`, `flow,warns=W0311` | must give exactly this code |
//! | `flow,each=E0901` | each statement alone, behind the blocks before it, must give this code |
//! | `flow,asked` | must compile as a question, to the views of the blocks before it |
//! | `flow,reads` | must compile as another program of a server with those views |
//! | `flow,case`, then `jsonl,feed=S`, `jsonl,expect=S` | run as a case, in every regime |
//! | `…,file=NAME` | is a file of the page's folder, too |
//! | `console` | its commands are run in the page's folder, and must say what it shows |
//! | `toml`, `json` | must be settings of a server, must be JSON |
//! | `text`, `sql` | shown only: forms of statements, and what is not Flow's |
//!
//! Any other block fails. Pages of `reference/generated` repeat what the crates' own tests run, so
//! of those only text and links are checked; `FLOW_BLESS=1` rewrites them.

mod block;
mod console;
mod generated;
mod pages;
mod programs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use block::Page;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = generated::trials();
    trials.push(Trial::test("pages::summary_lists_every_page", pages::summary));
    for page in Page::all().expect("docs/src can be read") {
        let page: &'static Page = Box::leak(Box::new(page));
        let test = |name: &str, run: fn(&Page) -> Result<(), Failed>| {
            Trial::test(format!("{name}::{}", page.name), move || run(page))
        };
        trials.push(test("links", pages::links));
        if page.is_generated() {
            continue;
        }
        trials.push(test("blocks", pages::blocks));
        trials.extend(programs::trials(page));
        if page.blocks.iter().any(|block| block.language == "console") {
            trials.push(test("console", console::run));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A path in the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
