//! Runs an import: reads the file once to know that it can be read, then once more to write what it says, many entries
//! to a unit of work.
//!
//! A file that is broken changes nothing. An import that was cut off has written whole units of work; the next one
//! passes over what is there and goes on.

use std::collections::HashSet;
use std::io::{self, BufRead};
use std::sync::Arc;

use jiff::Timestamp;

use super::apply::{Applied, apply};
use super::line::{Fields, Reason, Rejection, SourceLine};
use super::plan::{Planner, Task};
use super::readers::{Entry, Format, Options, Outcome, ReadError, Reader};
use super::record::Record;
use super::report::{Counts, Report};
use super::totals::{Totals, Unbalanced};
use crate::application::Store;
use crate::domain::ids::UserId;
use crate::infrastructure::exceptions::Failure;

/// Entries in one unit of work.
const BATCH: usize = 100;

/// Somebody who watches an import. An error of theirs ends it, with what was written by then.
pub trait Observer: Send {
    /// The file could be opened.
    fn opened(&mut self, format: Format, header: &Fields) -> io::Result<()>;
    /// So many of its lines can be read.
    fn checked(&mut self, lines: u64) -> io::Result<()>;
    /// What became of `settled` of all its lines is known and lasts.
    fn settled(&mut self, settled: u64, lines: u64) -> io::Result<()>;
    /// A line was not taken.
    fn rejected(&mut self, rejection: &Rejection) -> io::Result<()>;
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened.
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    /// The file is broken; nothing was written.
    #[error("{0}")]
    Read(ReadError),
    /// The observer gave up; what was written by then stays, and the next import goes on from there.
    #[error("the import was broken off")]
    Observer(#[source] io::Error),
    /// The store did not do it; what was written by then stays, and the next import goes on from there.
    #[error("{}", .0.report())]
    Store(Failure),
    /// Lines were lost: a fault of ours.
    #[error("{0}")]
    Unbalanced(Unbalanced),
}

impl From<ReadError> for ImportError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<Failure> for ImportError {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}

impl From<Unbalanced> for ImportError {
    fn from(error: Unbalanced) -> Self {
        Self::Unbalanced(error)
    }
}

/// A file that can be read to its end.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    lines: u64,
}

/// Reads what `open` opens to its end, before anything is written.
pub fn check<R: BufRead>(
    open: impl Fn() -> io::Result<R>,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Checked, ImportError> {
    let mut reader = Reader::open(open().map_err(ImportError::Open)?, options)?;
    observer.opened(reader.format(), reader.header()).map_err(ImportError::Observer)?;
    while let Some(outcome) = reader.next() {
        outcome?;
        observer.checked(reader.lines()).map_err(ImportError::Observer)?;
    }
    Ok(Checked { lines: reader.lines() })
}

/// Imports what `open` opens, from its beginning again. What has no date of its own is given `dated`.
pub async fn import<R: BufRead + Send>(
    store: &Store,
    open: impl Fn() -> io::Result<R>,
    options: &Options,
    dated: Timestamp,
    checked: Checked,
    observer: &mut dyn Observer,
) -> Result<Report, ImportError> {
    let mut reader = Reader::open(open().map_err(ImportError::Open)?, options)?;
    let mut run = Run {
        store,
        lines: checked.lines,
        planner: Planner::new(dated),
        pending: Vec::new(),
        pending_buyers: HashSet::new(),
        totals: Totals::default(),
        added: Counts::default(),
        unchanged: Counts::default(),
    };
    for outcome in &mut reader {
        match outcome? {
            Outcome::Entry(entry) => run.take(entry, observer).await?,
            Outcome::Rejected(rejection) => run.reject(&rejection, observer)?,
        }
    }
    run.flush(observer).await?;
    run.totals.close(reader.lines())?;
    let Run { totals, added, unchanged, .. } = run;
    Ok(Report { totals, format: reader.format(), currency: reader.currency(), added, unchanged })
}

/// An import under way.
struct Run<'a> {
    store: &'a Store,
    lines: u64,
    planner: Planner,
    pending: Vec<(Task, Vec<SourceLine>)>,
    pending_buyers: HashSet<UserId>,
    totals: Totals,
    added: Counts,
    unchanged: Counts,
}

impl Run<'_> {
    async fn take(&mut self, entry: Entry, observer: &mut dyn Observer) -> Result<(), ImportError> {
        match &entry.record {
            // it is traced to orders whose fate is to be known
            Record::Cancellation(invoice)
                if invoice.customer.is_some_and(|buyer| self.pending_buyers.contains(&buyer)) =>
            {
                self.flush(observer).await?;
            }
            Record::Order(invoice) => self.pending_buyers.extend(invoice.customer),
            _ => {}
        }
        self.pending.push((self.planner.task(entry.record), entry.lines));
        if self.pending.len() < BATCH { Ok(()) } else { self.flush(observer).await }
    }

    /// Writes what is pending in one unit of work, and then accounts for it.
    async fn flush(&mut self, observer: &mut dyn Observer) -> Result<(), ImportError> {
        self.pending_buyers.clear();
        let (tasks, sources): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().unzip();
        let tasks = Arc::new(tasks);
        let applied = write(self.store, &tasks).await?;
        for ((task, lines), applied) in tasks.iter().zip(sources).zip(applied) {
            self.settle(task, lines, &applied, observer)?;
        }
        let settled = self.totals.accepted.lines + self.totals.rejected.lines;
        observer.settled(settled, self.lines).map_err(ImportError::Observer)
    }

    fn settle(
        &mut self,
        task: &Task,
        lines: Vec<SourceLine>,
        applied: &Applied,
        observer: &mut dyn Observer,
    ) -> Result<(), ImportError> {
        self.added += applied.added;
        self.unchanged += applied.unchanged;
        if let Task::Order(sale) = task
            && applied.refused.is_none()
        {
            let is_left_out = |place| applied.left_out.iter().any(|(other, _)| *other == place);
            self.planner.remember(&sale.invoice, |place| !is_left_out(place));
        }
        for (place, line) in lines.into_iter().enumerate() {
            let left_out = applied.left_out.iter().find(|(other, _)| *other == place).map(|(_, why)| why);
            match applied.refused.as_ref().or(left_out) {
                Some(why) => self.reject(&line.reject(Reason::Refused, why), observer)?,
                None => self.totals.accept(&[line]),
            }
        }
        Ok(())
    }

    fn reject(&mut self, rejection: &Rejection, observer: &mut dyn Observer) -> Result<(), ImportError> {
        self.totals.reject(rejection);
        observer.rejected(rejection).map_err(ImportError::Observer)
    }
}

async fn write(store: &Store, tasks: &Arc<Vec<Task>>) -> Result<Vec<Applied>, Failure> {
    let (tasks, policy) = (Arc::clone(tasks), Arc::clone(&store.policy));
    store
        .database()
        .write_boxed(move |work| {
            let (tasks, policy) = (Arc::clone(&tasks), Arc::clone(&policy));
            Box::pin(async move {
                let mut applied = Vec::with_capacity(tasks.len());
                for task in tasks.iter() {
                    applied.push(apply(work, &policy, task).await?);
                }
                Ok(applied)
            })
        })
        .await
}
