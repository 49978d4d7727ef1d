//! Time zones: names of the IANA database or fixed offsets such as `+02:00`. A local time that
//! occurs twice is the earlier instant; one that is skipped is read with the offset before the gap.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::calendar::HOUR;
use crate::host::{HostArg, HostCx, HostError, HostOut};
use crate::text;

/// A zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Zone {
    /// Of the IANA database.
    Named(Tz),
    /// Microseconds east of UTC.
    Fixed(i64),
}

impl Zone {
    /// The zone of this name.
    ///
    /// # Errors
    /// `BadArgument` if there is none.
    pub fn parse(name: &str) -> Result<Zone, HostError> {
        let name = name.trim();
        if let Some(offset) = text::parse_offset(name) {
            return Ok(Zone::Fixed(offset));
        }
        let named = |tz: &&Tz| tz.name().eq_ignore_ascii_case(name);
        chrono_tz::TZ_VARIANTS
            .iter()
            .find(named)
            .map(|tz| Zone::Named(*tz))
            .ok_or_else(|| HostError::bad_argument(format!("no time zone '{name}'")))
    }

    /// Whether it is always as UTC.
    pub fn is_utc(&self) -> bool {
        match self {
            Zone::Fixed(offset) => *offset == 0,
            Zone::Named(tz) => matches!(
                tz,
                Tz::UTC
                    | Tz::UCT
                    | Tz::GMT
                    | Tz::Zulu
                    | Tz::Universal
                    | Tz::Greenwich
                    | Tz::Etc__UTC
                    | Tz::Etc__UCT
                    | Tz::Etc__GMT
                    | Tz::Etc__Zulu
                    | Tz::Etc__Universal
                    | Tz::Etc__Greenwich
            ),
        }
    }

    /// How far east of UTC it is, in microseconds, at all times from 2000 to 2037 up to multiples
    /// of a period; `None` where its offset changes by something else.
    pub fn offset_within(&self, period: i64) -> Option<i64> {
        // No offset lasts for less than ten days.
        let days = (10_957..24_837).step_by(10);
        let mut offsets = days.map(|day| {
            let utc = day * crate::calendar::DAY;
            self.local(utc).map(|local| local - utc)
        });
        let first = offsets.next()?.ok()?;
        offsets.all(|other| other.is_ok_and(|other| (other - first) % period == 0)).then_some(first)
    }

    /// The instant that a text says: by its own offset, else as the local time.
    ///
    /// # Errors
    /// `BadCast` if it is no timestamp; `Overflow` outside the calendar.
    pub fn read(&self, written: &str) -> Result<i64, HostError> {
        match text::parse_local(written) {
            Some((local, None)) => self.instant(local),
            Some((local, Some(offset))) => {
                local.checked_sub(offset).ok_or_else(HostError::overflow)
            }
            None => Err(super::time_read::unread(written)),
        }
    }

    /// The local time at an instant.
    ///
    /// # Errors
    /// `Overflow` outside the calendar.
    pub fn local(&self, utc: i64) -> Result<i64, HostError> {
        let offset = match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(tz) => seconds(tz.offset_from_utc_datetime(&naive(utc)?).fix()),
        };
        utc.checked_add(offset).ok_or_else(HostError::overflow)
    }

    /// The instant of a local time.
    ///
    /// # Errors
    /// `Overflow` outside the calendar.
    pub fn instant(&self, local: i64) -> Result<i64, HostError> {
        let offset = match self {
            Zone::Fixed(offset) => *offset,
            Zone::Named(tz) => match tz.offset_from_local_datetime(&naive(local)?) {
                LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => {
                    seconds(offset.fix())
                }
                LocalResult::None => {
                    let before = naive(local.saturating_sub(24 * HOUR))?;
                    seconds(tz.offset_from_utc_datetime(&before).fix())
                }
            },
        };
        local.checked_sub(offset).ok_or_else(HostError::overflow)
    }
}

fn seconds(offset: chrono::FixedOffset) -> i64 {
    i64::from(offset.local_minus_utc()) * crate::calendar::SECOND
}

fn naive(micros: i64) -> Result<NaiveDateTime, HostError> {
    DateTime::from_timestamp_micros(micros).map(|t| t.naive_utc()).ok_or_else(HostError::overflow)
}

/// The instant that a text says, as the time in a zone.
pub fn to_instant(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    let zone = *cx.cached(args[1].bytes(), Zone::parse)?;
    out.i64(zone.read(args[0].str())?);
    Ok(())
}

/// TIMESTAMP AT TIME ZONE.
pub fn to_utc(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    let zone = *cx.cached(args[1].bytes(), Zone::parse)?;
    out.i64(zone.instant(args[0].i64())?);
    Ok(())
}

/// TIMESTAMP_LTZ AT TIME ZONE.
pub fn of_utc(
    cx: &mut HostCx,
    args: &[HostArg<'_>],
    out: &mut HostOut<'_>,
) -> Result<(), HostError> {
    let zone = *cx.cached(args[1].bytes(), Zone::parse)?;
    out.i64(zone.local(args[0].i64())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text::parse_timestamp(text).expect("a timestamp")
    }

    #[test]
    fn summer_and_winter() {
        let berlin = Zone::parse("europe/berlin").expect("known");
        assert_eq!(berlin.local(at("2026-01-01 00:00")), Ok(at("2026-01-01 01:00")));
        assert_eq!(berlin.instant(at("2026-07-01 12:00")), Ok(at("2026-07-01 10:00")));
        assert_eq!(berlin.instant(at("2026-03-29 02:30")), Ok(at("2026-03-29 01:30")));
        assert_eq!(berlin.instant(at("2026-10-25 02:30")), Ok(at("2026-10-25 00:30")));
    }

    #[test]
    fn texts_with_and_without_an_offset() {
        let berlin = Zone::parse("Europe/Berlin").expect("known");
        assert_eq!(berlin.read("2026-07-01 12:00"), Ok(at("2026-07-01 10:00")));
        assert_eq!(berlin.read("2026-07-01 12:00Z"), Ok(at("2026-07-01 12:00")));
        assert_eq!(berlin.read("2026-07-01T12:00:00-01:00"), Ok(at("2026-07-01 13:00")));
        assert!(berlin.read("noon").is_err());
        assert!(Zone::parse("Etc/UTC").is_ok_and(|zone| zone.is_utc()) && !berlin.is_utc());
    }

    #[test]
    fn fixed_and_unknown() {
        assert_eq!(Zone::parse("+02:00"), Ok(Zone::Fixed(2 * HOUR)));
        assert_eq!(Zone::parse("UTC"), Ok(Zone::Fixed(0)));
        assert!(Zone::parse("Mars/Olympus").is_err());
        assert!(Zone::parse("Europe/Berlin").expect("known").local(i64::MAX).is_err());
        assert!(Zone::Fixed(1).local(i64::MAX).is_err());
    }
}
