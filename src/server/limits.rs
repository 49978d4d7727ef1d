//! What one caller may ask of the server: requests a second, and how long a client may take over
//! what it is sent. Sizes, counts and times are in `config::Limits`.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Callers that are remembered; when there are more, those with a full bucket are forgotten.
const CALLERS_MAX: usize = 10_000;

/// Token buckets by caller.
pub struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// So many a second of each caller, and so many at once.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second.max(1)),
            burst: f64::from(burst.max(1)),
            buckets: Mutex::default(),
        }
    }

    /// Whether a caller may go on now; this counts as one.
    pub fn take(&self, caller: &str, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(|e| e.into_inner());
        if buckets.len() >= CALLERS_MAX && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.burst);
            // All are busy: whoever is new waits, so that memory stays bounded.
            if buckets.len() >= CALLERS_MAX {
                return false;
            }
        }
        let bucket =
            buckets.entry(caller.to_string()).or_insert(Bucket { left: self.burst, at: now });
        let left = self.filled(*bucket, now);
        let may = left >= 1.0;
        *bucket = Bucket { left: if may { left - 1.0 } else { left }, at: now };
        may
    }

    /// Whether a caller could go on now; this does not count.
    pub fn may(&self, caller: &str, now: Instant) -> bool {
        let buckets = self.buckets.lock().unwrap_or_else(|e| e.into_inner());
        buckets.get(caller).is_none_or(|bucket| self.filled(*bucket, now) >= 1.0)
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + seconds * self.per_second).min(self.burst)
    }
}

/// A connection whose peer has to take what it is sent: a write that waits too long fails, which
/// ends the connection. So a subscriber that does not read is cut off.
pub struct Patient<T> {
    inner: T,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Patient<T> {
    /// A connection with this much patience.
    pub fn new(inner: T, patience: Duration) -> Self {
        Self { inner, patience, waiting: None }
    }

    /// Passes a write's result on, or fails it when it has waited for too long.
    fn watch<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                let message = "the client does not take what it is sent";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_for_each_caller() {
        let rates = Rates::new(10, 2);
        let now = Instant::now();
        assert!(rates.take("a", now) && rates.take("a", now) && !rates.take("a", now));
        assert!(rates.take("b", now) && rates.may("b", now) && !rates.may("a", now));
        let later = now + Duration::from_millis(150);
        assert!(rates.take("a", later) && !rates.take("a", later));
    }

    #[test]
    fn callers_are_bounded() {
        let rates = Rates::new(1, 1);
        let now = Instant::now();
        for n in 0..CALLERS_MAX {
            assert!(rates.take(&n.to_string(), now));
        }
        assert!(!rates.take("new", now), "all are busy");
        let later = now + Duration::from_secs(2);
        assert!(rates.take("new", later), "all have rested");
    }

    #[test]
    fn a_write_that_waits_too_long_fails() {
        use tokio::io::AsyncWriteExt;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(4);
            let mut near = Patient::new(near, Duration::from_millis(1));
            let error = near.write_all(b"more than fits").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(far);
        });
    }
}
