//! The bytes of one Avro payload and the reads that all of Avro is made of. Every read is checked
//! against what is left; a failed read leaves nothing to go on with. The hot reads are inlined
//! wholly, so that an `Input` in a loop over steps lives in registers.

use super::Bad;

/// Items of no bytes (null, an empty record, a fixed of 0) that any payload may have.
const EMPTY_ITEMS_MAX: usize = 64;

/// The high bits of eight bytes; a varint's last byte is the first where it is clear.
const STOP_BITS: u64 = 0x8080_8080_8080_8080;

/// What is left of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
    /// Array and map items that may still come: a payload has at most as many as it has bytes, and
    /// `EMPTY_ITEMS_MAX` more, so that items of no bytes cannot ask for more memory or time than
    /// the payload is worth.
    items_left: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, items_left: payload.len() + EMPTY_ITEMS_MAX }
    }

    /// The rest of a payload that may still have so many items.
    pub(super) fn with_items(rest: &'a [u8], items_left: usize) -> Self {
        Self { rest, items_left }
    }

    /// Items that may still come.
    pub(super) fn items_left(&self) -> usize {
        self.items_left
    }

    /// The bytes that are left.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Avro's zig-zag variable-length integer. Bytes are looked at in one word: the lowest byte
    /// without its high bit ends the number, and mask-and-shift steps close the gaps. Most numbers
    /// have at most four bytes.
    #[inline(always)]
    pub(super) fn long(&mut self) -> Result<i64, Bad> {
        if let Some(chunk) = self.rest.first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            let (low, low_stop) = (word as u32, !word as u32 & STOP_BITS as u32);
            if low_stop != 0 {
                let groups = low & (low_stop ^ (low_stop - 1)) & !STOP_BITS as u32;
                self.rest = &self.rest[low_stop.trailing_zeros() as usize / 8 + 1..];
                return Ok(zigzag(u64::from(close_four_gaps(groups))));
            }
            let stop = !word & STOP_BITS;
            if stop != 0 {
                let groups = word & (stop ^ (stop - 1)) & !STOP_BITS;
                self.rest = &self.rest[length(stop)..];
                return Ok(zigzag(close_gaps(groups)));
            }
        }
        self.long_bytewise()
    }

    /// The same near a payload's end, and for numbers of nine or ten bytes.
    #[inline(always)]
    fn long_bytewise(&mut self) -> Result<i64, Bad> {
        let (value, rest) = long_bytewise(self.rest)?;
        self.rest = rest;
        Ok(value)
    }

    /// A varint of at most 32 bits.
    #[inline(always)]
    pub(super) fn int(&mut self) -> Result<i32, Bad> {
        i32::try_from(self.long()?).map_err(|_| Bad::Varint)
    }

    /// Passes over varints.
    #[inline(always)]
    pub(super) fn skip_longs(&mut self, count: u32) -> Result<(), Bad> {
        for _ in 0..count {
            match self.rest.first_chunk::<8>().map(|c| !u64::from_le_bytes(*c) & STOP_BITS) {
                Some(stop) if stop != 0 => self.rest = &self.rest[length(stop)..],
                Some(_) | None => self.long_bytewise().map(|_| ())?,
            }
        }
        Ok(())
    }

    /// This many bytes.
    #[inline(always)]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Bad::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// This many bytes.
    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Bad::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Bytes after their length. Lengths of one or two bytes are the rule.
    #[inline(always)]
    pub(super) fn lengthed(&mut self) -> Result<&'a [u8], Bad> {
        let (length, width) = match *self.rest {
            [a, _, ..] if a < 0x80 => (usize::from(a), 1),
            [a, b, ..] if b < 0x80 => (usize::from(a & 0x7f) | usize::from(b) << 7, 2),
            _ => {
                let length = self.long_bytewise()?;
                return self.take(usize::try_from(length).map_err(|_| Bad::Length)?);
            }
        };
        if length & 1 != 0 {
            return Err(Bad::Length);
        }
        let end = width + length / 2;
        let (taken, rest) = self.rest.split_at_checked(end).ok_or(Bad::Truncated)?;
        self.rest = rest;
        Ok(&taken[width..])
    }

    /// Passes over strings or byte strings.
    #[inline(always)]
    pub(super) fn skip_strings(&mut self, count: u32) -> Result<(), Bad> {
        for _ in 0..count {
            self.lengthed()?;
        }
        Ok(())
    }

    /// The number of a union's branch.
    #[inline(always)]
    pub(super) fn branch(&mut self) -> Result<usize, Bad> {
        match *self.rest {
            [a, ..] if a < 0x80 && a & 1 == 0 => {
                self.rest = &self.rest[1..];
                Ok(usize::from(a >> 1))
            }
            _ => usize::try_from(self.long_bytewise()?).map_err(|_| Bad::Branch),
        }
    }

    /// The next block of an array or map: how many items, 0 at the end; and its length in bytes if
    /// the writer gave one.
    pub(super) fn block(&mut self) -> Result<(usize, Option<usize>), Bad> {
        let count = self.long()?;
        let size = match count < 0 {
            true => Some(usize::try_from(self.long()?).map_err(|_| Bad::Length)?),
            false => None,
        };
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| Bad::Items)?;
        self.items_left = self.items_left.checked_sub(count).ok_or(Bad::Items)?;
        Ok((count, size))
    }
}

/// A varint byte by byte, and what follows.
#[inline(never)]
fn long_bytewise(bytes: &[u8]) -> Result<(i64, &[u8]), Bad> {
    let (mut value, mut shift) = (0u64, 0u32);
    for (i, &byte) in bytes.iter().enumerate() {
        if shift == 63 && byte > 1 {
            return Err(Bad::Varint);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((zigzag(value), &bytes[i + 1..]));
        }
        shift += 7;
    }
    Err(Bad::Truncated)
}

/// Bytes of a varint, by the (inverted) stop bits of the word that it begins; not 0.
#[inline]
fn length(stop: u64) -> usize {
    stop.trailing_zeros() as usize / 8 + 1
}

#[inline]
fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Joins eight groups of seven bits.
#[inline]
fn close_gaps(x: u64) -> u64 {
    let x = x - ((x & 0x7f00_7f00_7f00_7f00) >> 1);
    let x = (x & 0x0000_3fff_0000_3fff) | ((x & 0x3fff_0000_3fff_0000) >> 2);
    (x & 0xffff_ffff) | (x >> 32 << 28)
}

/// Joins four groups of seven bits.
#[inline]
fn close_four_gaps(x: u32) -> u32 {
    let x = x - ((x & 0x7f00_7f00) >> 1);
    (x & 0x3fff) | (x >> 16 << 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i64) -> Vec<u8> {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        let mut out = Vec::new();
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
        out
    }

    #[test]
    fn longs_of_every_length_read_with_and_without_bytes_behind() {
        let powers = (0..64).flat_map(|shift| {
            let power = 1i64.wrapping_shl(shift);
            [power, power.wrapping_sub(1), power.wrapping_neg(), power.wrapping_add(1)]
        });
        for value in powers.chain([0, i64::MIN, i64::MAX]) {
            for padding in [0, 1, 8] {
                let mut bytes = written(value);
                let length = bytes.len();
                bytes.extend(std::iter::repeat_n(0x80, padding));
                let mut input = Input::new(&bytes);
                assert_eq!(input.long(), Ok(value));
                assert_eq!(input.rest.len(), bytes.len() - length);
                let mut input = Input::new(&bytes);
                assert_eq!(input.skip_longs(1), Ok(()));
                assert_eq!(input.rest.len(), bytes.len() - length);
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(Input::new(&[]).long(), Err(Bad::Truncated));
        assert_eq!(Input::new(&[0x80; 3]).long(), Err(Bad::Truncated));
        assert_eq!(Input::new(&[0xff; 12]).long(), Err(Bad::Varint));
        assert_eq!(Input::new(&[0xff; 12]).skip_longs(1), Err(Bad::Varint));
        assert_eq!(Input::new(&written(1 << 31)).int(), Err(Bad::Varint));
        assert_eq!(Input::new(&written(-1)).lengthed(), Err(Bad::Length));
        assert_eq!(Input::new(&written(5)).lengthed(), Err(Bad::Truncated));
        assert_eq!(Input::new(&written(-1)).branch(), Err(Bad::Branch));
        assert_eq!(Input::new(&written(100)).block(), Err(Bad::Items));
        assert_eq!(Input::new(&written(i64::MIN)).block(), Err(Bad::Truncated));
    }
}
