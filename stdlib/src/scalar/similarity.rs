//! How alike two texts are.

use crate::builtin::{Builtin, Family};
use crate::host::{HostArg, HostCx, HostError, HostOut, host};
use crate::signature::{Pattern as P, sig};

const TEXT: Builtin = Builtin { family: Family::Text, ..Builtin::STRICT };

/// Steps of one comparison at most.
const STEPS_MAX: usize = 100_000_000;

type Done = Result<(), HostError>;

/// The functions.
pub(super) static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "LEVENSHTEIN",
        aliases: &["EDITDIST3"],
        doc: "How many characters to insert, delete or replace to make one text the other.",
        overloads: &[sig(&[P::String, P::String], P::Int, host("levenshtein", levenshtein))],
        examples: &[("LEVENSHTEIN('kitten', 'sitting')", "3"), ("LEVENSHTEIN('a', NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "HAMMING",
        aliases: &["MISMATCHES"],
        doc: "In how many places two texts of one length differ.",
        overloads: &[sig(&[P::String, P::String], P::Int, host("hamming", hamming))],
        examples: &[("HAMMING('duck', 'luck')", "1"), ("HAMMING('a', NULL)", "NULL")],
        ..TEXT
    },
    Builtin {
        name: "JARO_SIMILARITY",
        doc: "How alike two texts are, by common characters in nearby places: 0 to 1.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Double,
            host("jaro_similarity", |_, a, out| {
                out.f64(jaro(a[0].str(), a[1].str())?);
                Ok(())
            }),
        )],
        examples: &[
            ("ROUND(JARO_SIMILARITY('martha', 'marhta'), 4)", "0.9444"),
            ("JARO_SIMILARITY('a', NULL)", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "JARO_WINKLER_SIMILARITY",
        doc: "JARO_SIMILARITY, higher for texts that begin alike.",
        overloads: &[sig(
            &[P::String, P::String],
            P::Double,
            host("jaro_winkler_similarity", |_, a, out| {
                let (a, b) = (a[0].str(), a[1].str());
                let similarity = jaro(a, b)?;
                let prefix = a.chars().zip(b.chars()).take(4).take_while(|(a, b)| a == b).count();
                let boost = if similarity > 0.7 { prefix as f64 * 0.1 } else { 0.0 };
                out.f64(similarity + boost * (1.0 - similarity));
                Ok(())
            }),
        )],
        examples: &[
            ("ROUND(JARO_WINKLER_SIMILARITY('martha', 'marhta'), 4)", "0.9611"),
            ("JARO_WINKLER_SIMILARITY(NULL, 'a')", "NULL"),
        ],
        ..TEXT
    },
    Builtin {
        name: "SOUNDEX",
        doc: "A letter and three digits that similar sounding English words share.",
        overloads: &[sig(
            &[P::String],
            P::String,
            host("soundex", |_, a, out| {
                out.str(&soundex(a[0].str()));
                Ok(())
            }),
        )],
        examples: &[
            ("SOUNDEX('Robert')", "R163"),
            ("SOUNDEX('Tymczak')", "T522"),
            ("SOUNDEX(NULL)", "NULL"),
        ],
        ..TEXT
    },
];

fn chars_of(args: [&str; 2]) -> Result<[Vec<char>; 2], HostError> {
    let texts = args.map(|text| text.chars().collect::<Vec<char>>());
    if texts[0].len().saturating_mul(texts[1].len()) > STEPS_MAX {
        return Err(HostError::bad_argument("the texts are too long to be compared"));
    }
    Ok(texts)
}

fn levenshtein(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let [a, b] = chars_of([args[0].str(), args[1].str()])?;
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    out.i64(row[b.len()] as i64);
    Ok(())
}

fn hamming(_: &mut HostCx, args: &[HostArg<'_>], out: &mut HostOut<'_>) -> Done {
    let (a, b) = (args[0].str(), args[1].str());
    if a.chars().count() != b.chars().count() {
        return Err(HostError::bad_argument("HAMMING takes texts of one length"));
    }
    out.i64(a.chars().zip(b.chars()).filter(|(a, b)| a != b).count() as i64);
    Ok(())
}

fn jaro(a: &str, b: &str) -> Result<f64, HostError> {
    let [a, b] = chars_of([a, b])?;
    if a.is_empty() || b.is_empty() {
        return Ok(if a == b { 1.0 } else { 0.0 });
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut common = Vec::new();
    for (i, c) in a.iter().enumerate() {
        let near = i.saturating_sub(reach)..(i + reach + 1).min(b.len());
        if let Some(j) = near.into_iter().find(|&j| !taken[j] && b[j] == *c) {
            taken[j] = true;
            common.push(*c);
        }
    }
    if common.is_empty() {
        return Ok(0.0);
    }
    let there = b.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(c, _)| c);
    let moved = there.zip(&common).filter(|(a, b)| a != b).count() / 2;
    let matches = common.len() as f64;
    let parts =
        [matches / a.len() as f64, matches / b.len() as f64, (matches - moved as f64) / matches];
    Ok(parts.iter().sum::<f64>() / 3.0)
}

fn soundex(text: &str) -> String {
    let digit = |c: char| match c {
        'B' | 'F' | 'P' | 'V' => Some('1'),
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => Some('2'),
        'D' | 'T' => Some('3'),
        'L' => Some('4'),
        'M' | 'N' => Some('5'),
        'R' => Some('6'),
        _ => None,
    };
    let mut letters =
        text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase());
    let Some(first) = letters.next() else { return String::new() };
    let mut code = String::from(first);
    let mut last = digit(first);
    for c in letters {
        let now = digit(c);
        if let Some(now) = now
            && last != Some(now)
        {
            code.push(now);
        }
        // H and W stand between equal sounds as if they were not there.
        if !matches!(c, 'H' | 'W') {
            last = now;
        }
    }
    let mut code: String = code.chars().take(4).collect();
    while code.len() < 4 {
        code.push('0');
    }
    code
}
