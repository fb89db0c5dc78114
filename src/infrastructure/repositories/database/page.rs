//! Keyset pages: the cursor holds the last row's place, signed, so that a page costs the same wherever it begins
//! and nobody can ask for a place that was not handed out.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use uuid::Uuid;

use super::Database;
use super::connection::Connection;
use super::error::DatabaseError;
use super::param::{Param, params};
use super::row::FromRow;
use super::statements::select;
use super::table::{Aggregate, Root, Table};

/// Bytes of the signature kept in a cursor.
const TAG: usize = 12;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of at most `limit` from up to `limit + 1` rows; `place` is the place of its last row.
    pub fn cut<P: Serialize>(
        mut rows: Vec<T>,
        limit: usize,
        list: &Cursors<'_>,
        place: impl Fn(&T) -> P,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| list.encode(&place(last)));
        Self { items: rows, next }
    }

    /// The same page of other things.
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(make).collect(), next: self.next }
    }
}

/// A cursor that this store did not hand out for this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list")]
pub struct ForeignCursor;

/// Why there is no page of a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is none of this list's.
    #[error(transparent)]
    Cursor(#[from] ForeignCursor),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DatabaseError),
}

/// The store's own secret, made when its database was set up. What it signs, this store has said.
#[derive(Clone, Default)]
pub struct CursorKey(Arc<[u8]>);

impl CursorKey {
    /// Reads the secret, or makes it in a new database.
    pub(crate) async fn load(database: &Database) -> Result<Self, DatabaseError> {
        const READ: &str = "SELECT value FROM store_settings WHERE key = 'secret'";
        if let Some(found) = database.read().await?.first::<String>(READ, &[]).await? {
            return Ok(Self(found.into_bytes().into()));
        }
        let write = database.write((), async |work, ()| {
            let mut bytes = [0; 32];
            work.secret(&mut bytes);
            let values = params![URL_SAFE_NO_PAD.encode(bytes)];
            let sql = "INSERT INTO store_settings (key, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING";
            work.execute(sql, &values).await?;
            work.one::<String>(READ, &[]).await
        });
        let secret = write.await?;
        Ok(Self(secret.into_bytes().into()))
    }

    /// The signature of `parts` for a purpose.
    pub fn sign(&self, purpose: &str, parts: &[u8]) -> [u8; 32] {
        let mut mac = self.mac();
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(parts);
        mac.finalize().into_bytes().into()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("any length")
    }

    /// The cursors of a list; `list` names it with its filters, so that a cursor fits no other.
    pub fn cursors<'a>(&'a self, list: &'a str) -> Cursors<'a> {
        Cursors { key: self, list }
    }
}

/// A row with a time of its own; lists of it are newest first.
pub trait ListedByTime: Table {
    /// The column that lists go by.
    const TIME: &'static str = "created_at";

    /// Returns the row's position in a list: its time and its key.
    fn position(&self) -> (Timestamp, Uuid);
}

impl<T: Aggregate + ListedByTime> ListedByTime for Root<T> {
    const TIME: &'static str = T::TIME;

    fn position(&self) -> (Timestamp, Uuid) {
        self.row().position()
    }
}

impl Connection {
    /// Up to `limit` rows that fulfil `condition`, whose parameters are `values`, newest first, from behind a place.
    pub async fn newest<T: ListedByTime + FromRow>(
        &mut self,
        condition: &str,
        values: &[Param<'_>],
        limit: usize,
        after: Option<(Timestamp, impl Into<Uuid>)>,
        cursors: &Cursors<'_>,
    ) -> Result<Page<T>, DatabaseError> {
        let after = after.map(|(at, key)| (at, key.into()));
        let (sql, values) = newest_first::<T>(condition, values, limit, after);
        let rows = self.all::<T>(&sql, &values).await?;
        Ok(Page::cut(rows, limit, cursors, T::position))
    }
}

/// The statement for up to `limit + 1` rows, newest first.
pub(crate) fn newest_first<'a, T: ListedByTime>(
    condition: &str,
    values: &[Param<'a>],
    limit: usize,
    after: Option<(Timestamp, Uuid)>,
) -> (String, Vec<Param<'a>>) {
    let (time, key) = (T::TIME, T::FIELDS[0][0]);
    let mut values = values.to_vec();
    let mut behind = String::new();
    if let Some((at, id)) = after {
        values.extend(params![at, id]);
        behind = format!("AND ({time}, {key}) < (${}, ${})", values.len() - 1, values.len());
    }
    values.push(Param::Int(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)));
    let order = format!("ORDER BY {time} DESC, {key} DESC LIMIT ${}", values.len());
    (select::<T>(&format!("WHERE {condition} {behind} {order}")), values)
}

/// Makes and reads the cursors of one list.
pub struct Cursors<'a> {
    key: &'a CursorKey,
    list: &'a str,
}

impl Cursors<'_> {
    /// The cursor that stands for a place.
    pub(crate) fn encode<P: Serialize>(&self, place: &P) -> String {
        let mut bytes = serde_json::to_vec(place).unwrap_or_default();
        let tag = self.key.sign(self.list, &bytes);
        bytes.extend_from_slice(&tag[..TAG]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor stands for.
    pub fn decode<P: DeserializeOwned>(&self, cursor: &str) -> Result<P, ForeignCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| ForeignCursor)?;
        let (place, tag) = bytes.split_at_checked(bytes.len().wrapping_sub(TAG)).ok_or(ForeignCursor)?;
        let expected = self.key.sign(self.list, place);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(&expected[..TAG], tag)) {
            return Err(ForeignCursor);
        }
        serde_json::from_slice(place).map_err(|_| ForeignCursor)
    }
}
