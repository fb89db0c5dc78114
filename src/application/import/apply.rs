//! Writes a record in an open unit of work, at the record's own time and with ids that follow from the record: repeated,
//! or on another database, it writes the same. What is in the store already stays as it is.

use crate::application::Policy;
use crate::domain::context::Context;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::UnitOfWork;

use super::originals::Traced;
use super::outcome::{RecordError, RecordOutcome};
use super::record::Record;
use super::{cancellations, catalogue_records, sales};

/// A record that is to be written.
#[derive(Debug)]
pub(super) struct Task {
    /// The record.
    pub record: Record,
    /// The orders that a cancellation takes back from; empty for other records.
    pub traced: Traced,
}

/// Writes a record. If the store refuses it, no trace of it is left.
pub(super) async fn apply(
    work: &mut UnitOfWork,
    policy: &Policy,
    task: &Task,
) -> Result<RecordOutcome, Failure> {
    work.savepoint()?;
    let written = match write(work, policy, task).await {
        Ok(outcome) => work.release_savepoint().await.map(|()| outcome).map_err(RecordError::from),
        Err(error) => Err(error),
    };
    match written {
        Ok(outcome) => Ok(outcome),
        Err(RecordError::Refused(reason)) => {
            work.rollback_to_savepoint().await?;
            Ok(RecordOutcome::refused(reason))
        }
        Err(RecordError::Failed(failure)) => Err(failure),
    }
}

async fn write(work: &mut UnitOfWork, policy: &Policy, task: &Task) -> Result<RecordOutcome, RecordError> {
    if let Some(context) = context(&task.record) {
        work.set_context(context);
    }
    match &task.record {
        Record::Category(category) => catalogue_records::category(work, category).await,
        Record::TaxRule(rule) => catalogue_records::tax_rule(work, rule).await,
        Record::ShippingMethod(method) => catalogue_records::shipping_method(work, method).await,
        Record::Product(product) => catalogue_records::product(work, product).await,
        Record::Discount(discount) => catalogue_records::discount(work, discount).await,
        Record::Customer(customer) => catalogue_records::customer(work, customer).await,
        Record::Order(invoice) => sales::place(work, policy, invoice).await,
        Record::Cancellation(invoice) => cancellations::cancel(work, policy, invoice, &task.traced).await,
    }
}

/// Returns the time and the ids with which a record is written, if they matter.
fn context(record: &Record) -> Option<Context> {
    let (id, at) = match record {
        Record::Category(category) => (category.id.0, category.created_at),
        Record::Product(product) => (product.product.id.0, product.product.created_at),
        Record::Customer(customer) => (customer.user.id.0, customer.user.created_at),
        Record::Order(invoice) | Record::Cancellation(invoice) => (invoice.id, invoice.placed_at),
        Record::TaxRule(_) | Record::ShippingMethod(_) | Record::Discount(_) => return None,
    };
    Some(Context::seeded(id.to_string(), at))
}
