//! Latency figures of a load run: a bounded sample of values and their percentiles.

use std::time::Duration;

use serde::Serialize;

/// Values kept exactly; beyond that every n-th, so that a long run stays in bounds.
const KEPT_MAX: usize = 200_000;

#[derive(Clone, Debug)]
pub struct Latencies {
    micros: Vec<u32>,
    seen: u64,
    every: u64,
    max_us: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            micros: Vec::new(),
            seen: 0,
            every: 1,
            max_us: 0,
        }
    }
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Latencies {
    pub fn add(&mut self, value: Duration) {
        self.add_us(value.as_micros() as u64);
    }

    pub fn add_us(&mut self, value_us: u64) {
        let value = u32::try_from(value_us).unwrap_or(u32::MAX);
        self.max_us = self.max_us.max(value);
        if self.seen.is_multiple_of(self.every) {
            if self.micros.len() == KEPT_MAX {
                let mut n = 0;
                self.micros.retain(|_| {
                    n += 1;
                    n % 2 == 0
                });
                self.every *= 2;
            }
            self.micros.push(value);
        }
        self.seen += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.seen += other.seen;
        self.max_us = self.max_us.max(other.max_us);
        self.micros.extend_from_slice(&other.micros);
        while self.micros.len() > KEPT_MAX {
            let mut n = 0;
            self.micros.retain(|_| {
                n += 1;
                n % 2 == 0
            });
        }
    }

    pub fn percentiles(&self) -> Percentiles {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = ((sorted.len() as f64 * share).ceil() as usize).max(1) - 1;
            sorted.get(rank).map_or(0.0, |us| f64::from(*us) / 1_000.0)
        };
        Percentiles {
            count: self.seen,
            p50_ms: at(0.50),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: f64::from(self.max_us) / 1_000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut latencies = Latencies::default();
        for us in 1..=1_000 {
            latencies.add_us(us * 1_000);
        }
        let p = latencies.percentiles();
        assert_eq!(
            (p.count, p.p50_ms, p.p99_ms, p.max_ms),
            (1_000, 500.0, 990.0, 1_000.0)
        );
    }

    #[test]
    fn a_long_run_keeps_a_bounded_even_sample() {
        let mut latencies = Latencies::default();
        for us in 0..1_000_000 {
            latencies.add_us(us);
        }
        assert!(latencies.micros.len() <= super::KEPT_MAX);
        let p = latencies.percentiles();
        assert!((495.0..505.0).contains(&p.p50_ms), "{p:?}");
    }
}
