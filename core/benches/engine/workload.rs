//! The deterministic workload: a walk of prices and the alerts that stand around it. One seed, no clock, no system randomness.

/// Prices are whole numbers of 10^-8.
pub(crate) const UNIT: f64 = 1e8;

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Above 0, at most 1.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / 9_007_199_254_740_992.0
    }

    fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.uniform().ln()
    }
}

/// The finishing step of splitmix64; also mixes checksums.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Chooses among `n` with the weights 1, 1/2, 1/3, ...
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(n: usize) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=n)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        for each in &mut sums {
            *each /= sum;
        }
        Self(sums)
    }

    fn choose(&self, random: &mut Random) -> u32 {
        let u = random.uniform();
        self.0.partition_point(|s| *s < u).min(self.0.len() - 1) as u32
    }
}

/// What an alert waits for. A range counts in the language as two conditions: half of the ranges enter, half exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Above,
    Below,
    Crosses,
    Enters,
    Exits,
}

/// One standing alert; `high` equals `low` unless it is a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) symbol: u32,
    pub(crate) kind: Kind,
    pub(crate) low: i64,
    pub(crate) high: i64,
}

/// One tick: which instrument, which price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote {
    pub(crate) symbol: u32,
    pub(crate) price: i64,
}

/// The market: start prices and the state of the walk.
pub(crate) struct World {
    zipf: Zipf,
    pub(crate) start: Vec<i64>,
    step: Vec<i64>,
    deviation: Vec<f64>,
    last: Vec<i64>,
    random: Random,
}

impl World {
    pub(crate) fn new(symbols: usize) -> Self {
        let mut random = Random::new(0x00be_1137_4e72);
        let (mut start, mut step) = (Vec::new(), Vec::new());
        for _ in 0..symbols {
            let price = 10_f64.powf(-2.0 + 7.0 * random.uniform() * 0.999_999);
            let tick = (10_f64.powf(price.log10().floor() - 5.0) * UNIT).round() as i64;
            step.push(tick);
            start.push((price * UNIT) as i64 / tick * tick);
        }
        let deviation = vec![0.0; symbols];
        Self { zipf: Zipf::new(symbols), last: start.clone(), start, step, deviation, random }
    }

    /// The next tick of the walk.
    pub(crate) fn tick(&mut self) -> Quote {
        let symbol = self.zipf.choose(&mut self.random);
        let i = symbol as usize;
        if self.random.uniform() > 0.3 {
            let wide = if self.random.next().is_multiple_of(1_000) { 10.0 } else { 1.0 };
            self.deviation[i] += self.random.normal() * 1e-4 * wide - self.deviation[i] * 2e-4;
            let price = self.start[i] as f64 * self.deviation[i].exp();
            self.last[i] = ((price / self.step[i] as f64).round() as i64).max(1) * self.step[i];
        }
        Quote { symbol, price: self.last[i] }
    }

    pub(crate) fn ticks(&mut self, n: usize) -> Vec<Quote> {
        (0..n).map(|_| self.tick()).collect()
    }

    /// Alerts around the start prices, at least `gap` away. Theirs is a random sequence of its own.
    pub(crate) fn wishes(&self, n: usize, gap: f64) -> impl Iterator<Item = Wish> + use<'_> {
        let mut random = Random::new(0x0a1e_77ed);
        (0..n).map(move |_| self.wish(&mut random, gap))
    }

    fn wish(&self, random: &mut Random, gap: f64) -> Wish {
        let symbol = self.zipf.choose(random);
        let start = self.start[symbol as usize] as f64;
        let distance = gap + random.exponential(0.05);
        let upward = random.next() & 1 == 0;
        let mut level = start * if upward { distance.exp() } else { (-distance).exp() };
        if random.uniform() <= 0.3 {
            let digits = 10_f64.powf(level.log10().floor() - 2.0);
            level = (level / digits).round() * digits;
        }
        let low = (level.round() as i64).max(1);
        let share = random.uniform();
        let wish = |kind, low, high| Wish { symbol, kind, low, high };
        if share <= 0.9 {
            wish(if upward { Kind::Above } else { Kind::Below }, low, low)
        } else if share <= 0.95 {
            wish(Kind::Crosses, low, low)
        } else {
            let width = (level * (0.001 + random.exponential(0.03))).round() as i64;
            let kind = if random.next() & 1 == 0 { Kind::Enters } else { Kind::Exits };
            // Away from the start price, so that it does not begin inside.
            let (low, high) = if upward { (low, low + width.max(1)) } else { ((low - width).max(1), low.max(2)) };
            wish(kind, low, high)
        }
    }
}

/// The state of one alert for the engines beside ours: what `docs/alerts.md`, B7 and B8 ask, in the smallest form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) wish: Wish,
    up: bool,
    down: bool,
}

impl Standing {
    /// Armed by the price at which it was made.
    pub(crate) const fn new(wish: Wish, price: i64) -> Self {
        let mut standing = Self { wish, up: false, down: false };
        standing.step(price);
        standing
    }

    /// Whether this price fires it. For levels `up` says that it is true.
    pub(crate) const fn step(&mut self, price: i64) -> bool {
        let Wish { kind, low, high, .. } = self.wish;
        let inside = low <= price && price <= high;
        match kind {
            Kind::Above | Kind::Below => {
                let holds = if matches!(kind, Kind::Above) { price >= low } else { price <= low };
                let fires = holds && !self.up;
                self.up = holds;
                fires
            }
            Kind::Crosses => {
                let fires = (self.up && price >= low) || (self.down && price <= low);
                if fires {
                    (self.up, self.down) = (false, false);
                }
                self.up |= price < low;
                self.down |= price > low;
                fires
            }
            Kind::Enters | Kind::Exits => {
                let there = inside == matches!(kind, Kind::Enters);
                let fires = self.up && there;
                self.up = !there;
                fires
            }
        }
    }
}

/// What an engine fired: how often, and a sum in which the order does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl Tally {
    pub(crate) const fn add(&mut self, alert: u64, tick: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(mix(alert.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ mix(tick)));
    }
}
