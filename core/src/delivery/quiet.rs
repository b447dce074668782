//! Quiet hours: wall time in a time zone, judged when something is to be sent (`docs/alerts.md`, C8).

use jiff::{
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

use crate::{condition::ChannelName, time::Timestamp};

/// The hours in which messages are held.
#[derive(Clone, Debug)]
pub struct QuietHours {
    from: Time,
    to: Time,
    days: Vec<Weekday>,
    zone: TimeZone,
    channels: Vec<ChannelName>,
}

impl QuietHours {
    /// From `from` to `to` on each of `days`, in `zone`, for these channels (a name, or a kind such as `webhook` for all of it).
    /// A `to` that is not later than `from` belongs to the day after.
    pub const fn new(from: Time, to: Time, days: Vec<Weekday>, zone: TimeZone, channels: Vec<ChannelName>) -> Self {
        Self { from, to, days, zone, channels }
    }

    /// Whether messages over this channel are held.
    pub fn concern(&self, channel: &ChannelName) -> bool {
        self.channels.iter().any(|held| matches(held, channel))
    }

    /// The end of the quiet hours that hold `now`; nothing where it is not quiet. Hours that follow on each other are one.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut until = self.end(now)?;
        // Each of seven days adds one night at most; if they meet all round the week, look again a week later.
        for _ in 0..7 {
            match self.end(until) {
                Some(later) => until = later,
                None => break,
            }
        }
        Some(until)
    }

    /// The end of one day's quiet hours that hold `now`, the latest where several do.
    fn end(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_jiff().to_zoned(self.zone.clone()).date();
        // The hours of yesterday may run until now; a zone that left out or repeated a day shifts by one more.
        let days = [today.yesterday().and_then(Date::yesterday), today.yesterday(), Ok(today), today.tomorrow()];
        let hours = days.into_iter().flatten().filter_map(|day| self.of_day(day));
        hours.filter(|(from, to)| *from <= now && now < *to).map(|(_, to)| to).max()
    }

    /// The quiet hours that begin on this day. Of a repeated local time the first begins them and the last ends them, a skipped one
    /// is moved forward by the skip.
    fn of_day(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.to <= self.from { day.tomorrow().ok()? } else { day };
        let from = self.zone.to_ambiguous_timestamp(day.to_datetime(self.from)).compatible().ok()?;
        let to = self.zone.to_ambiguous_timestamp(last.to_datetime(self.to)).later().ok()?;
        Some((from.into(), to.into()))
    }
}

/// Whether `wanted`, a channel or a kind of channels, means `channel`.
pub(super) fn matches(wanted: &ChannelName, channel: &ChannelName) -> bool {
    wanted == channel || wanted.as_str() == channel.kind()
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan as _, civil::time};
    use proptest::prelude::*;

    use super::*;

    const WEEK: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];

    fn quiet(from: &str, to: &str, days: &[Weekday], zone: &str) -> QuietHours {
        let time = |text: &str| text.parse().expect("a time");
        let zone = TimeZone::get(zone).expect("a zone");
        QuietHours::new(time(from), time(to), days.to_vec(), zone, vec![ChannelName::new("desktop")])
    }

    /// The instant of a local time with its offset.
    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn over_midnight_the_hours_belong_to_the_day_they_began() {
        use Weekday::{Friday, Saturday};
        let nights = quiet("22:00", "07:00", &[Friday, Saturday], "Europe/Berlin");
        for (now, until) in [
            // Friday the 20th of November 2026, in winter time.
            ("2026-11-20T21:59:59+01:00", None),
            ("2026-11-20T22:00:00+01:00", Some("2026-11-21T07:00:00+01:00")),
            ("2026-11-21T06:59:59.999+01:00", Some("2026-11-21T07:00:00+01:00")),
            ("2026-11-21T07:00:00+01:00", None),
            ("2026-11-22T03:00:00+01:00", Some("2026-11-22T07:00:00+01:00")),
            ("2026-11-22T23:00:00+01:00", None),
            ("2026-11-20T03:00:00+01:00", None),
        ] {
            assert_eq!(nights.until(at(now)), until.map(at), "{now}");
        }
        let lunch = quiet("12:00", "13:30", &WEEK, "Europe/Berlin");
        assert_eq!(lunch.until(at("2026-11-20T13:00:00+01:00")), Some(at("2026-11-20T13:30:00+01:00")));
        assert_eq!(lunch.until(at("2026-11-20T13:30:00+01:00")), None);
    }

    #[test]
    fn skipped_times_are_moved_forward_and_both_of_a_repeated_hour_are_inside() {
        // Berlin: 2026-03-29 02:00 to 03:00 is skipped, 2026-10-25 02:00 to 03:00 comes twice.
        for (from, to, now, until) in [
            ("02:30", "06:00", "2026-03-29T03:29:59+02:00", None),
            ("02:30", "06:00", "2026-03-29T03:30:00+02:00", Some("2026-03-29T06:00:00+02:00")),
            ("22:00", "02:30", "2026-03-29T03:29:59+02:00", Some("2026-03-29T03:30:00+02:00")),
            ("22:00", "02:30", "2026-03-29T03:30:00+02:00", None),
            ("02:30", "06:00", "2026-10-25T02:29:59+02:00", None),
            ("02:30", "06:00", "2026-10-25T02:30:00+02:00", Some("2026-10-25T06:00:00+01:00")),
            ("02:30", "06:00", "2026-10-25T02:00:00+01:00", Some("2026-10-25T06:00:00+01:00")),
            ("22:00", "02:30", "2026-10-25T02:45:00+02:00", Some("2026-10-25T02:30:00+01:00")),
            ("22:00", "02:30", "2026-10-25T02:29:59+01:00", Some("2026-10-25T02:30:00+01:00")),
            ("22:00", "02:30", "2026-10-25T02:30:00+01:00", None),
        ] {
            let hours = quiet(from, to, &WEEK, "Europe/Berlin");
            assert_eq!(hours.until(at(now)), until.map(at), "{from} to {to} at {now}");
        }
    }

    #[test]
    fn the_zone_counts_and_not_its_offset_of_today() {
        // Half an hour of daylight saving (Lord Howe), and a day that never was (Samoa, 2011-12-30).
        let howe = quiet("22:00", "07:00", &WEEK, "Australia/Lord_Howe");
        assert_eq!(howe.until(at("2026-01-10T23:00:00+11:00")), Some(at("2026-01-11T07:00:00+11:00")));
        assert_eq!(howe.until(at("2026-07-10T23:00:00+10:30")), Some(at("2026-07-11T07:00:00+10:30")));
        let apia = quiet("22:00", "07:00", &WEEK, "Pacific/Apia");
        let after = apia.until(at("2011-12-29T23:00:00-10:00")).expect("quiet");
        assert_eq!(after, at("2011-12-31T07:00:00+14:00"));
    }

    #[test]
    fn hours_that_meet_are_one_and_kinds_mean_all_of_them() {
        let all_day = quiet("00:00", "00:00", &[Weekday::Monday, Weekday::Tuesday], "UTC");
        assert_eq!(all_day.until(at("2026-11-23T05:00:00Z")), Some(at("2026-11-25T00:00:00Z")));
        let hooks = vec![ChannelName::new("webhook"), ChannelName::new("sms")];
        let held = QuietHours::new(time(1, 0, 0, 0), time(2, 0, 0, 0), WEEK.to_vec(), TimeZone::UTC, hooks);
        let concern = |name: &str| held.concern(&ChannelName::new(name));
        assert!(concern("webhook") && concern("webhook:phone") && concern("sms"));
        assert!(!concern("desktop") && !concern("email"));
    }

    proptest! {
        /// Away from clock changes it is quiet exactly when the wall clock says so, and stays so until the end that is told.
        #[test]
        fn it_is_quiet_when_the_clock_on_the_wall_says_so(
            from in 0_i16..1_440, to in 0_i16..1_440, hour in 0_i64..24 * 365, minute in 0_i64..60,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Chatham", "UTC"]),
        ) {
            prop_assume!(from != to);
            let clock = |minutes: i16| {
                let part = |number: i16| i8::try_from(number).expect("small");
                time(part(minutes / 60), part(minutes % 60), 0, 0)
            };
            let zone = TimeZone::get(zone).expect("a zone");
            let hours = QuietHours::new(clock(from), clock(to), WEEK.to_vec(), zone.clone(), Vec::new());
            let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
            let now = (start + hour.hours() + minute.minutes()).to_zoned(zone);
            let days = [now.checked_sub(2.days()), now.checked_add(2.days())];
            prop_assume!(days.iter().all(|day| day.as_ref().is_ok_and(|day| day.offset() == now.offset())));
            let wall = now.time();
            let inside = if from < to { clock(from) <= wall && wall < clock(to) }
                else { wall >= clock(from) || wall < clock(to) };
            let instant = Timestamp::from(now.timestamp());
            let until = hours.until(instant);
            prop_assert_eq!(until.is_some(), inside);
            if let Some(until) = until {
                prop_assert!(until > instant);
                prop_assert!(hours.until(until).is_none());
                let just_before = Timestamp::from_micros(until.as_micros() - 1);
                prop_assert_eq!(hours.until(just_before), Some(until));
            }
        }
    }
}
