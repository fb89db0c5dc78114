//! The job that sends administrators a digest of the last day.

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::templates::texts;
use super::{Draft, since, write};
use crate::application::Store;
use crate::domain::permission::{Permission, Resource};
use crate::domain::time::earlier;
use crate::domain::user::User;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{Digest, DigestRepository, UnitOfWork, UserRepository};

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
    let since = earlier(work.now(), SignedDuration::from_hours(24));
    let digest = DigestRepository(work).since(since).await?;
    let (subject, body) = texts("digest", &arguments(&digest, seller))?;
    for user_id in UserRepository(work).admins_with(Permission::read(Resource::Orders)).await? {
        let Some(user) = work.find::<User>(user_id).await? else { continue };
        let draft = Draft {
            event_id: None,
            token_id: None,
            kind: "digest",
            user_id: Some(user_id),
            recipient: user.email,
            subject: subject.clone(),
            body: body.clone(),
        };
        write(work, draft).await?;
    }
    Ok(())
}

fn arguments(digest: &Digest, seller: &str) -> Map<String, Value> {
    let revenue: Vec<_> = digest.revenue.iter().map(ToString::to_string).collect();
    let revenue = if revenue.is_empty() { "no revenue".to_owned() } else { revenue.join(", ") };
    let arguments = [
        ("seller", seller.to_owned()),
        ("orders", digest.orders.to_string()),
        ("revenue", revenue),
        ("out_of_stock", digest.out_of_stock.to_string()),
        ("dead_letters", digest.dead_letters.to_string()),
        ("failed_jobs", digest.failed_jobs.to_string()),
    ];
    arguments.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
