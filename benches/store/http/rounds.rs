//! The rounds of a measurement, and the rows with their medians.

use std::time::Duration;

use crate::Outcome;
use crate::figures::{each, median, percentile, rate};
use crate::load::{self, Shopper};
use crate::process::Server;

/// The duration of the measurement.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// The rounds that count.
    pub rounds: usize,
    /// The time of each.
    pub span: Duration,
}

/// The results of an operation by round.
#[derive(Default)]
pub(super) struct Figures {
    /// The operations in a second.
    pub a_second: Vec<f64>,
    /// The CPU time of an operation in milliseconds.
    pub cpu: Vec<f64>,
    times: Vec<Duration>,
}

/// A server whose rows have the ratio of their CPU to that of bare axum.
pub(super) struct Table<'a> {
    /// The server that the shoppers call.
    pub server: &'a Server,
    /// The figures of bare axum.
    pub bare: &'a Figures,
    /// The duration of each row.
    pub effort: Effort,
}

/// Prints the names of the columns.
pub(super) fn print_head() {
    println!("                          a second    p50 ms    p99 ms   CPU ms each   aim");
}

impl Effort {
    /// Returns the usual one, or a quick one, whose figures are noisy.
    pub(super) fn new(quick: bool) -> Self {
        if quick {
            Self { rounds: 2, span: Duration::from_millis(600) }
        } else {
            Self { rounds: 7, span: Duration::from_secs(2) }
        }
    }
}

impl Table<'_> {
    /// Runs the shoppers for all rounds, and prints their row with the aim, if there is one.
    pub(super) async fn row<S: Shopper>(
        &self,
        name: &str,
        aim: Option<f64>,
        mut shoppers: Vec<S>,
    ) -> Outcome<()> {
        let Self { server, bare, effort } = self;
        let mut figures = Figures::default();
        for round in 0..=effort.rounds {
            figures.add(round, server, &mut shoppers, effort.span).await?;
        }
        let ratio = figures.ratio(bare, |figures| &figures.cpu);
        let aim = aim.map(|aim| format!(" (aim ≤ {aim})")).unwrap_or_default();
        figures.print(name, &format!("{ratio:.1} times the CPU of bare axum{aim}"));
        Ok(())
    }
}

impl Figures {
    /// Adds a round; the first one only warms up.
    pub(super) async fn add<S: Shopper>(
        &mut self,
        round: usize,
        server: &Server,
        shoppers: &mut Vec<S>,
        span: Duration,
    ) -> Outcome<()> {
        let before = server.cpu()?;
        let (load, back) = load::run(std::mem::take(shoppers), span).await?;
        let cpu = server.cpu()?.saturating_sub(before);
        *shoppers = back;
        if round > 0 {
            self.a_second.push(rate(load.times.len(), load.elapsed));
            self.cpu.push(each(cpu, load.times.len()));
            self.times.extend(load.times);
        }
        Ok(())
    }

    /// Prints the row of an operation.
    pub(super) fn print(&mut self, name: &str, aim: &str) {
        let (half, most) = (percentile(&mut self.times, 50), percentile(&mut self.times, 99));
        let (a_second, cpu) = (median(self.a_second.clone()), median(self.cpu.clone()));
        println!("  {name:<22}{a_second:10.0}{half:10.2}{most:10.2}{cpu:14.4}   {aim}");
    }

    /// Returns the median of the ratios of the rounds.
    pub(super) fn ratio(&self, to: &Self, figure: fn(&Self) -> &Vec<f64>) -> f64 {
        median(figure(self).iter().zip(figure(to)).map(|(own, other)| own / other))
    }
}
