//! The wait before an attempt that follows failed ones.

use jiff::{SignedDuration, Timestamp};

use crate::domain::time::later;
use crate::infrastructure::repositories::UnitOfWork;

/// The exponent of the longest wait: about 17 minutes.
const LONGEST: i64 = 10;

/// Returns the time of the next attempt after `attempts` have failed: in 1 to 2 seconds, and twice as long after each
/// further one. The random part spreads the attempts of what failed together.
pub(super) fn retry_at(work: &UnitOfWork, attempts: i64) -> Timestamp {
    let mut random = [0];
    work.secret(&mut random);
    let longest = 1000_i64 << attempts.clamp(1, LONGEST);
    let wait = longest / 2 + longest / 2 * i64::from(random[0]) / 255;
    later(work.now(), SignedDuration::from_millis(wait))
}
