//! Customers, what they say of products, and what they have delivered again and again.

use std::collections::HashMap;
use std::io::Write;

use super::lines::{ReviewLine, SubscriptionLine};
use super::{ExportError, Output};
use crate::application::json_lines::{CustomerLine, LineType, PreferencesLine};
use crate::domain::review::Review;
use crate::domain::subscription::Subscription;
use crate::domain::user::{Preferences, Role, User};
use crate::infrastructure::repositories::Connection;

/// Those who are still known, without their passwords; who runs the store is none of them.
pub(super) async fn customers<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut place = None;
    while let Some(mut piece) = connection.scan::<User>("id", &mut place, |row| row.id.into()).await? {
        piece.retain(|user| user.role == Role::Customer && user.erased_at.is_none());
        let ids: Vec<_> = piece.iter().map(|user| user.id).collect();
        let wishes = connection.belonging::<Preferences, _>("user_id", &ids).await?;
        let mut wishes: HashMap<_, _> = wishes.into_iter().map(|wishes| (wishes.user_id, wishes)).collect();
        for user in piece {
            let wishes = wishes.remove(&user.id).map(|wishes| PreferencesLine {
                locale: wishes.locale,
                currency: wishes.currency,
                marketing_consent: wishes.marketing_consent,
                consent_at: wishes.consent_at,
            });
            out.write(&CustomerLine {
                r#type: LineType::Customer,
                id: user.id.to_string(),
                email: Some(user.email),
                email_verified_at: user.email_verified_at,
                name: user.name,
                birth_date: user.birth_date,
                created_at: Some(user.created_at),
                wishes,
            })?;
        }
    }
    Ok(())
}

pub(super) async fn reviews<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut place = None;
    while let Some(piece) = connection.scan::<Review>("id", &mut place, |row| row.id.into()).await? {
        for review in &piece {
            out.write(&ReviewLine::from(review))?;
        }
    }
    Ok(())
}

pub(super) async fn subscriptions<W: Write>(
    connection: &mut Connection,
    out: &mut Output<W>,
) -> Result<(), ExportError> {
    let mut place = None;
    while let Some(piece) = connection.scan::<Subscription>("id", &mut place, |row| row.id.into()).await? {
        for subscription in &piece {
            out.write(&SubscriptionLine::from(subscription))?;
        }
    }
    Ok(())
}
