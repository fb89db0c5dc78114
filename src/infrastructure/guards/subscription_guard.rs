//! The user has a subscription whose time is paid.

use jiff::Timestamp;

use super::Guard;
use crate::infrastructure::exceptions::{Failure, NotFound, SubscriptionExpiredException};

/// The subscriptions of a user to a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionFacts {
    /// The latest end of a paid period; `None` if the user never had a subscription to the product.
    pub paid_until: Option<Timestamp>,
    /// The present time.
    pub now: Timestamp,
    /// The failure for who never had one.
    pub hidden: NotFound,
}

/// The proof that the user has a subscription whose time is paid: also one that is paused, cancelled or past due, until
/// the paid time ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionGuard(());

impl Guard for SubscriptionGuard {
    type Facts = SubscriptionFacts;

    fn check(SubscriptionFacts { paid_until, now, hidden }: SubscriptionFacts) -> Result<Self, Failure> {
        match paid_until {
            Some(paid_until) if now < paid_until => Ok(Self(())),
            Some(ended_at) => Err(SubscriptionExpiredException { ended_at }.into()),
            None => Err(hidden.into()),
        }
    }

    fn refusals() -> Vec<Failure> {
        let ended_at = Timestamp::UNIX_EPOCH;
        vec![NotFound::File.into(), SubscriptionExpiredException { ended_at }.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_gives_access_until_its_paid_time_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let check = |paid_until: Option<i64>| {
            let facts =
                SubscriptionFacts { paid_until: paid_until.map(at), now: at(100), hidden: NotFound::File };
            SubscriptionGuard::check(facts).map(drop).map_err(|failure| failure.code())
        };
        assert_eq!(check(Some(101)), Ok(()));
        assert_eq!(check(Some(100)), Err("subscription_expired"));
        assert_eq!(check(None), Err("file_not_found"));
    }
}
