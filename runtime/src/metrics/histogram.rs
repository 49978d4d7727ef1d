//! How long something takes: counts by classes of duration, as Prometheus' histograms have them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest duration of each class, microseconds; a last class has no end. From a commit of an
/// embedded log to a transaction that its broker gives up.
pub const BOUNDS_MICROS: [u64; 16] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 150_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Durations that are noted by one thread while others look.
#[derive(Debug, Default)]
pub struct Histogram {
    classes: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_micros: AtomicU64,
}

/// What a histogram held at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// How many were in each class: at most its bound in `BOUNDS_MICROS`, and above the one before.
    pub classes: [u64; BOUNDS_MICROS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Histogram {
    /// Notes a duration.
    pub fn note(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_MICROS.partition_point(|&bound| bound < micros);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
    }

    /// What it holds.
    pub fn read(&self) -> Durations {
        Durations {
            classes: std::array::from_fn(|class| self.classes[class].load(Ordering::Relaxed)),
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)),
        }
    }
}

impl Durations {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Their mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        self.sum.checked_div(u32::try_from(self.count()).unwrap_or(u32::MAX)).unwrap_or_default()
    }

    /// A bound that this share of them (0 to 1) keeps; `None` if there are none, or it is beyond
    /// the last bound.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let needed = (self.count() as f64 * share).ceil() as u64;
        let mut so_far = 0;
        let class = self.classes.iter().position(|count| {
            so_far += count;
            so_far > 0 && so_far >= needed
        });
        class
            .and_then(|class| BOUNDS_MICROS.get(class))
            .map(|&micros| Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_class_whose_bound_it_keeps() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 60_000_000, 60_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let held = histogram.read();
        assert_eq!((held.classes[0], held.classes[1]), (2, 1));
        assert_eq!((held.classes[15], held.classes[16]), (1, 1));
        assert_eq!((held.count(), held.sum.as_micros()), (5, 120_002_002));
        assert_eq!(held.mean(), Duration::from_nanos(24_000_400_400));
    }

    #[test]
    fn a_share_keeps_the_bound_of_its_class() {
        let histogram = Histogram::default();
        assert_eq!((histogram.read().within(0.5), histogram.read().mean()), (None, Duration::ZERO));
        for millis in [1, 1, 1, 40] {
            histogram.note(Duration::from_millis(millis));
        }
        let held = histogram.read();
        assert_eq!(held.within(0.0), Some(Duration::from_millis(1)));
        assert_eq!(held.within(0.75), Some(Duration::from_millis(1)));
        assert_eq!(held.within(0.99), Some(Duration::from_millis(50)));
        histogram.note(Duration::from_secs(100));
        assert_eq!(histogram.read().within(1.0), None);
    }
}
