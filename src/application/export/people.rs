//! Exports customers, reviews and subscriptions.

use std::collections::HashMap;
use std::io::Write;

use super::lines::{ReviewLine, SubscriptionLine};
use super::{ExportError, Output, write_rows};
use crate::application::json_lines::CustomerLine;
use crate::domain::review::Review;
use crate::domain::subscription::Subscription;
use crate::domain::user::{Preferences, Role, User};
use crate::infrastructure::repositories::Connection;

/// Exports the customers that were not erased, without passwords. Administrators are not exported.
pub(super) async fn customers<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut position = None;
    while let Some(mut batch) = connection.scan::<User>("id", &mut position, |row| row.id.into()).await? {
        batch.retain(|user| user.role == Role::Customer && user.erased_at.is_none());
        let ids: Vec<_> = batch.iter().map(|user| user.id).collect();
        let preferences = connection.all_by_keys::<Preferences, _>("user_id", &ids).await?.into_iter();
        let mut preferences: HashMap<_, _> = preferences.map(|row| (row.user_id, row)).collect();
        for user in batch {
            let preferences = preferences.remove(&user.id);
            out.write(&CustomerLine::from((user, preferences)))?;
        }
    }
    Ok(())
}

pub(super) async fn reviews<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let id = |review: &Review| review.id.into();
    write_rows(connection, out, id, |out, review| out.write(&ReviewLine::from(&review))).await
}

pub(super) async fn subscriptions<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let id = |subscription: &Subscription| subscription.id.into();
    write_rows(connection, out, id, |out, subscription| out.write(&SubscriptionLine::from(&subscription)))
        .await
}
