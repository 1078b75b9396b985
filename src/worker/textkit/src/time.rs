//! strftime_now(): today's date for templates that print one. UTC, since a worker has no time zone files.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MAX_FORMAT_BYTES: usize = 256;

/// Year, month (1..) and day (1..) of a day counted from 1970-01-01 (Howard Hinnant's civil_from_days).
fn civil(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as usize, day)
}

/// `format` with the common conversions of strftime replaced; others stay as they are.
pub fn format_at(format: &str, seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let next = chars.next();
        let unpadded = next == Some('-');
        let conversion = if unpadded { chars.next() } else { next };
        let pad = |value: i64| if unpadded { value.to_string() } else { format!("{value:02}") };
        match conversion {
            Some('Y') => out += &year.to_string(),
            Some('y') => out += &pad(year % 100),
            Some('m') => out += &pad(month as i64),
            Some('d') => out += &pad(day),
            Some('e') => out += &format!("{day:2}"),
            Some('H') => out += &pad(second / 3600),
            Some('M') => out += &pad(second / 60 % 60),
            Some('S') => out += &pad(second % 60),
            Some('B') => out += MONTHS[month - 1],
            Some('b') => out += &MONTHS[month - 1][..3],
            Some('A') => out += weekday,
            Some('a') => out += &weekday[..3],
            Some('F') => out += &format!("{year}-{month:02}-{day:02}"),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

pub fn format_now(format: &str) -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    format_at(format.get(..MAX_FORMAT_BYTES).unwrap_or(format), seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::format_at;

    #[test]
    fn known_dates() {
        assert_eq!(format_at("%d %b %Y", 0), "01 Jan 1970");
        assert_eq!(format_at("%A %-d %B %Y %H:%M:%S", 951_827_696), "Tuesday 29 February 2000 12:34:56");
        assert_eq!(format_at("100%", 0), "100%");
    }
}
