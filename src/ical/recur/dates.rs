//! A rule and its first time, unrolled: an iterator over wall times that can start anywhere and never runs away.
//!
//! The work is done on wall times, without a zone: a rule says "nine o'clock", whatever the offset is that day, and the
//! caller turns each wall time into an instant. Every period of the rule (a year, a month … a second) can be computed on
//! its own, which is what makes seeking cheap: an event of 1990 asked about 2040 costs one period, not fifty years.

use chrono::{Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::rule::{ByDay, Frequency, Rule};

/// Later years are not looked at; four digits are all iCalendar can write.
const LAST_YEAR: i32 = 9999;

/// A rule with what its first time supplies: the parts that the rule leaves out (RFC 5545 §3.3.10, "Information, not
/// contained in the rule").
struct Plan<'r> {
    rule: &'r Rule,
    seed: NaiveDateTime,
    months: Vec<u32>,
    month_days: Vec<i32>,
    days: Vec<ByDay>,
    hours: Vec<u32>,
    minutes: Vec<u32>,
    seconds: Vec<u32>,
}

impl<'r> Plan<'r> {
    fn new(rule: &'r Rule, seed: NaiveDateTime) -> Self {
        let mut months = rule.by_month.clone();
        let mut month_days = rule.by_month_day.clone();
        let mut days = rule.by_day.clone();
        let free = month_days.is_empty() && days.is_empty() && rule.by_year_day.is_empty();
        let seed_day = ByDay { ordinal: 0, day: seed.weekday() };
        let day = i32::try_from(seed.day()).unwrap_or(1);
        match rule.freq {
            Frequency::Yearly if free && !rule.by_week_no.is_empty() => days.push(seed_day),
            Frequency::Yearly if free => {
                month_days.push(day);
                if months.is_empty() {
                    months.push(seed.month());
                }
            }
            Frequency::Monthly if free => month_days.push(day),
            Frequency::Weekly if free => days.push(seed_day),
            _ => {}
        }
        let or = |list: &[u32], finer: Frequency, n: u32| {
            if list.is_empty() && rule.freq > finer { vec![n] } else { list.to_vec() }
        };
        Self {
            hours: or(&rule.by_hour, Frequency::Hourly, seed.hour()),
            minutes: or(&rule.by_minute, Frequency::Minutely, seed.minute()),
            seconds: or(&rule.by_second, Frequency::Secondly, seed.second()),
            rule,
            seed,
            months,
            month_days,
            days,
        }
    }

    /// Seconds of a period of HOURLY and finer rules, and of daily and weekly ones.
    const fn unit(&self) -> i64 {
        match self.rule.freq {
            Frequency::Secondly => 1,
            Frequency::Minutely => 60,
            Frequency::Hourly => 3600,
            Frequency::Daily => 86_400,
            Frequency::Weekly | Frequency::Monthly | Frequency::Yearly => 7 * 86_400,
        }
    }

    /// Start of period 0.
    fn origin(&self) -> NaiveDateTime {
        let date = self.seed.date();
        let midnight = |d: NaiveDate| d.and_time(NaiveTime::MIN);
        match self.rule.freq {
            Frequency::Yearly => midnight(date.with_ordinal(1).unwrap_or(date)),
            Frequency::Monthly => midnight(date.with_day(1).unwrap_or(date)),
            Frequency::Weekly => midnight(date.week(self.rule.week_start).checked_first_day().unwrap_or(date)),
            _ => {
                let second = i64::from(self.seed.num_seconds_from_midnight());
                midnight(date) + TimeDelta::seconds(second - second % self.unit())
            }
        }
    }

    /// Index of the period that holds `t`, or of the one before the gap that INTERVAL leaves there. Never negative.
    fn period_of(&self, t: NaiveDateTime) -> i64 {
        let origin = self.origin();
        let units = match self.rule.freq {
            Frequency::Yearly => i64::from(t.year()) - i64::from(origin.year()),
            Frequency::Monthly => {
                (i64::from(t.year()) - i64::from(origin.year())) * 12 + i64::from(t.month()) - i64::from(origin.month())
            }
            _ => (t - origin).num_seconds().div_euclid(self.unit()),
        };
        units.div_euclid(i64::from(self.rule.interval)).max(0)
    }

    /// Start of a period; `None` beyond the last year.
    fn start_of(&self, period: i64) -> Option<NaiveDateTime> {
        let origin = self.origin();
        let units = period.checked_mul(i64::from(self.rule.interval))?;
        let start = match self.rule.freq {
            Frequency::Yearly => origin.checked_add_months(Months::new(u32::try_from(units.checked_mul(12)?).ok()?))?,
            Frequency::Monthly => origin.checked_add_months(Months::new(u32::try_from(units).ok()?))?,
            _ => origin.checked_add_signed(TimeDelta::try_seconds(units.checked_mul(self.unit())?)?)?,
        };
        (start.year() <= LAST_YEAR).then_some(start)
    }

    /// The days of the period that starts at `start` on which the rule has times.
    fn fill_days(&self, start: NaiveDateTime, out: &mut Vec<NaiveDate>) {
        out.clear();
        let first = start.date();
        let mut add = |from: NaiveDate, count: u32| {
            out.extend(from.iter_days().take(count as usize).filter(|d| self.has_day(*d)));
        };
        match self.rule.freq {
            Frequency::Yearly if !self.months.is_empty() => {
                for month in &self.months {
                    if let Some(first) = NaiveDate::from_ymd_opt(first.year(), *month, 1) {
                        add(first, days_in_month(first));
                    }
                }
            }
            Frequency::Yearly => add(first, days_in_year(first)),
            Frequency::Monthly if self.has_month(first) => add(first, days_in_month(first)),
            Frequency::Monthly => {}
            Frequency::Weekly => add(first, 7),
            _ => add(first, 1),
        }
    }

    fn has_month(&self, day: NaiveDate) -> bool {
        self.months.is_empty() || self.months.contains(&day.month())
    }

    fn has_day(&self, day: NaiveDate) -> bool {
        self.has_month(day)
            && (self.month_days.is_empty() || either_end(&self.month_days, day.day(), days_in_month(day)))
            && (self.rule.by_year_day.is_empty()
                || either_end(&self.rule.by_year_day, day.ordinal(), days_in_year(day)))
            && (self.days.is_empty() || self.has_weekday(day))
            && (self.rule.by_week_no.is_empty() || self.rule.freq != Frequency::Yearly || self.has_week(day))
    }

    fn has_weekday(&self, day: NaiveDate) -> bool {
        let (position, length) = match self.rule.freq {
            Frequency::Yearly if self.rule.by_month.is_empty() && self.rule.by_week_no.is_empty() => {
                (day.ordinal(), days_in_year(day))
            }
            Frequency::Monthly => (day.day(), days_in_month(day)),
            Frequency::Yearly if self.rule.by_week_no.is_empty() => (day.day(), days_in_month(day)),
            // An ordinal has no meaning here; the weekday alone counts.
            _ => return self.days.iter().any(|d| d.day == day.weekday()),
        };
        let from_start = i16::try_from((position - 1) / 7 + 1).unwrap_or(0);
        let from_end = -i16::try_from((length - position) / 7 + 1).unwrap_or(0);
        self.days
            .iter()
            .any(|d| d.day == day.weekday() && (d.ordinal == 0 || d.ordinal == from_start || d.ordinal == from_end))
    }

    /// BYWEEKNO: weeks start at WKST, and the first one has at least four days in its year.
    fn has_week(&self, day: NaiveDate) -> bool {
        let week_one = |year: i32| {
            let fourth = NaiveDate::from_ymd_opt(year, 1, 4)?;
            fourth.week(self.rule.week_start).checked_first_day()
        };
        let year = match (week_one(day.year()), week_one(day.year() + 1)) {
            (Some(this), _) if day < this => day.year() - 1,
            (_, Some(next)) if day >= next => day.year() + 1,
            _ => day.year(),
        };
        let (Some(start), Some(end)) = (week_one(year), week_one(year + 1)) else { return false };
        let week = (day - start).num_days() / 7 + 1;
        let weeks = (end - start).num_days() / 7;
        self.rule.by_week_no.iter().any(|n| i64::from(*n) == week || i64::from(*n) == week - weeks - 1)
    }

    /// Whether every period holds the same number of times, which is then [`Times::len`] of any.
    fn is_uniform(&self) -> bool {
        let r = self.rule;
        let no_dates = r.by_month.is_empty()
            && r.by_month_day.is_empty()
            && r.by_year_day.is_empty()
            && (r.by_week_no.is_empty() || r.freq != Frequency::Yearly);
        no_dates
            && r.freq <= Frequency::Weekly
            && (r.freq == Frequency::Weekly || r.by_day.is_empty())
            && (r.freq > Frequency::Hourly || r.by_hour.is_empty())
            && (r.freq > Frequency::Minutely || r.by_minute.is_empty())
            && (r.freq > Frequency::Secondly || r.by_second.is_empty())
    }

    /// For rules finer than a day: the first moment after `start` at which a period can match again, when this one
    /// cannot.
    fn next_chance(&self, start: NaiveDateTime) -> Option<NaiveDateTime> {
        let freq = self.rule.freq;
        if freq > Frequency::Hourly {
            return None;
        }
        let day = start.date();
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN);
        if !self.has_month(day) {
            return day.with_day(1)?.checked_add_months(Months::new(1)).map(midnight);
        }
        if !self.has_day(day) {
            return day.checked_add_days(Days::new(1)).map(midnight);
        }
        // The next listed hour (minute, second), or the start of the next day (hour, minute).
        let chance = |list: &[u32], now: u32, unit: u32, all: u32| {
            if list.is_empty() || list.contains(&now) {
                return None;
            }
            let next = list.iter().copied().find(|n| *n > now).unwrap_or(all);
            let into = start.num_seconds_from_midnight() % unit;
            Some(start + TimeDelta::seconds(i64::from((next - now) * unit) - i64::from(into)))
        };
        let hour = chance(&self.hours, start.hour(), 3600, 24);
        let minute = || if freq <= Frequency::Minutely { chance(&self.minutes, start.minute(), 60, 60) } else { None };
        let second = || if freq <= Frequency::Secondly { chance(&self.seconds, start.second(), 1, 60) } else { None };
        hour.or_else(minute).or_else(second)
    }
}

fn either_end(list: &[i32], position: u32, length: u32) -> bool {
    let position = i64::from(position);
    let from_end = position - i64::from(length) - 1;
    list.iter().any(|n| i64::from(*n) == position || i64::from(*n) == from_end)
}

fn days_in_month(day: NaiveDate) -> u32 {
    u32::from(day.num_days_in_month())
}

fn days_in_year(day: NaiveDate) -> u32 {
    if day.leap_year() { 366 } else { 365 }
}

/// The times of one period: the product of its days, hours, minutes and seconds, or the BYSETPOS picks from it. Kept as
/// lists, so that a day with 86,400 times costs nothing until they are asked for.
#[derive(Default)]
struct Times {
    days: Vec<NaiveDate>,
    hours: Vec<u32>,
    minutes: Vec<u32>,
    seconds: Vec<u32>,
    picks: Option<Vec<usize>>,
}

impl Times {
    fn fill(&mut self, plan: &Plan<'_>, start: NaiveDateTime) {
        let freq = plan.rule.freq;
        plan.fill_days(start, &mut self.days);
        let set = |out: &mut Vec<u32>, fine: bool, list: &[u32], n: u32| {
            out.clear();
            if !fine {
                out.extend_from_slice(list);
            } else if list.is_empty() || list.contains(&n) {
                out.push(n);
            }
        };
        set(&mut self.hours, freq <= Frequency::Hourly, &plan.hours, start.hour());
        set(&mut self.minutes, freq <= Frequency::Minutely, &plan.minutes, start.minute());
        set(&mut self.seconds, freq <= Frequency::Secondly, &plan.seconds, start.second());
        self.picks = (!plan.rule.by_set_pos.is_empty()).then(|| {
            let all = self.product();
            let pick = |p: &i32| {
                let back = usize::try_from(p.unsigned_abs()).ok()?;
                if *p > 0 { Some(back - 1).filter(|i| *i < all) } else { all.checked_sub(back) }
            };
            let mut picks: Vec<usize> = plan.rule.by_set_pos.iter().filter_map(pick).collect();
            picks.sort_unstable();
            picks.dedup();
            picks
        });
    }

    fn product(&self) -> usize {
        self.days.len() * self.hours.len() * self.minutes.len() * self.seconds.len()
    }

    fn len(&self) -> usize {
        self.picks.as_ref().map_or_else(|| self.product(), Vec::len)
    }

    fn get(&self, index: usize) -> Option<NaiveDateTime> {
        let index = match &self.picks {
            Some(picks) => *picks.get(index)?,
            None => index,
        };
        let (s, m, h) = (self.seconds.len(), self.minutes.len(), self.hours.len());
        if s * m * h == 0 {
            return None;
        }
        let day = self.days.get(index / (s * m * h))?;
        day.and_hms_opt(self.hours[index / (s * m) % h], self.minutes[index / s % m], self.seconds[index % s])
    }

    /// Index of the first time at or after `t`.
    fn position(&self, t: NaiveDateTime) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).is_some_and(|at| at < t) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// The wall times of a rule, in order, from a given time on. The first time of the rule belongs to them and is counted
/// even when the rule does not say so (dav §6.5).
pub(crate) struct Dates<'r> {
    plan: Plan<'r>,
    from: NaiveDateTime,
    /// Wall time after which nothing is wanted.
    end: NaiveDateTime,
    period: i64,
    times: Times,
    index: usize,
    /// Times still allowed by COUNT.
    left: Option<u64>,
    seed_due: bool,
    /// Periods that may still be looked at.
    steps: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Done,
    /// Out of steps.
    Cut,
}

impl<'r> Dates<'r> {
    /// Unrolls `rule` from `from` to `end` (inclusive), looking at no more than `steps` periods. UNTIL is the caller's:
    /// it is an instant, and wall times are not.
    pub(crate) fn new(
        rule: &'r Rule,
        seed: NaiveDateTime,
        from: NaiveDateTime,
        end: NaiveDateTime,
        steps: usize,
    ) -> Self {
        let plan = Plan::new(rule, seed);
        let mut dates = Self {
            from,
            end,
            period: -1,
            times: Times::default(),
            index: 0,
            left: rule.count.map(u64::from),
            seed_due: seed >= from,
            steps,
            state: State::Running,
            plan,
        };
        if seed < from {
            dates.seek();
        }
        dates
    }

    /// Whether it ended because the steps ran out, so that later times may be missing.
    pub(crate) fn was_cut(&self) -> bool {
        self.state == State::Cut
    }

    /// Moves to the period before the one that holds `from`, counting what COUNT needs counted.
    fn seek(&mut self) {
        let target = self.plan.period_of(self.from);
        let Some(left) = self.left else {
            self.period = target - 1;
            return;
        };
        // The first time counts; period 0 holds it and maybe more.
        let mut left = left.saturating_sub(1);
        if target == 0 || left == 0 {
            self.left = Some(left);
            return;
        }
        while self.period < target - 1 && left > 0 && self.state == State::Running {
            if self.period >= 1 && self.plan.is_uniform() {
                let each = self.times.len() as u64;
                let skipped = u64::try_from(target - 1 - self.period).unwrap_or(0);
                left = left.saturating_sub(each.saturating_mul(skipped));
                self.period = target - 1;
                break;
            }
            if !self.advance() {
                break;
            }
            // A jump over empty periods can pass the target.
            if self.period >= target {
                self.period = target - 1;
                break;
            }
            left = left.saturating_sub((self.times.len() - self.index) as u64);
        }
        self.left = Some(left);
        if left == 0 {
            self.state = State::Done;
        }
        self.times = Times::default();
        self.index = 0;
    }

    /// Loads the next period that can match; false at the end.
    fn advance(&mut self) -> bool {
        self.period += 1;
        loop {
            if self.steps == 0 {
                self.state = State::Cut;
                return false;
            }
            self.steps -= 1;
            let Some(start) = self.plan.start_of(self.period).filter(|start| *start <= self.end) else {
                self.state = State::Done;
                return false;
            };
            match self.plan.next_chance(start) {
                Some(chance) => {
                    let period = self.plan.period_of(chance);
                    // A chance within a gap of INTERVAL belongs to the period after it.
                    let late = self.plan.start_of(period).is_some_and(|at| at < chance);
                    self.period = (period + i64::from(late)).max(self.period + 1);
                }
                None => {
                    self.times.fill(&self.plan, start);
                    self.index = if self.period == 0 {
                        self.times.position(self.plan.seed + TimeDelta::nanoseconds(1))
                    } else {
                        0
                    };
                    return true;
                }
            }
        }
    }

    fn take_one(&mut self) -> bool {
        match &mut self.left {
            Some(0) => {
                self.state = State::Done;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

impl Iterator for Dates<'_> {
    type Item = NaiveDateTime;

    fn next(&mut self) -> Option<NaiveDateTime> {
        if std::mem::take(&mut self.seed_due) {
            return (self.plan.seed <= self.end && self.take_one()).then_some(self.plan.seed);
        }
        while self.state == State::Running {
            let Some(at) = self.times.get(self.index) else {
                self.advance();
                continue;
            };
            if at > self.end {
                self.state = State::Done;
                return None;
            }
            self.index += 1;
            if self.take_one() && at >= self.from {
                return Some(at);
            }
        }
        None
    }
}

/// The last time of a rule at or before `end`, looking backwards at no more than `steps` periods; `None` when it was not
/// found. Not for rules with COUNT.
pub(crate) fn last_before(rule: &Rule, seed: NaiveDateTime, end: NaiveDateTime, steps: usize) -> Option<NaiveDateTime> {
    let plan = Plan::new(rule, seed);
    let mut times = Times::default();
    let newest = plan.period_of(end);
    for period in (0..=newest).rev().take(steps) {
        let Some(start) = plan.start_of(period) else { continue };
        if plan.next_chance(start).is_some() {
            continue;
        }
        times.fill(&plan, start);
        let index = times.position(end + TimeDelta::nanoseconds(1));
        if let Some(at) = index.checked_sub(1).and_then(|i| times.get(i)) {
            return Some(at.max(seed));
        }
    }
    (newest < i64::try_from(steps).unwrap_or(i64::MAX) && seed <= end).then_some(seed)
}
