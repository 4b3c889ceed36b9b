//! The date and time that some chat templates print, from seconds since 1970, in UTC. No clock of its own.

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAY_SECONDS: i64 = 86_400;

/// Formats like C's `strftime`. Directives that templates do not use are left as they stand.
pub(crate) fn strftime(format: &str, unix_seconds: i64) -> String {
    let days = unix_seconds.div_euclid(DAY_SECONDS);
    let second = unix_seconds.rem_euclid(DAY_SECONDS);
    let (year, month, day) = civil_date(days);
    // 1970 began on a Thursday.
    let weekday = DAYS[(days + 3).rem_euclid(7) as usize];
    let month_name = MONTHS[month as usize - 1];
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let written = match characters.next() {
            Some('Y') => format!("{year:04}"),
            Some('y') => format!("{:02}", year.rem_euclid(100)),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('B') => month_name.to_owned(),
            Some('b') => month_name[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => format!("{:02}", second / 3600),
            Some('M') => format!("{:02}", second / 60 % 60),
            Some('S') => format!("{:02}", second % 60),
            Some('%') | None => "%".to_owned(),
            Some(other) => format!("%{other}"),
        };
        text.push_str(&written);
    }
    text
}

/// Year, month and day of a day counted from 1970, in the Gregorian calendar.
///
/// Counted in years that begin in March, so that the leap day is the last, and in cycles of 400 years.
fn civil_date(days: i64) -> (i64, i64, i64) {
    const CYCLE_DAYS: i64 = 146_097;
    const FROM_YEAR_0_DAYS: i64 = 719_468;
    let shifted = days + FROM_YEAR_0_DAYS;
    let cycle = shifted.div_euclid(CYCLE_DAYS);
    let in_cycle = shifted.rem_euclid(CYCLE_DAYS);
    let year_in_cycle = (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let day_of_year = in_cycle - (365 * year_in_cycle + year_in_cycle / 4 - year_in_cycle / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (
        cycle * 400 + year_in_cycle + i64::from(month <= 2),
        month,
        day,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let check =
            |seconds, expected| assert_eq!(strftime("%a %d %b %Y %H:%M:%S", seconds), expected);
        check(0, "Thu 01 Jan 1970 00:00:00");
        check(951_782_399, "Mon 28 Feb 2000 23:59:59");
        check(951_782_400, "Tue 29 Feb 2000 00:00:00");
        check(1_735_689_600, "Wed 01 Jan 2025 00:00:00");
        check(-1, "Wed 31 Dec 1969 23:59:59");
    }

    #[test]
    fn long_names_and_what_is_no_directive() {
        assert_eq!(
            strftime("%A, %B %y 100%% %Q %", 0),
            "Thursday, January 70 100% %Q %"
        );
    }
}
