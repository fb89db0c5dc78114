//! Figures from samples.

use std::time::Duration;

/// The median of the samples.
pub(crate) fn median(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut samples: Vec<_> = samples.into_iter().collect();
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    match samples.as_slice() {
        [] => f64::NAN,
        sorted if sorted.len() % 2 == 1 => sorted[middle],
        sorted => sorted[middle - 1].midpoint(sorted[middle]),
    }
}

/// A percentile in milliseconds.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(f64::NAN, |time| millis(*time))
}

/// A duration in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Operations per second.
pub(crate) fn rate(count: usize, time: Duration) -> f64 {
    number(count) / time.as_secs_f64()
}

/// The cost of one operation in milliseconds.
pub(crate) fn each(cost: Duration, count: usize) -> f64 {
    millis(cost) / number(count)
}

/// A part of a whole, from 0 to 1.
pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    number(part) / number(whole)
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
