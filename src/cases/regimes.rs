//! The ways in which every case runs. The eight fixed regimes cover all pairs of the values of all
//! dimensions; `all_regimes` is the whole product.

/// One way to run a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regime {
    /// Its name in case files and reports.
    pub name: String,
    /// Rows that a source pushes on at once.
    pub batch_rows: usize,
    /// Workers.
    pub parallelism: usize,
    /// No memory for state: everything is read back from disk.
    pub spilled: bool,
    /// The plan goes through its bytes.
    pub artifact: bool,
    /// Commits fail now and then, and the job starts again.
    pub crashes: bool,
    /// The work is done by native code, else by the interpreter.
    pub native: bool,
}

/// Values of one row of the covering table: batch, parallelism, spilled, artifact, crashes, native.
type Row = (usize, usize, bool, bool, bool, bool);

/// Eight rows in which every pair of values of two dimensions occurs.
const COVERING: [Row; 8] = [
    (1_024, 1, false, false, false, false),
    (1_024, 4, true, true, true, false),
    (1, 1, true, false, true, false),
    (1, 4, false, true, false, false),
    (7, 1, false, true, true, false),
    (7, 4, true, false, false, true),
    (1_024, 4, false, false, true, true),
    (1, 1, true, true, false, true),
];

/// The eight fixed regimes.
pub static REGIMES: std::sync::LazyLock<Vec<Regime>> =
    std::sync::LazyLock::new(|| COVERING.iter().map(|&row| Regime::new(row)).collect());

/// Every combination.
pub fn all_regimes() -> Vec<Regime> {
    let mut all = Vec::new();
    for batch in [1, 7, 1_024] {
        for parallelism in [1, 4] {
            for flags in 0..16 {
                let (spilled, artifact) = (flags & 1 > 0, flags & 2 > 0);
                let (crashes, native) = (flags & 4 > 0, flags & 8 > 0);
                let row = (batch, parallelism, spilled, artifact, crashes, native);
                all.push(Regime::new(row));
            }
        }
    }
    all
}

impl Regime {
    fn new((batch_rows, parallelism, spilled, artifact, crashes, native): Row) -> Self {
        let mut name = format!("b{batch_rows}-p{parallelism}");
        let words = [
            (spilled, "spilled"),
            (artifact, "artifact"),
            (crashes, "crashes"),
            (native, "native"),
        ];
        for (on, word) in words {
            if on {
                name.push('-');
                name.push_str(word);
            }
        }
        Self { name, batch_rows, parallelism, spilled, artifact, crashes, native }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn values(regime: &Regime) -> [usize; 6] {
        let flag = usize::from;
        let Regime { batch_rows, parallelism, spilled, artifact, crashes, native, .. } = *regime;
        let flags = [spilled, artifact, crashes, native].map(flag);
        [batch_rows, parallelism, flags[0], flags[1], flags[2], flags[3]]
    }

    fn pairs(regimes: &[Regime]) -> BTreeSet<(usize, usize, usize, usize)> {
        let mut pairs = BTreeSet::new();
        for v in regimes.iter().map(values) {
            for a in 0..v.len() {
                for b in a + 1..v.len() {
                    pairs.insert((a, v[a], b, v[b]));
                }
            }
        }
        pairs
    }

    #[test]
    fn the_eight_regimes_cover_every_pair_of_the_product() {
        assert_eq!(all_regimes().len(), 96);
        let missing: Vec<_> = pairs(&all_regimes()).difference(&pairs(&REGIMES)).copied().collect();
        assert_eq!(missing, []);
    }
}
