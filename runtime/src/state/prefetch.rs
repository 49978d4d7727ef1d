//! Asks the processor for a cache line before it is needed. Probing a table that is larger than
//! the caches costs a wait for memory per key; a batch asks for all its lines first and waits once.
//! The one file of the state store with `unsafe`.

/// Starts to load the cache line that holds `slice[index]`; does nothing if there is no such item.
#[inline]
pub(super) fn prefetch<T>(slice: &[T], index: usize) {
    if let Some(item) = slice.get(index) {
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        // SAFETY: the pointer comes from a live reference, and a prefetch neither reads nor
        // writes as far as the program can tell. SSE is part of every x86-64 processor.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = item;
    }
}
