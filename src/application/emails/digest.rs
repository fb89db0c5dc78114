//! The job that sends administrators a digest of the day before, in UTC: late or early, it counts the same day.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::templates::texts;
use super::{Draft, since, write};
use crate::application::Store;
use crate::domain::digest::first_u128;
use crate::domain::ids::UserId;
use crate::domain::permission::{Permission, Resource};
use crate::domain::time::earlier;
use crate::domain::user::User;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Digest, DigestRepository, UnitOfWork, UserRepository};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Writes a digest to each administrator who may read orders, if the store sends e-mails.
pub(crate) async fn send(store: &Store) -> Result<(), Failure> {
    if since(&mut store.database().read().await?).await?.is_none() {
        return Ok(());
    }
    let write =
        store.database().write(store.terms.name.clone(), async |work, seller| digest(work, seller).await);
    write.await
}

async fn digest(work: &mut UnitOfWork, seller: &str) -> Result<(), Failure> {
    let today = day_of(work.now());
    let yesterday = earlier(today, DAY);
    let digest = DigestRepository(work).between(yesterday, today).await?;
    let (subject, body) = texts("digest", &arguments(&digest, seller, yesterday))?;
    for user_id in UserRepository(work).admins_with(Permission::read(Resource::Orders)).await? {
        let Some(user) = work.find::<User>(user_id).await? else { continue };
        let draft = Draft {
            event_id: Some(digest_id(yesterday, user_id)),
            token_id: None,
            kind: "digest",
            user_id: Some(user_id),
            recipient: user.email,
            subject: subject.clone(),
            body: body.clone(),
            limit_key: None,
        };
        write(work, draft).await?;
    }
    Ok(())
}

/// Returns the id of the digest of a day for a user: a job that runs again writes no second one.
fn digest_id(day: Timestamp, user_id: UserId) -> Uuid {
    let hash = Sha256::digest(format!("digest {day} {user_id}"));
    Uuid::from_u128(first_u128(&hash.into()))
}

/// Returns the beginning of the day of a time, in UTC.
fn day_of(at: Timestamp) -> Timestamp {
    let days = at.as_second().div_euclid(DAY.as_secs());
    Timestamp::from_second(days * DAY.as_secs()).unwrap_or(at)
}

fn arguments(digest: &Digest, seller: &str, day: Timestamp) -> Map<String, Value> {
    let revenue: Vec<_> = digest.revenue.iter().map(ToString::to_string).collect();
    let revenue = if revenue.is_empty() { "no revenue".to_owned() } else { revenue.join(", ") };
    let arguments = [
        ("seller", seller.to_owned()),
        ("day", day.strftime("%F").to_string()),
        ("orders", digest.orders.to_string()),
        ("revenue", revenue),
        ("out_of_stock", digest.out_of_stock.to_string()),
        ("dead_letters", digest.dead_letters.to_string()),
        ("failed_jobs", digest.failed_jobs.to_string()),
    ];
    arguments.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
