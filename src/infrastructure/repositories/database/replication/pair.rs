//! A source and its target with open connections: the first copy, and the rounds that keep the target in step.

use jiff::Timestamp;
use uuid::Uuid;

use super::super::connection::Connection;
use super::super::copy::catalog::CopyTable;
use super::super::copy::target::{Serial, Target, last_number, look};
use super::super::copy::{
    CopyError, CopyStep, Progress, TableReport, begin_snapshot, compare, copy_table, hash, plan,
};
use super::super::dialect::{self, Engine};
use super::super::error::DatabaseError;
use super::super::param::params;
use super::super::role::{Role, role};
use super::super::{Database, DatabaseUrl, SchemaState, Setup};
use super::apply::{Application, Changes};
use super::recording::SourceState;
use super::standby::TargetState;
use super::{ReplicationError, ReplicationObserver, Round, recording, standby};
use crate::domain::context::Context;

/// A source and its target.
pub(super) struct Pair {
    pub(super) id: Uuid,
    pub(super) tables: Vec<CopyTable>,
    pub(super) source: Database,
    /// The connection that writes to the source.
    pub(super) record: Connection,
    pub(super) target: Target,
    /// The number of transactions of the replication in the target.
    pub(super) generation: i64,
    /// The last number of a change that was applied.
    pub(super) applied: i64,
    /// Whether source and target were compared since the first copy.
    pub(super) verified: bool,
}

/// What was found when a pair was opened.
pub(super) enum Opened {
    /// The first copy is not complete.
    Copying(Pair),
    /// The target is a standby.
    Following(Pair),
    /// The source was handed over, and the target is not live yet.
    Moving(Pair),
    /// The source was handed over, and the target is a store.
    Moved(Target),
}

/// Opens a source and its target, and begins their replication if there is none.
pub(super) async fn open(
    from: &DatabaseUrl,
    to: &DatabaseUrl,
    context: &Context,
) -> Result<Opened, ReplicationError> {
    // fails unless it is a store with the schema of this program
    drop(Database::open(from, context.clone(), Setup::ReadOnly).await.map_err(CopyError::Source)?);
    let source = Database::connect_for_writing(from, context.clone()).map_err(CopyError::Source)?;
    let mut reader = source.read().await.map_err(CopyError::Source)?;
    let source_role = role(&mut reader).await.map_err(CopyError::Source)?;
    if source_role == Role::Standby {
        return Err(ReplicationError::SourceIsStandby);
    }
    if source_role == Role::Stopping {
        return Err(ReplicationError::Ended);
    }
    // before that of the target, which another process may change: the target is never older than this
    let recorded = match source_role {
        Role::Source | Role::Moved => Some(recording::state(&mut reader).await.map_err(CopyError::Source)?),
        Role::Live | Role::Stopping | Role::Standby => None,
    };
    let state = look(from, to, &mut reader, context.clone()).await?;
    let found = if state == SchemaState::Empty { None } else { find_target(to, context).await? };
    match (&state, source_role, found) {
        (SchemaState::Empty, Role::Live | Role::Source, _)
        | (SchemaState::CopyIncomplete, Role::Live | Role::Source, None)
        | (SchemaState::CopyIncomplete | SchemaState::Current { .. }, _, Some(_)) => {}
        (SchemaState::Current { .. }, Role::Moved, None) => {
            let mut target = open_target(to, context, &state).await?;
            let origin = standby::origin(&mut target.connection).await.map_err(CopyError::Target)?;
            let is_target = origin == recorded.map(|source| source.id);
            return if is_target { Ok(Opened::Moved(target)) } else { Err(ReplicationError::SourceHasMoved) };
        }
        _ => return Err(CopyError::NotEmpty.into()),
    }
    drop(reader);

    let mut record = source.unchecked_writer().await.map_err(CopyError::Source)?;
    let (id, claimed) = match (recorded, found) {
        (None, Some(_)) => return Err(ReplicationError::OtherSource),
        (None, None) => {
            let id = context.ids.uuid();
            recording::begin(&mut record, id).await.map_err(CopyError::Source)?;
            (id, false)
        }
        (Some(recorded), found) => resume(&mut record, recorded, found).await?,
    };
    let target = open_target(to, context, &state).await?;
    let mut pair = Pair::new(id, source, record, target).await?;
    pair.claim(found.is_some(), claimed).await?;
    Ok(match (state, source_role) {
        (SchemaState::Current { .. }, Role::Moved) => Opened::Moving(pair),
        (SchemaState::Current { .. }, _) => Opened::Following(pair),
        _ => Opened::Copying(pair),
    })
}

/// Returns the state of the replication in a target that is not empty; `None` if it has none.
async fn find_target(to: &DatabaseUrl, context: &Context) -> Result<Option<TargetState>, CopyError> {
    let database = Database::connect_for_reading(to, context.clone()).map_err(CopyError::Target)?;
    let mut connection = database.read().await.map_err(CopyError::Target)?;
    match role(&mut connection).await.map_err(CopyError::Target)? {
        Role::Live => Ok(None),
        // a source of another replication is a store
        Role::Source | Role::Stopping | Role::Moved => Err(CopyError::NotEmpty),
        Role::Standby => standby::state(&mut connection).await.map(Some).map_err(CopyError::Target),
    }
}

/// Returns the id of the replication of a source and whether it has a target, if the target belongs to it and no change
/// is missing in the record.
async fn resume(
    record: &mut Connection,
    SourceState { id, claimed, generation }: SourceState,
    found: Option<TargetState>,
) -> Result<(Uuid, bool), ReplicationError> {
    match found {
        Some(target) if target.id != id => return Err(ReplicationError::OtherSource),
        Some(target) if target.generation < generation => return Err(ReplicationError::TargetRestored),
        None if claimed => return Err(ReplicationError::OtherTarget),
        _ => {}
    }
    if !claimed {
        recording::complete(record).await.map_err(CopyError::Source)?;
        return Ok((id, claimed));
    }
    if let Some(table) = recording::missing(record).await.map_err(CopyError::Source)?.first() {
        return Err(ReplicationError::NotRecorded(table.name.clone()));
    }
    let last = last_number(record, "row_changes", "seq").await.map_err(CopyError::Source)?;
    if found.is_some_and(|target| target.applied > last.unwrap_or_default()) {
        return Err(ReplicationError::SourceRestored);
    }
    Ok((id, claimed))
}

async fn open_target(to: &DatabaseUrl, context: &Context, state: &SchemaState) -> Result<Target, CopyError> {
    if !matches!(state, SchemaState::Current { .. }) {
        return Target::open(to, context.clone()).await;
    }
    let database = Database::connect_for_writing(to, context.clone()).map_err(CopyError::Target)?;
    Target::of(database).await.map_err(CopyError::Target)
}

impl Pair {
    async fn new(
        id: Uuid,
        source: Database,
        record: Connection,
        mut target: Target,
    ) -> Result<Self, ReplicationError> {
        let mut reader = source.read().await.map_err(CopyError::Source)?;
        let (tables, _) = plan(&mut reader, &mut target.connection).await?;
        drop(reader);
        Ok(Self { id, tables, source, record, target, generation: 0, applied: 0, verified: false })
    }

    /// Makes the target that of the source, if it is not yet.
    async fn claim(&mut self, is_target: bool, claimed: bool) -> Result<(), ReplicationError> {
        let target = &mut self.target.connection;
        if !is_target {
            // otherwise it is that of `copy`
            let copied: i64 =
                target.one("SELECT COUNT(*) FROM copy_tables", &[]).await.map_err(CopyError::Target)?;
            if copied > 0 {
                return Err(CopyError::NotEmpty.into());
            }
            standby::claim(target, &self.tables, self.id).await.map_err(CopyError::Target)?;
        }
        if !claimed {
            recording::claim(&mut self.record, self.id).await.map_err(CopyError::Source)?;
        }
        Ok(())
    }

    /// Makes this process the one that writes to the target.
    pub(super) async fn take_over(&mut self) -> Result<(), ReplicationError> {
        let taken = standby::take_over(&mut self.target.connection).await;
        let TargetState { generation, applied, verified, .. } = taken.map_err(CopyError::Target)?;
        (self.generation, self.applied, self.verified) = (generation, applied, verified);
        Ok(())
    }

    /// Begins a snapshot of the source; returns it with the recorded changes that it sees.
    async fn begin_snapshot(&mut self) -> Result<(Connection, Waiting), ReplicationError> {
        let mut snapshot = begin_snapshot(&self.source).await.map_err(CopyError::Source)?;
        // before the snapshot, which begins with the first row that is read
        let at = snapshot.one(dialect::time(snapshot.engine()), &[]).await.map_err(CopyError::Source)?;
        match role(&mut snapshot).await.map_err(CopyError::Source)? {
            Role::Source => {}
            Role::Moved => return Err(ReplicationError::SourceHasMoved),
            Role::Live | Role::Stopping | Role::Standby => return Err(ReplicationError::Ended),
        }
        let waiting = Waiting::read(&mut snapshot, at).await.map_err(CopyError::Source)?;
        Ok((snapshot, waiting))
    }

    /// Completes the first copy, after which the target is a standby that equals a snapshot of the source.
    pub(super) async fn copy<O: ReplicationObserver>(
        &mut self,
        observer: &mut O,
    ) -> Result<(), ReplicationError> {
        let (mut snapshot, waiting) = self.begin_snapshot().await?;
        let (mut copied, mut all) = (Vec::new(), 0);
        for table in &self.tables {
            copied.push(table.last_key(&mut self.target.connection).await.map_err(CopyError::Target)?);
            all += table.count(&mut snapshot).await.map_err(CopyError::Source)?;
        }
        // what an earlier run has copied becomes equal to this snapshot first
        if copied.iter().any(Option::is_some) {
            let application = Application { tables: &self.tables, copied: Some(&copied), compared: false };
            begin(&mut self.target.connection, self.id, &mut self.generation).await?;
            application.run(&mut snapshot, &mut self.target.connection).await?;
            self.end("copying", &waiting).await?;
        }

        self.target.fence = Some(self.generation);
        let mut progress = Progress { observer, step: CopyStep::Copying, rows: 0, of: Some(all) };
        for table in &self.tables {
            copy_table(&mut snapshot, &mut self.target, table, &mut progress).await?;
        }
        begin(&mut self.target.connection, self.id, &mut self.generation).await?;
        standby::begin(&mut self.target.connection, &self.tables).await.map_err(CopyError::Target)?;
        set_serials(&mut snapshot, &mut self.target.connection, &self.tables).await?;
        self.end("standby", &waiting).await?;
        self.forget(snapshot, &waiting).await?;
        Ok(())
    }

    /// Applies the changes that the source has recorded, after which the target equals a snapshot of the source.
    pub(super) async fn round(&mut self, compared: bool) -> Result<Round, ReplicationError> {
        let (mut snapshot, waiting) = self.begin_snapshot().await?;
        let changes = if waiting.count == 0 {
            Changes::new()
        } else {
            self.apply(&mut snapshot, &waiting, compared).await?
        };
        self.forget(snapshot, &waiting).await?;
        Ok(Round { waited: waiting.count, lag: waiting.age(), equal_at: waiting.at, changes })
    }

    /// Compares all rows of source and target at one snapshot.
    pub(super) async fn verify<O: ReplicationObserver>(
        &mut self,
        observer: &mut O,
    ) -> Result<Vec<TableReport>, ReplicationError> {
        let (mut snapshot, waiting) = self.begin_snapshot().await?;
        self.apply(&mut snapshot, &waiting, false).await?;

        let mut reading = Progress { observer: &mut *observer, step: CopyStep::Reading, rows: 0, of: None };
        let expected = hash(&mut snapshot, &self.tables, CopyError::Source, &mut reading).await?;
        let all = expected.iter().map(|table| table.rows).sum();
        let mut comparing = Progress { observer, step: CopyStep::Comparing, rows: 0, of: Some(all) };
        let found =
            hash(&mut self.target.connection, &self.tables, CopyError::Target, &mut comparing).await?;
        if let Err(CopyError::Differs(tables)) = compare(&expected, &found) {
            // another process may have continued the replication, or moved the store, since
            self.check_current().await?;
            return Err(ReplicationError::Differs(tables));
        }
        let sql = "UPDATE replication SET verified_at = $1";
        self.target.connection.execute(sql, &params![waiting.at]).await.map_err(CopyError::Target)?;
        self.verified = true;
        self.forget(snapshot, &waiting).await?;
        Ok(expected)
    }

    /// Fails if another process has written to the target since.
    async fn check_current(&mut self) -> Result<(), ReplicationError> {
        let sql = "SELECT COUNT(*) FROM replication WHERE generation = $1";
        let current: Result<i64, _> = self.target.connection.one(sql, &params![self.generation]).await;
        match current.map_err(CopyError::Target)? {
            0 => Err(ReplicationError::TakenOver),
            _ => Ok(()),
        }
    }

    /// Records that the target still equals the source, when there were no changes.
    pub(super) async fn touch(&mut self, at: Timestamp) -> Result<(), ReplicationError> {
        let sql = "UPDATE replication SET equal_at = $1 WHERE generation = $2";
        let touched = self.target.connection.execute(sql, &params![at, self.generation]).await;
        if touched.map_err(CopyError::Target)? == 1 { Ok(()) } else { Err(ReplicationError::TakenOver) }
    }

    async fn apply(
        &mut self,
        snapshot: &mut Connection,
        waiting: &Waiting,
        compared: bool,
    ) -> Result<Changes, ReplicationError> {
        begin(&mut self.target.connection, self.id, &mut self.generation).await?;
        let application = Application { tables: &self.tables, copied: None, compared };
        let changes = application.run(snapshot, &mut self.target.connection).await?;
        set_serials(snapshot, &mut self.target.connection, &self.tables).await?;
        self.end("standby", waiting).await?;
        Ok(changes)
    }

    /// Ends a transaction of the target that [`begin`] has begun.
    async fn end(&mut self, role: &str, waiting: &Waiting) -> Result<(), CopyError> {
        self.applied = self.applied.max(waiting.last);
        let sql = "UPDATE replication SET role = $1, applied = $2, equal_at = $3";
        let values = params![role, self.applied, waiting.at];
        self.target.connection.execute(sql, &values).await.map_err(CopyError::Target)?;
        self.target.connection.commit().await.map_err(CopyError::Target)
    }

    /// Deletes the changes that a snapshot saw, which are applied. If the process ends before, they are applied once
    /// more.
    async fn forget(&mut self, mut snapshot: Connection, waiting: &Waiting) -> Result<(), CopyError> {
        // a connection that cannot roll back is closed when it is dropped
        let _ = snapshot.roll_back().await;
        drop(snapshot);
        if waiting.count == 0 {
            return Ok(());
        }
        let forgotten = recording::forget(&mut self.record, &waiting.seen, self.generation).await;
        forgotten.map_err(CopyError::Source)
    }
}

/// Begins a transaction of the target. Fails if another process has taken it over. On PostgreSQL the server ends the
/// transaction if nothing comes from this process for half a minute, as when the network fails: its locks would
/// remain otherwise.
pub(super) async fn begin(
    target: &mut Connection,
    id: Uuid,
    generation: &mut i64,
) -> Result<(), ReplicationError> {
    let sql = "UPDATE replication SET role = 'applying', generation = generation + 1 \
               WHERE id = $1 AND generation = $2 AND role IN ('copying', 'standby')";
    let begun = async {
        target.begin()?;
        if target.engine() == Engine::Postgres {
            target.defer_script("SET LOCAL idle_in_transaction_session_timeout = '30s'")?;
        }
        target.execute(sql, &params![id, *generation]).await
    };
    if begun.await.map_err(CopyError::Target)? == 0 {
        return Err(ReplicationError::TakenOver);
    }
    *generation += 1;
    Ok(())
}

/// Makes the target number its rows after those of the source.
pub(super) async fn set_serials(
    source: &mut Connection,
    target: &mut Connection,
    tables: &[CopyTable],
) -> Result<(), CopyError> {
    for table in tables {
        if let Some(serial) = Serial::read(source, table).await.map_err(CopyError::Source)? {
            serial.set(target).await.map_err(CopyError::Target)?;
        }
    }
    Ok(())
}

/// The recorded changes that a snapshot of the source sees.
struct Waiting {
    count: i64,
    /// The last number of a change, 0 if there is none.
    last: i64,
    oldest: Option<Timestamp>,
    /// A time by the source's clock: the snapshot has all that was committed before it.
    at: Timestamp,
    /// The position up to which it sees changes.
    seen: String,
}

impl Waiting {
    async fn read(snapshot: &mut Connection, at: Timestamp) -> Result<Self, DatabaseError> {
        let seen = snapshot.one(dialect::seen_changes(snapshot.engine()), &[]).await?;
        let sql = "SELECT COUNT(*), COALESCE(MAX(seq), 0), MIN(changed_at) FROM row_changes";
        let (count, last, oldest) = snapshot.one(sql, &[]).await?;
        Ok(Self { count, last, oldest, at, seen })
    }

    fn age(&self) -> std::time::Duration {
        let age = self.oldest.map(|oldest| self.at.duration_since(oldest));
        age.and_then(|age| age.try_into().ok()).unwrap_or_default()
    }
}
