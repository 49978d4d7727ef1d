//! Case files: reading and rewriting. Text that is not an expectation comes back as it was.

use std::path::{Path, PathBuf};

use super::Regime;

/// A part of a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    /// The program.
    Flow,
    /// An Avro schema of a subject.
    Schema(String),
    /// Records of a stream's partition.
    Feed(String, u32),
    /// What must come out of a stream, or of a topic.
    Expect(String),
    /// The rendered diagnostics.
    Errors,
    /// A representation of the program.
    Explain(String),
    /// The message with which the job must stop.
    Fails,
    /// The only regimes; the reason.
    Regimes(String),
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The file.
    pub path: PathBuf,
    /// Everything before the first section.
    head: String,
    /// The sections in order, with their headings as written and their bodies.
    sections: Vec<(Section, String, String)>,
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// Says what is wrong with the file, with the line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut case = Self { path: path.to_path_buf(), head: String::new(), sections: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            if let Some(heading) = line.strip_prefix("=== ") {
                let section = Section::parse(heading)
                    .ok_or_else(|| format!("line {}: no such section: {line}", number + 1))?;
                case.sections.push((section, line.to_string(), String::new()));
                continue;
            }
            let body = match case.sections.last_mut() {
                Some((_, _, body)) => body,
                None => &mut case.head,
            };
            body.push_str(line);
            body.push('\n');
        }
        match case.program() {
            Some(_) => Ok(case),
            None => Err("there is no section `=== flow`".into()),
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut out = self.head.clone();
        for (_, heading, body) in &self.sections {
            out.push_str(heading);
            out.push('\n');
            out.push_str(body);
        }
        out
    }

    /// The program.
    pub fn program(&self) -> Option<&str> {
        self.bodies(|s| *s == Section::Flow).next()
    }

    /// The sections with their bodies.
    pub fn sections(&self) -> impl Iterator<Item = (&Section, &str)> {
        self.sections.iter().map(|(section, _, body)| (section, body.as_str()))
    }

    /// Bodies of the sections that fit.
    fn bodies(&self, fits: impl Fn(&Section) -> bool) -> impl Iterator<Item = &str> {
        self.sections().filter(move |(section, _)| fits(section)).map(|(_, body)| body)
    }

    /// Replaces the body of a section.
    pub fn set_body(&mut self, index: usize, body: String) {
        self.sections[index].2 = body;
    }

    /// Whether the program is run, not only compiled.
    pub fn runs_a_job(&self) -> bool {
        self.sections().any(|(s, _)| matches!(s, Section::Expect(_) | Section::Fails))
    }

    /// Whether the case runs in a regime.
    pub fn allows(&self, regime: &Regime) -> bool {
        let mut lists = self.bodies(|s| matches!(s, Section::Regimes(_))).peekable();
        lists.peek().is_none()
            || lists.any(|list| list.lines().any(|line| line.trim() == regime.name))
    }
}

impl Section {
    fn parse(heading: &str) -> Option<Self> {
        let words: Vec<&str> = heading.split_whitespace().collect();
        match words[..] {
            ["flow"] => Some(Section::Flow),
            ["schema", subject] => Some(Section::Schema(subject.into())),
            ["feed", stream] => Some(Section::Feed(stream.into(), 0)),
            ["feed", stream, partition] => {
                Some(Section::Feed(stream.into(), partition.parse().ok()?))
            }
            ["expect", stream] => Some(Section::Expect(stream.into())),
            ["errors"] => Some(Section::Errors),
            ["explain", stage] => Some(Section::Explain(stage.into())),
            ["fails"] => Some(Section::Fails),
            ["regimes", ..] => Some(Section::Regimes(words[1..].join(" "))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-- a case\n=== flow\nSELECT 1;\n=== feed s 2\n{}\n=== expect t\n";

    #[test]
    fn a_case_comes_back_as_it_was_written() {
        let case = Case::parse(Path::new("x.test"), TEXT).expect("it is a case");
        assert_eq!(case.to_text(), TEXT);
        assert_eq!(case.program(), Some("SELECT 1;\n"));
        assert!(case.runs_a_job());
        assert_eq!(case.sections().nth(1).expect("there").0, &Section::Feed("s".into(), 2));
    }

    #[test]
    fn what_is_no_section_is_told_with_its_line() {
        let error = Case::parse(Path::new("x.test"), "=== flow\n=== feeed s\n").expect_err("no");
        assert!(error.starts_with("line 2:"), "{error}");
        assert!(Case::parse(Path::new("x.test"), "nothing").is_err());
    }
}
