//! Runs an import: reads the file once to check it, and once more to write its records, many in a unit of work.
//!
//! A file that cannot be read to its end changes nothing. An import that was interrupted has committed whole units of
//! work; the next import of the same file skips what is there and continues.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufRead};
use std::sync::Arc;

use super::apply::{Task, apply_all};
use super::line::{Fields, Reason, Rejection, SourceLine};
use super::originals::{Originals, Traced};
use super::outcome::RecordOutcome;
use super::readers::{Dialect, Entry, Fault, Options, Outcome, ReadError, Reader, encoding_of};
use super::report::{Counts, Report, StockCounts};
use super::totals::{LineTotals, TotalsMismatch};
use super::write_options::{ExistingProducts, WriteOptions};
use crate::application::Store;
use crate::application::catalogue::store_currency;
use crate::application::records::Record;
use crate::domain::ids::{CategoryId, OrderId, UserId};
use crate::domain::money::Currency;
use crate::infrastructure::exceptions::Failure;

/// The most records in one unit of work.
const BATCH: usize = 100;

/// Follows the progress of an import. An error ends the import; what was committed stays.
pub trait Observer: Send {
    /// The file was opened: its header, and how its text is written.
    fn opened(&mut self, header: &Fields, dialect: Dialect) -> io::Result<()>;
    /// The first `lines` lines can be read.
    fn checked(&mut self, lines: u64) -> io::Result<()>;
    /// The outcome of `done` of all `lines` lines is committed.
    fn committed(&mut self, done: u64, lines: u64) -> io::Result<()>;
    /// A line was rejected, for another reason than the type of its record.
    fn rejected(&mut self, rejection: &Rejection) -> io::Result<()>;
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened.
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    /// The file cannot be read to its end; nothing was written.
    #[error("{0}")]
    Read(ReadError),
    /// The observer ended the import; what was committed stays, and the next import continues from there.
    #[error("the import was stopped")]
    Observer(#[source] io::Error),
    /// The store failed; what was committed stays, and the next import continues from there.
    #[error("{}", .0.report())]
    Store(Failure),
    /// The totals do not add up, which is an internal error.
    #[error("{0}")]
    Totals(TotalsMismatch),
}

impl ImportError {
    /// Returns whether the file does not name the currency of its prices, and no option does.
    pub fn needs_currency(&self) -> bool {
        matches!(self, Self::Read(ReadError { fault: Fault::CurrencyNeeded, .. }))
    }
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

impl From<TotalsMismatch> for ImportError {
    fn from(error: TotalsMismatch) -> Self {
        Self::Totals(error)
    }
}

/// A file that can be read to its end.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    lines: u64,
    /// The options, with what only the whole file shows.
    options: Options,
}

/// Reads a file to its end, before anything is written, and finds what the options leave open.
///
/// Fails if the file cannot be opened or read, or if the observer fails.
pub fn check<R: BufRead>(
    open: impl Fn() -> io::Result<R>,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Checked, ImportError> {
    let encoding = match options.encoding {
        Some(encoding) => encoding,
        None => encoding_of(open().map_err(ImportError::Open)?)?,
    };
    let options = Options { encoding: Some(encoding), ..*options };
    let mut reader = Reader::open(open().map_err(ImportError::Open)?, &options)?;
    observer.opened(reader.header(), reader.dialect()).map_err(ImportError::Observer)?;
    while let Some(outcome) = reader.next() {
        outcome?;
        observer.checked(reader.lines()).map_err(ImportError::Observer)?;
    }
    let options = Options { marks: options.marks.or(reader.marks()), ..options };
    Ok(Checked { lines: reader.lines(), options })
}

/// Imports a checked file, which `open` opens at its beginning.
pub async fn import<R: BufRead + Send>(
    store: &Store,
    open: impl Fn() -> io::Result<R>,
    checked: Checked,
    existing: ExistingProducts,
    observer: &mut dyn Observer,
) -> Result<Report, ImportError> {
    let mut reader = Reader::open(open().map_err(ImportError::Open)?, &checked.options)?;
    let mut run = Run::new(store, existing, checked.lines);
    for outcome in &mut reader {
        match outcome? {
            Outcome::Entry(entry) => run.add(entry, observer).await?,
            Outcome::Rejected(rejection) => run.reject(&rejection, observer)?,
        }
    }
    run.write_pending(observer).await?;
    run.totals.close(reader.lines())?;
    let Run { totals, prices, stock, added, updated, unchanged, .. } = run;
    Ok(Report {
        totals,
        format: reader.format(),
        encoding: reader.dialect().encoding,
        currency: reader.currency(),
        prices,
        stock,
        unused_values: reader.unused_values(),
        added,
        updated,
        unchanged,
    })
}

/// The state of a running import.
struct Run<'a> {
    store: &'a Store,
    options: WriteOptions,
    /// The lines of the whole file.
    lines: u64,
    /// The number of categories so far below each parent.
    siblings: HashMap<Option<CategoryId>, i64>,
    /// The lines of the orders so far, to which cancellations are traced.
    originals: Originals,
    /// The records of the next unit of work, each with its lines of the file.
    pending: Vec<(Task, Vec<SourceLine>)>,
    /// The number of units of work so far.
    batches: u64,
    /// The customers of the orders among the pending records.
    pending_customers: HashSet<UserId>,
    totals: LineTotals,
    /// The number of accepted products that have a price in each currency after the import.
    prices: BTreeMap<Currency, u64>,
    stock: StockCounts,
    added: Counts,
    updated: Counts,
    unchanged: Counts,
}

impl<'a> Run<'a> {
    fn new(store: &'a Store, existing: ExistingProducts, lines: u64) -> Self {
        Self {
            store,
            options: WriteOptions::new(store, existing),
            lines,
            siblings: HashMap::new(),
            originals: Originals::default(),
            pending: Vec::new(),
            batches: 0,
            pending_customers: HashSet::new(),
            totals: LineTotals::default(),
            prices: BTreeMap::new(),
            stock: StockCounts::default(),
            added: Counts::default(),
            updated: Counts::default(),
            unchanged: Counts::default(),
        }
    }

    /// Adds an entry to the next unit of work, and writes it if it is full.
    async fn add(&mut self, mut entry: Entry, observer: &mut dyn Observer) -> Result<(), ImportError> {
        let mut traced = Traced::default();
        match &mut entry.record {
            Record::Category(category) => {
                let position = self.siblings.entry(category.parent_id).or_default();
                *position += 1;
                category.position = *position;
            }
            Record::Order(invoice) => self.pending_customers.extend(invoice.customer),
            Record::Cancellation(invoice) => {
                // it can only be traced to orders whose outcome is known
                if invoice.customer.is_some_and(|customer| self.pending_customers.contains(&customer)) {
                    self.write_pending(observer).await?;
                }
                traced = self.originals.trace(invoice);
            }
            _ => {}
        }
        self.pending.push((Task { record: entry.record, traced }, entry.lines));
        if self.pending.len() < BATCH { Ok(()) } else { self.write_pending(observer).await }
    }

    /// Writes the pending records in one unit of work, and then counts their lines.
    async fn write_pending(&mut self, observer: &mut dyn Observer) -> Result<(), ImportError> {
        self.pending_customers.clear();
        let (tasks, lines): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().unzip();
        let tasks = Arc::new(tasks);
        let currency = if self.prices.is_empty() { self.new_currency(&tasks) } else { None };
        let outcomes = write(self.store, &self.options, Arc::clone(&tasks), currency).await?;
        self.batches += 1;
        if self.batches.is_power_of_two() {
            refresh_statistics(self.store).await?;
        }
        for ((task, lines), outcome) in tasks.iter().zip(lines).zip(outcomes) {
            self.count(&task.record, lines, &outcome, observer)?;
        }
        let done = self.totals.accepted.lines + self.totals.rejected.lines;
        observer.committed(done, self.lines).map_err(ImportError::Observer)
    }

    /// Returns the currency of the first products, if a store without products is to have it: they have no price in the
    /// present one.
    fn new_currency(&self, tasks: &[Task]) -> Option<Currency> {
        let mut currencies = tasks.iter().find_map(Task::product)?.product.currencies();
        let is_present = currencies.contains(&self.store.terms.default_currency);
        if is_present { None } else { currencies.pop_first() }
    }

    /// Counts the lines of a record by its outcome.
    fn count(
        &mut self,
        record: &Record,
        lines: Vec<SourceLine>,
        outcome: &RecordOutcome,
        observer: &mut dyn Observer,
    ) -> Result<(), ImportError> {
        self.added += outcome.added;
        self.updated += outcome.updated;
        self.unchanged += outcome.unchanged;
        self.stock += outcome.stock;
        if let Record::Order(invoice) = record
            && let Some(customer) = invoice.customer
        {
            let lines = invoice.lines.iter().enumerate();
            let accepted = lines.filter(|(index, _)| outcome.rejection_of(*index).is_none());
            self.originals.add(OrderId(invoice.id), customer, accepted.map(|(_, line)| line));
        }
        for currency in &outcome.currencies {
            *self.prices.entry(*currency).or_default() += 1;
        }
        for (index, line) in lines.into_iter().enumerate() {
            match outcome.rejection_of(index) {
                Some(reason) => self.reject(&line.reject(Reason::Refused, reason), observer)?,
                None => self.totals.accept(&line),
            }
        }
        Ok(())
    }

    /// Counts a rejected line, and passes it on if it can be corrected. Records of types that are not imported are only
    /// counted.
    fn reject(&mut self, rejection: &Rejection, observer: &mut dyn Observer) -> Result<(), ImportError> {
        self.totals.reject(rejection);
        if rejection.reason == Reason::NotImported {
            return Ok(());
        }
        observer.rejected(rejection).map_err(ImportError::Observer)
    }
}

/// Lets the database adapt to the number of its rows, which has doubled.
async fn refresh_statistics(store: &Store) -> Result<(), Failure> {
    let refresh = store.database().write((), async |work, ()| Ok(work.refresh_statistics().await?));
    refresh.await
}

/// Writes records in one unit of work, and returns the outcome of each. A store without products gets the currency.
async fn write(
    store: &Store,
    options: &WriteOptions,
    tasks: Arc<Vec<Task>>,
    currency: Option<Currency>,
) -> Result<Vec<RecordOutcome>, Failure> {
    let given = (tasks, options.clone(), currency);
    let written = store.database().write(given, async |work, (tasks, options, currency)| {
        if let Some(currency) = *currency {
            store_currency::set_if_empty(work, currency).await?;
        }
        apply_all(work, options, tasks).await
    });
    written.await
}
