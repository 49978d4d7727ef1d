//! Prometheus' text, version 0.0.4: families, each with its samples behind it.

use std::fmt::{Display, Write};

use flow_runtime::metrics::{BOUNDS_MICROS, Durations};

/// A text that is put together.
#[derive(Default)]
pub(super) struct Page(String);

/// A label and its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// The kinds of families that there are.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It only grows, until the job starts again.
    Counter,
    /// The last value.
    Gauge,
    /// Counts by class.
    Histogram,
}

impl Page {
    /// Begins a family: what follows, up to the next, are its samples.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// Adds the samples of a histogram of seconds.
    pub(super) fn histogram(&mut self, name: &str, labels: &[Label<'_>], durations: &Durations) {
        let bounds = BOUNDS_MICROS.iter().map(|&micros| (micros as f64 / 1e6).to_string());
        let mut so_far = 0;
        for (bound, count) in bounds.chain(["+Inf".to_string()]).zip(durations.classes) {
            so_far += count;
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.sample(&format!("{name}_bucket"), &labels, so_far);
        }
        self.sample(&format!("{name}_sum"), labels, durations.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, so_far);
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use flow_runtime::metrics::Histogram;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.sample("n", &[("a", "x\"\\\n"), ("b", "y")], 1.5);
        page.sample("n", &[], 2);
        assert_eq!(page.into_text(), "n{a=\"x\\\"\\\\\\n\",b=\"y\"} 1.5\nn 2\n");
    }

    #[test]
    fn classes_of_a_histogram_include_those_below() {
        let histogram = Histogram::default();
        for millis in [1, 3, 90_000] {
            histogram.note(Duration::from_millis(millis));
        }
        let mut page = Page::default();
        page.histogram("h", &[("a", "b")], &histogram.read());
        let text = page.into_text();
        assert!(text.starts_with("h_bucket{a=\"b\",le=\"0.001\"} 1\n"), "{text}");
        assert!(text.contains("le=\"0.005\"} 2\n") && text.contains("le=\"60\"} 2\n"), "{text}");
        let end = "h_bucket{a=\"b\",le=\"+Inf\"} 3\nh_sum{a=\"b\"} 90.004\nh_count{a=\"b\"} 3\n";
        assert!(text.ends_with(end), "{text}");
    }
}
