//! Prometheus' text format, version 0.0.4, read strictly: what a scrape would drop, or take for
//! something else, is refused.

use std::collections::{BTreeMap, BTreeSet};

/// A sample: its name, its labels and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The samples of a family.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

type Result<T> = std::result::Result<T, String>;

/// The families of a page.
pub(crate) fn families(page: &str) -> Result<Vec<Family>> {
    let mut families: Vec<Family> = Vec::new();
    let mut helped = None;
    if !page.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| format!("no help: {line}"))?;
            let is_known = families.iter().any(|f| f.name == name);
            if is_known || help.is_empty() || !is_name(name, ":") {
                return Err(format!("a family is told once, by its name: {line}"));
            }
            helped = Some(name.to_string());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| format!("no kind: {line}"))?;
            if helped.take().as_deref() != Some(name) {
                return Err(format!("the type does not follow its help: {line}"));
            }
            families.push(Family { name: name.into(), kind: kind.into(), samples: Vec::new() });
        } else {
            let sample = sample(line).map_err(|why| format!("{why}: {line}"))?;
            let family = families.last_mut().filter(|family| family.may_have(&sample.name));
            let family = family.ok_or_else(|| format!("outside of its family: {line}"))?;
            family.samples.push(sample);
        }
    }
    families.iter().try_for_each(Family::check)?;
    Ok(families)
}

impl Family {
    fn may_have(&self, sample: &str) -> bool {
        let suffix = sample.strip_prefix(&self.name);
        match self.kind.as_str() {
            "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
            _ => suffix == Some(""),
        }
    }

    fn check(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            if !seen.insert((&sample.name, &sample.labels)) {
                return Err(format!("there twice: {sample:?}"));
            }
        }
        match self.kind.as_str() {
            "counter" => self.check_counter(),
            "gauge" => Ok(()),
            "histogram" => self.check_histogram(),
            other => Err(format!("{} is of no known type: {other}", self.name)),
        }
    }

    fn check_counter(&self) -> Result<()> {
        let grows = |s: &&Sample| s.value >= 0.0 && s.value.is_finite();
        match (self.name.ends_with("_total"), self.samples.iter().find(|s| !grows(s))) {
            (true, None) => Ok(()),
            (false, _) => Err(format!("{} is a counter by another name", self.name)),
            (true, Some(sample)) => Err(format!("no count: {sample:?}")),
        }
    }

    /// Of each set of labels: classes ascend to +Inf, their counts never fall, and the last is all.
    fn check_histogram(&self) -> Result<()> {
        let mut series: BTreeMap<_, [Vec<(f64, f64)>; 3]> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").map(|bound| number(&bound)).transpose()?;
            let at = match (sample.name.strip_prefix(&self.name), bound) {
                (Some("_bucket"), Some(_)) => 0,
                (Some("_sum"), None) => 1,
                (Some("_count"), None) => 2,
                _ => return Err(format!("le is for buckets: {sample:?}")),
            };
            series.entry(labels).or_default()[at].push((bound.unwrap_or(0.0), sample.value));
        }
        for (labels, [buckets, sum, count]) in series {
            let ascend = buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
            let (Some((f64::INFINITY, all)), [(_, sum)], [(_, count)]) =
                (buckets.last().copied(), &sum[..], &count[..])
            else {
                return Err(format!("{} of {labels:?} is not whole", self.name));
            };
            if !ascend || all != *count || *sum < 0.0 {
                return Err(format!("{} of {labels:?} contradicts itself", self.name));
            }
        }
        Ok(())
    }
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"").ok_or("a label has no value")?;
            let (value, behind) = quoted(behind)?;
            let is_label = is_name(label, "") && !label.starts_with("__");
            if !is_label || labels.insert(label.to_string(), value).is_some() {
                return Err(format!("no label, or there twice: {label}"));
            }
            match behind.split_at_checked(1) {
                Some((",", behind)) => rest = behind,
                Some(("}", behind)) => {
                    rest = behind;
                    break;
                }
                _ => return Err("the labels do not end".into()),
            }
        }
    }
    let value = number(rest.strip_prefix(' ').ok_or("no blank before the value")?)?;
    if !is_name(name, ":") {
        return Err("no name".into());
    }
    Ok(Sample { name: name.into(), labels, value })
}

/// A label's value up to its quote, and what is behind.
fn quoted(text: &str) -> Result<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => return Err(format!("no escape: {other:?}")),
            }),
            c => value.push(c),
        }
    }
    Err("a value has no end".into())
}

fn number(text: &str) -> Result<f64> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        text if is_number => text.parse().map_err(|e| format!("{e}: {text}")),
        _ => Err(format!("no number: {text}")),
    }
}

fn is_name(name: &str, more: &str) -> bool {
    let may = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    !name.is_empty() && name.chars().all(may) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn what_a_scrape_would_not_take_is_refused() {
    let head = "# HELP n_total Help.\n# TYPE n_total counter\n";
    let page = format!("{head}n_total{{a=\"x,=}}\\\"\\\\\\n\",b=\"\"}} 1.5\nn_total 2\n");
    let read = families(&page).expect("it is right");
    assert_eq!(read[0].samples[0].labels["a"], "x,=}\"\\\n");
    assert_eq!((read[0].samples[1].value, read[0].kind.as_str()), (2.0, "counter"));
    for wrong in [
        "n_total 1",
        "n_total\n",
        "n_total -1\n",
        "n_total x\n",
        "n_total{a=\"1\"} 1\nn_total{a=\"1\"} 2\n",
        "n_total{a=\"1\",a=\"1\"} 1\n",
        "n_total{a=\"\\t\"} 1\n",
        "n_total{a=\"1} 1\n",
        "n_total{1=\"1\"} 1\n",
        "other_total 1\n",
        "\n",
        "# HELP n_total Help.\n# TYPE n_total counter\n",
        "# HELP n Help.\n# TYPE n counter\nn 1\n",
        "# HELP n Help.\n# TYPE m gauge\n",
    ] {
        assert!(families(&format!("{head}{wrong}")).is_err(), "{wrong}");
    }
    let histogram = "# HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\n";
    let end = "h_bucket{le=\"+Inf\"} 3\nh_sum 7\nh_count 3\n";
    assert!(families(&format!("{histogram}{end}")).is_ok());
    for wrong in [
        end.replace("+Inf", "2"),
        end.replace("} 3", "} 1"),
        end.replace("count 3", "count 4"),
        end.replace("h_sum 7\n", ""),
        end.replace("h_count", "h_all"),
    ] {
        assert!(families(&format!("{histogram}{wrong}")).is_err(), "{wrong}");
    }
}
