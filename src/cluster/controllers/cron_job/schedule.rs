//! Schedules of CronJobs: five fields of cron, or a name such as `@daily`.

use jiff::civil::{Date, DateTime, Time};

/// Names for months and weekdays, in their order.
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Days that are looked through for a time; every schedule that ever comes, comes within eight years (a leap day).
const DAY_LIMIT: usize = 366 * 8 + 2;

/// Why a schedule cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ScheduleError {
    #[error("expected exactly 5 fields, found {0}")]
    Fields(usize),
    #[error("{0:?} is not a value from {1} to {2}")]
    Value(String, u8, u8),
    #[error("unrecognized descriptor: {0}")]
    Name(String),
}

/// Times to the minute. Each field is a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// `*` in days or in weekdays: then both have to match, else one is enough.
    both_days: bool,
}

impl Schedule {
    /// Reads `*/5 0-6 * JAN,FEB mon-fri`, `@hourly` and the like.
    pub(super) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            name if name.starts_with('@') => return Err(ScheduleError::Name(name.to_owned())),
            fields => fields,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(ScheduleError::Fields(fields.len()));
        };
        let any = |field: &str| field.starts_with('*') || field.starts_with('?');
        let sundays = field(weekdays, 0, 7, &WEEKDAYS, 0)?;
        Ok(Self {
            minutes: field(minutes, 0, 59, &[], 0)?,
            hours: field(hours, 0, 23, &[], 0)?,
            days: field(days, 1, 31, &[], 0)?,
            months: field(months, 1, 12, &MONTHS, 1)?,
            weekdays: (sundays | sundays >> 7) & 0x7f,
            both_days: any(days) || any(weekdays),
        })
    }

    /// The first time after `time`.
    pub(super) fn next_after(&self, time: DateTime) -> Option<DateTime> {
        let mut date = time.date();
        for _ in 0..DAY_LIMIT {
            if self.has_day(date) {
                let found = self.times(date).find(|found| *found > time);
                if found.is_some() {
                    return found;
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The last time that is after `after` and not after `until`.
    pub(super) fn last_between(&self, after: DateTime, until: DateTime) -> Option<DateTime> {
        let mut date = until.date();
        for _ in 0..DAY_LIMIT {
            if date < after.date() {
                return None;
            }
            if self.has_day(date) {
                let found = self.times(date).filter(|found| *found > after && *found <= until).last();
                if found.is_some() {
                    return found;
                }
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let has = |set: u64, bit: i8| set >> bit & 1 == 1;
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.both_days { day && weekday } else { day || weekday }
    }

    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> {
        let hours = (0..24).filter(|hour| self.hours >> hour & 1 == 1);
        hours.flat_map(move |hour| {
            let minutes = (0..60).filter(|minute| self.minutes >> minute & 1 == 1);
            minutes.filter_map(move |minute| Some(date.to_datetime(Time::new(hour, minute, 0, 0).ok()?)))
        })
    }
}

/// A list of `*`, values, ranges, each with an optional `/step`.
fn field(text: &str, low: u8, high: u8, names: &[&str], first_name: u8) -> Result<u64, ScheduleError> {
    let wrong = || ScheduleError::Value(text.to_owned(), low, high);
    let value = |word: &str| -> Result<u8, ScheduleError> {
        let named = names.iter().position(|name| word.eq_ignore_ascii_case(name));
        let number = match named {
            Some(at) => first_name + u8::try_from(at).unwrap_or(0),
            None => word.parse().map_err(|_| wrong())?,
        };
        if (low..=high).contains(&number) { Ok(number) } else { Err(wrong()) }
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().map_err(|_| wrong())?)),
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, high),
            Some((from, to)) => (value(from)?, value(to)?),
            // `5/10` is every tenth from the fifth on.
            None if step.is_some() => (value(range)?, high),
            None => (value(range)?, value(range)?),
        };
        let step = step.unwrap_or(1);
        if step == 0 || from > to {
            return Err(wrong());
        }
        for number in (from..=to).step_by(usize::from(step)) {
            set |= 1 << number;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> String {
        let schedule = Schedule::parse(schedule).unwrap();
        schedule.next_after(after.parse().unwrap()).map_or("never".to_owned(), |time| time.to_string())
    }

    #[test]
    fn the_next_time_is_the_first_that_matches_every_field() {
        let cases = [
            ("* * * * *", "2026-11-21T10:00:30", "2026-11-21T10:01:00"),
            ("*/15 * * * *", "2026-11-21T10:45:00", "2026-11-21T11:00:00"),
            ("0 0 * * 0", "2026-11-21T10:00:00", "2026-11-22T00:00:00"),
            ("0 0 * * 7", "2026-11-21T10:00:00", "2026-11-22T00:00:00"),
            ("30 8 * JAN-MAR mon", "2026-11-21T10:00:00", "2027-01-04T08:30:00"),
            // A day of the month or a weekday, where both are named.
            ("0 0 13 * fri", "2026-11-21T10:00:00", "2026-11-27T00:00:00"),
            ("0 0 29 2 *", "2026-11-21T10:00:00", "2028-02-29T00:00:00"),
            ("0 0 31 2 *", "2026-11-21T10:00:00", "never"),
            ("@monthly", "2026-11-21T10:00:00", "2026-12-01T00:00:00"),
        ];
        for (schedule, after, expected) in cases {
            assert_eq!(next(schedule, after), expected, "{schedule}");
        }
    }

    #[test]
    fn the_last_missed_time_is_found() {
        let schedule = Schedule::parse("0 */6 * * *").unwrap();
        let time = |text: &str| text.parse::<DateTime>().unwrap();
        let last = |after, until| schedule.last_between(time(after), time(until));
        assert_eq!(last("2026-11-01T00:00:00", "2026-11-21T10:00:00"), Some(time("2026-11-21T06:00:00")));
        assert_eq!(last("2026-11-21T06:00:00", "2026-11-21T10:00:00"), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in
            ["", "* * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "5-1 * * * *", "@often", "x * * * *"]
        {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
