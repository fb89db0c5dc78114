//! Writes a task in an open unit of work, at its own time and with its own ids: done again, on whichever database, it
//! writes the same, and what is there already stays as it is.

use crate::application::Policy;
use crate::domain::context::Context;
use crate::infrastructure::exceptions::{Conflict, Failure};
use crate::infrastructure::repositories::{DatabaseError, SaveError, UnitOfWork};

use super::plan::Task;
use super::report::Counts;
use super::{cancellations, catalogue_records, sales};

/// What became of a task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Applied {
    /// What it wrote.
    pub added: Counts,
    /// What was there before.
    pub unchanged: Counts,
    /// Lines of an invoice that were left out, by their place from zero, and why.
    pub left_out: Vec<(usize, String)>,
    /// Why nothing of it was taken.
    pub refused: Option<String>,
}

impl Applied {
    /// What `counts` says was written, or else was there before.
    pub(super) fn new(is_new: bool, counts: Counts) -> Self {
        if is_new {
            Self { added: counts, ..Self::default() }
        } else {
            Self { unchanged: counts, ..Self::default() }
        }
    }

    /// Nothing was written.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self { refused: Some(why.into()), ..Self::default() }
    }
}

/// Why a task was not done.
#[derive(Debug)]
pub(super) enum Denied {
    /// The store refuses this one; the others go on.
    Refused(String),
    /// Something is broken; nothing goes on.
    Failed(Failure),
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        // a constraint that the record breaks is the record's fault here
        if failure.kind().is_final() || failure.is::<Conflict>() {
            Self::Refused(failure.to_string())
        } else {
            Self::Failed(failure)
        }
    }
}

impl From<DatabaseError> for Denied {
    fn from(error: DatabaseError) -> Self {
        Failure::from(error).into()
    }
}

impl From<SaveError> for Denied {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::SlugTaken | SaveError::SkuTaken(_) => Self::Refused(error.to_string()),
            SaveError::Store(error) if error.is_taken("variants_pkey") => {
                Self::Refused("a variant of it is another product's".to_owned())
            }
            SaveError::Store(error) => error.into(),
        }
    }
}

/// Does a task, or leaves no trace of it.
pub(super) async fn apply(work: &mut UnitOfWork, policy: &Policy, task: &Task) -> Result<Applied, Failure> {
    work.savepoint().await?;
    match write(work, policy, task).await {
        Ok(applied) => {
            work.release_savepoint().await?;
            Ok(applied)
        }
        Err(Denied::Refused(why)) => {
            work.rollback_to_savepoint().await?;
            Ok(Applied::refused(why))
        }
        Err(Denied::Failed(failure)) => Err(failure),
    }
}

async fn write(work: &mut UnitOfWork, policy: &Policy, task: &Task) -> Result<Applied, Denied> {
    let at = |seed: String, at| Context::seeded(seed, at);
    match task {
        Task::Category(category) => {
            work.set_context(at(category.id.to_string(), category.created_at));
            catalogue_records::category(work, category).await
        }
        Task::TaxRule(rule) => catalogue_records::tax_rule(work, rule).await,
        Task::ShippingMethod(method) => catalogue_records::shipping_method(work, method).await,
        Task::Product(product, stock) => {
            work.set_context(at(product.id.to_string(), product.created_at));
            catalogue_records::product(work, product, stock).await
        }
        Task::Discount(discount) => catalogue_records::discount(work, discount).await,
        Task::Customer(user, wishes) => {
            work.set_context(at(user.id.to_string(), user.created_at));
            catalogue_records::customer(work, user, wishes.as_ref()).await
        }
        Task::Order(sale) => {
            work.set_context(at(sale.invoice.id.to_string(), sale.invoice.placed_at));
            sales::sell(work, policy, sale).await
        }
        Task::Cancellation(back) => {
            work.set_context(at(back.invoice.id.to_string(), back.invoice.placed_at));
            cancellations::take_back(work, policy, back).await
        }
    }
}
