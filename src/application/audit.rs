//! The audit log: listed, exported and verified.

use std::io::{self, BufRead, Read, Write};
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::audit::{
    ActorKind, AuditChange, AuditEntry, BrokenChain, ChainCheck, FIRST_ENTRY, SecurityAction, bytes_of_hex,
    hex,
};
use crate::domain::ids::{ApiKeyId, SessionId, UserId};
use crate::infrastructure::exceptions::{Failure, RejectedRequest};
use crate::infrastructure::middleware::{Partition, Quota, RateLimit};
use crate::infrastructure::repositories::{AuditFilter, AuditRepository, Connection, DatabaseError, Page};

use super::Store;
use super::export::{ExportError, write_line};
use super::json_lines::described;

/// The longest line of an export, in bytes.
const LONGEST_LINE: u64 = 16 << 20;
/// How many actions that a client can repeat at will are recorded of one partition in [`RECORDED_IN`].
const MOST_RECORDED: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// The time in which they are counted.
const RECORDED_IN: Duration = Duration::from_hours(1);
/// The time in which the same read has one entry.
const READ_IN: Duration = Duration::from_mins(5);
/// For whom actions are counted whose user is not known: for all clients together, since a stranger has many addresses,
/// and entries are kept for ever.
pub const STRANGERS: Partition = Partition::Digest([0; 16]);

/// An entry of the audit log. It has ids and no other data of users.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditEntryBody {
    /// The number: 1, 2, 3 … without gaps.
    pub number: i64,
    /// The time of the action.
    pub occurred_at: Timestamp,
    /// The kind of the actor.
    pub actor: ActorKind,
    /// The user who acted; `null` for a client without a session, and for a command.
    pub user_id: Option<UserId>,
    /// The session of the user.
    pub session_id: Option<SessionId>,
    /// The API key by which the user acted.
    pub api_key_id: Option<ApiKeyId>,
    /// The id of the request. An action of several transactions has an entry for each.
    pub request_id: Option<Uuid>,
    /// The network of the client's address.
    pub network: Option<String>,
    /// The action: the id of the operation in this document, such as `adminUpdateProduct`, with `.refused` if the
    /// request was refused; a command, such as `undercroft admin create`; or one that concerns the security of an
    /// account, such as `session.created`.
    pub action: String,
    /// The id of what the action changed or read: that in the path of the request, of the user by whom it filters a
    /// list, or of the first row that was written. If the action concerns the security of an account, the user or the
    /// API key.
    pub subject_id: Option<Uuid>,
    /// The rows that an administrative action wrote, with the names of changed columns and without their values.
    #[schema(inline)]
    pub changes: Vec<AuditChange>,
    /// The hash of the entry before it, in hexadecimal.
    pub previous_hash: String,
    /// The SHA-256 hash of the entry, in hexadecimal.
    pub hash: String,
}

impl From<AuditEntry> for AuditEntryBody {
    fn from(entry: AuditEntry) -> Self {
        Self {
            number: entry.number,
            occurred_at: entry.occurred_at,
            actor: entry.actor,
            user_id: entry.user_id,
            session_id: entry.session_id,
            api_key_id: entry.api_key_id,
            request_id: entry.request_id,
            network: entry.network,
            action: entry.action,
            subject_id: entry.subject_id,
            changes: entry.changes,
            previous_hash: hex(&entry.previous_hash),
            hash: hex(&entry.hash),
        }
    }
}

impl From<AuditEntryBody> for AuditEntry {
    /// A hash that is not written in hexadecimal is read as none, which no entry has.
    fn from(body: AuditEntryBody) -> Self {
        Self {
            number: body.number,
            occurred_at: body.occurred_at,
            actor: body.actor,
            user_id: body.user_id,
            session_id: body.session_id,
            api_key_id: body.api_key_id,
            request_id: body.request_id,
            network: body.network,
            action: body.action,
            subject_id: body.subject_id,
            changes: body.changes,
            previous_hash: bytes_of_hex(&body.previous_hash).unwrap_or_default(),
            hash: bytes_of_hex(&body.hash).unwrap_or_default(),
        }
    }
}

/// Why an export of the audit log was not verified.
#[derive(Debug, thiserror::Error)]
pub enum AuditFileError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[from] io::Error),
    /// It is empty: nothing shows that it is an export.
    #[error("the file has no entries")]
    Empty,
    /// A line is no entry, or is written in another way than by an export.
    #[error("line {line} is no entry of an audit log: {reason}")]
    Line {
        /// The number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// A number of an entry and its hash, as they were noted outside of the store; of an empty log, those before the first
/// entry, which each log has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedEntry {
    /// The number.
    pub number: i64,
    /// The hash in hexadecimal.
    pub hash: String,
}

/// Records that the administrative action of the store's actor was refused. Few refusals of one partition are recorded:
/// the log has a line of each, and no one fills the database by them.
pub async fn record_refusal(store: &Store, by: Partition) {
    if count_recorded(store, "recorded_actions", by).await.is_ok() {
        record(store, None).await;
    }
}

/// Counts an action of this name that a client can repeat at will, and that has an entry: 20 of one partition at once,
/// and one in three minutes after that, since entries are kept for ever.
///
/// # Errors
///
/// [`RejectedRequest::TooMany`] if there were more.
pub(crate) async fn count_recorded(
    store: &Store,
    name: &'static str,
    by: Partition,
) -> Result<(), RejectedRequest> {
    let quota = Quota::new(MOST_RECORDED, RECORDED_IN);
    store.infrastructure.limiter.count(RateLimit { name, quota }, by).await.check(quota)
}

/// Records that a user, the actor of the store, exported the own data.
pub async fn record_export(store: &Store, user_id: UserId) {
    record(store, Some((SecurityAction::DataExported, user_id))).await;
}

/// Records the administrative action of the store's actor, which only read, once in five minutes: `read` is who read
/// what. If that fails, the next one is recorded.
pub async fn record_read(store: &Store, read: Partition) {
    let limit = RateLimit { name: "recorded_reads", quota: Quota::new(NonZeroU32::MIN, READ_IN) };
    if store.infrastructure.limiter.count(limit, read).await.is_allowed && !record(store, None).await {
        store.infrastructure.limiter.uncount(limit, read).await;
    }
}

/// Writes the entries of what changed nothing: of the administrative action of the store's actor, if it is one, and of
/// this action; returns whether they were written. What was done or refused remains so if they cannot be written, such
/// as on a standby.
async fn record(store: &Store, action: Option<(SecurityAction, UserId)>) -> bool {
    let write = store.database().write(action, async |work, action| {
        if let Some((action, user_id)) = action {
            work.record(*action, Some(*user_id));
        }
        Ok::<_, Failure>(())
    });
    let written = write.await;
    if let Err(failure) = &written {
        tracing::warn!(failure = %failure.report(), "an action was not recorded in the audit log");
    }
    written.is_ok()
}

/// Returns a page of the audit log, newest first.
pub async fn list(
    store: &Store,
    filter: &AuditFilter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page<AuditEntry>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(AuditRepository(&mut connection).list(filter, &request).await?)
}

/// Writes all entries to `out` as JSON Lines, in the order of their numbers; returns `out`.
pub async fn export<W: Write + Send + 'static>(store: &Store, out: W) -> Result<W, ExportError> {
    store.database().snapshot(out, async |connection, out| export_all(connection, out).await).await
}

async fn export_all<W: Write>(connection: &mut Connection, mut out: W) -> Result<W, ExportError> {
    let mut number = 0;
    loop {
        let entries = AuditRepository(connection).after(number).await?;
        let Some(last) = entries.last() else { break };
        number = last.number;
        for entry in entries {
            write_line(&mut out, &AuditEntryBody::from(entry))?;
        }
    }
    out.flush().map_err(ExportError::Write)?;
    Ok(out)
}

/// Verifies the chain of all entries, and that an entry is the one that was noted; returns the last entry that is
/// right, and what is wrong after it.
pub async fn verify(
    store: &Store,
    noted: Option<NotedEntry>,
) -> Result<(ChainCheck, Option<BrokenChain>), DatabaseError> {
    let verified = store.database().snapshot(noted, async |connection, noted| {
        let mut check = ChainCheck::default();
        let broken = verify_all(connection, noted.as_ref(), &mut check).await?.err();
        Ok((check, broken))
    });
    verified.await
}

async fn verify_all(
    connection: &mut Connection,
    noted: Option<&NotedEntry>,
    check: &mut ChainCheck,
) -> Result<Result<(), BrokenChain>, DatabaseError> {
    let counted = AuditRepository(connection).counted().await?;
    loop {
        let entries = AuditRepository(connection).after(check.number).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            if let Err(broken) = check_next(check, &entry, noted) {
                return Ok(Err(broken));
            }
        }
    }
    let last = check.number;
    Ok(if last == counted { check_end(last, noted) } else { Err(BrokenChain::Cut(last)) })
}

/// Verifies the chain of all entries of an export, without the store, and that an entry is the one that was noted;
/// returns the last entry that is right, and what is wrong after it. That the end of the export is missing is found by
/// a noted entry alone.
///
/// # Errors
///
/// An empty file; a line that is no entry, such as one that was not written to its end; and one that an export writes
/// in another way: what its hash does not cover, such as a member that is not known, would be changed without being
/// found.
pub fn verify_export(
    mut lines: impl BufRead,
    noted: Option<&NotedEntry>,
) -> Result<(ChainCheck, Option<BrokenChain>), AuditFileError> {
    let (mut check, mut text) = (ChainCheck::default(), Vec::new());
    for line in 1.. {
        text.clear();
        if lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let exported = text.strip_suffix(b"\n").unwrap_or(&text);
        let entry = entry_of(exported).map_err(|reason| AuditFileError::Line { line, reason })?;
        if let Err(broken) = check_next(&mut check, &entry, noted) {
            return Ok((check, Some(broken)));
        }
    }
    if check.number < FIRST_ENTRY {
        return Err(AuditFileError::Empty);
    }
    let broken = check_end(check.number, noted).err();
    Ok((check, broken))
}

/// Returns the entry of a line of an export; the error says what is wrong with the line.
fn entry_of(line: &[u8]) -> Result<AuditEntry, String> {
    let mut body: AuditEntryBody = serde_json::from_slice(line).map_err(|error| described(&error))?;
    // entries have microseconds, and the hash covers no more
    let time = Timestamp::from_microsecond(body.occurred_at.as_microsecond());
    body.occurred_at = time.unwrap_or(body.occurred_at);
    if serde_json::to_vec(&body).is_ok_and(|exported| exported == line) {
        Ok(body.into())
    } else {
        Err("an export writes it in another way".to_owned())
    }
}

/// Checks the next entry, and that it is the one that was noted, if it has its number.
fn check_next(
    check: &mut ChainCheck,
    entry: &AuditEntry,
    noted: Option<&NotedEntry>,
) -> Result<(), BrokenChain> {
    match noted {
        Some(noted) if noted.number == entry.number && noted.hash != hex(&entry.hash) => {
            Err(BrokenChain::Replaced(entry.number))
        }
        _ => check.next(entry),
    }
}

/// Checks that the log does not end before an entry that was noted.
fn check_end(last: i64, noted: Option<&NotedEntry>) -> Result<(), BrokenChain> {
    match noted {
        Some(&NotedEntry { number: noted, .. }) if noted > last => {
            Err(BrokenChain::EndsBeforeNoted { last, noted })
        }
        _ => Ok(()),
    }
}
