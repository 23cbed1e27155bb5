//! Unix time to the ISO 8601 text of `EXT-X-PROGRAM-DATE-TIME`.
//!
//! Written here rather than taken from a date crate: one function in one direction, for UTC, is
//! less than such a crate's configuration, and it is checked against every day of 800 years.

/// `YYYY-MM-DDTHH:MM:SS.mmmZ` at `ms` after `epoch`; times after the year 9999 are shown as its end.
pub(super) fn utc(epoch: u64, ms: u128) -> String {
    let unix_ms = (u128::from(epoch) * 1000).saturating_add(ms).min(LAST_MS);
    let (days, ms) = ((unix_ms / DAY_MS) as u64, unix_ms % DAY_MS);
    let (year, month, day) = civil(days);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, milli) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of the `days`-th day after 1970-01-01.
///
/// Counts from 1 March of the year 0, so that a leap day is the last day of its year: years, fours
/// and centuries are then divisions, and months follow 153 days for each five.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (cycle, day_of_cycle) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days_passed = day_of_cycle / 1_460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days_passed) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

const DAY_MS: u128 = 86_400_000;
/// 9999-12-31T23:59:59.999Z.
const LAST_MS: u128 = 253_402_300_799_999;
const DAYS_IN_400_YEARS: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_iso_8601() {
        assert_eq!(utc(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(utc(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_700_000_000, 123), "2023-11-14T22:13:20.123Z");
        assert_eq!(utc(4_102_444_800, 0), "2100-01-01T00:00:00.000Z");
        assert_eq!(utc(u64::MAX, u128::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..292_194 {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!(year, 2770);
    }
}
