//! Writes a record in an open unit of work, at the record's own time and with ids that follow from the record:
//! repeated, or on another database, it writes the same. What is in the store already stays as it is, unless products
//! are updated.

use std::collections::{HashMap, HashSet};

use crate::application::records::identity::context_of;
use crate::application::records::{ImportedInvoice, ImportedProduct, Record};
use crate::domain::context::Context;
use crate::domain::ids::{OrderId, UserId};
use crate::domain::order::Order;
use crate::domain::user::User;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::repositories::{DatabaseError, UnitOfWork};

use super::originals::Traced;
use super::outcome::{RecordError, RecordOutcome};
use super::write_options::WriteOptions;
use super::{cancellations, catalogue_records, sales};

/// A record that is to be written.
#[derive(Debug)]
pub(super) struct Task {
    /// The record.
    pub record: Record,
    /// The orders that sold the lines of a cancellation; empty for other records.
    pub traced: Traced,
}

impl Task {
    pub(super) fn product(&self) -> Option<&ImportedProduct> {
        if let Record::Product(product) = &self.record { Some(product) } else { None }
    }

    /// Returns the customer of an order or a cancellation.
    fn buyer(&self) -> Option<UserId> {
        match &self.record {
            Record::Order(invoice) | Record::Cancellation(invoice) => invoice.customer,
            _ => None,
        }
    }
}

/// Rows of the store that orders and cancellations refer to.
struct Existing {
    /// The orders that an earlier import placed.
    orders: HashMap<OrderId, Order>,
    /// The customers of orders and cancellations.
    customers: HashSet<UserId>,
}

impl Existing {
    /// Refuses an invoice whose customer is not in the store.
    fn require_customer(&self, invoice: &ImportedInvoice) -> Result<(), RecordError> {
        match invoice.customer {
            Some(customer) if !self.customers.contains(&customer) => {
                Err(RecordError::Refused("its customer is not in the store".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Writes records, and returns the outcome of each.
///
/// Consecutive products are written together, which takes a fraction of the statements.
pub(super) async fn apply_all(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    tasks: &[Task],
) -> Result<Vec<RecordOutcome>, Failure> {
    let mut existing = find_existing(work, tasks).await?;
    let mut outcomes = Vec::with_capacity(tasks.len());
    for group in tasks.chunk_by(|one, next| one.product().is_some() && next.product().is_some()) {
        let products: Vec<_> = group.iter().filter_map(Task::product).collect();
        match apply_products(work, options, &products).await? {
            Some(applied) => outcomes.extend(applied),
            None => {
                for task in group {
                    outcomes.push(apply(work, options, task, &mut existing).await?);
                }
            }
        }
    }
    Ok(outcomes)
}

/// Finds the rows that orders and cancellations refer to.
async fn find_existing(work: &mut UnitOfWork, tasks: &[Task]) -> Result<Existing, DatabaseError> {
    let order = |task: &Task| match &task.record {
        Record::Order(invoice) => Some(OrderId(invoice.id)),
        _ => None,
    };
    let orders: Vec<_> = tasks.iter().filter_map(order).collect();
    let orders = work.all_by_keys::<Order, _>("id", &orders).await?;
    let customers: HashSet<_> = tasks.iter().filter_map(Task::buyer).collect();
    let customers: Vec<_> = customers.into_iter().collect();
    let customers = work.all_by_keys::<User, _>("id", &customers).await?;

    Ok(Existing {
        orders: orders.into_iter().map(|order| (order.id, order)).collect(),
        customers: customers.into_iter().map(|user| user.id).collect(),
    })
}

/// Writes several products. Returns `None`, and leaves no trace, if there are not several or the store refuses one.
async fn apply_products(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    products: &[&ImportedProduct],
) -> Result<Option<Vec<RecordOutcome>>, Failure> {
    if products.len() < 2 {
        return Ok(None);
    }
    work.savepoint()?;
    let written = catalogue_records::products(work, options, products).await;
    end(work, written).await.map(Result::ok)
}

/// Writes a record. If the store refuses it, no trace of it is left.
async fn apply(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    task: &Task,
    existing: &mut Existing,
) -> Result<RecordOutcome, Failure> {
    work.savepoint()?;
    let written = write(work, options, task, existing).await;
    let outcome = end(work, written).await?;
    if let (Record::Customer(customer), Ok(_)) = (&task.record, &outcome) {
        existing.customers.insert(customer.user.id);
    }
    Ok(outcome.unwrap_or_else(RecordOutcome::refused))
}

/// Ends a savepoint: releases it, or rolls back to it and returns the reason if the store refused what was written.
async fn end<T>(
    work: &mut UnitOfWork,
    written: Result<T, RecordError>,
) -> Result<Result<T, String>, Failure> {
    let written = match written {
        // deferred statements report their errors here
        Ok(written) => work.release_savepoint().await.map(|()| written).map_err(RecordError::from),
        refused => refused,
    };
    match written {
        Ok(written) => Ok(Ok(written)),
        Err(RecordError::Refused(reason)) => {
            work.rollback_to_savepoint().await?;
            Ok(Err(reason))
        }
        Err(RecordError::Failed(failure)) => Err(failure),
    }
}

async fn write(
    work: &mut UnitOfWork,
    options: &WriteOptions,
    task: &Task,
    existing: &Existing,
) -> Result<RecordOutcome, RecordError> {
    if let Some(context) = context(&task.record) {
        work.set_context(context);
    }
    match &task.record {
        Record::Category(category) => catalogue_records::category(work, category).await,
        Record::TaxRule(rule) => catalogue_records::tax_rule(work, rule).await,
        Record::ShippingMethod(method) => catalogue_records::shipping_method(work, method).await,
        Record::Product(product) => catalogue_records::product(work, options, product).await,
        Record::Discount(discount) => catalogue_records::discount(work, discount).await,
        Record::Customer(customer) => catalogue_records::customer(work, options, customer).await,
        Record::Order(invoice) => {
            if let Some(order) = existing.orders.get(&OrderId(invoice.id)) {
                return Ok(sales::unchanged(invoice, order));
            }
            existing.require_customer(invoice)?;
            sales::place(work, &options.terms, invoice).await
        }
        Record::Cancellation(invoice) => {
            existing.require_customer(invoice)?;
            cancellations::cancel(work, &options.terms, invoice, &task.traced).await
        }
    }
}

/// Returns the time and the ids with which a record is written, if they matter.
fn context(record: &Record) -> Option<Context> {
    match record {
        Record::Category(category) => Some(context_of(&category.id, category.created_at)),
        Record::Customer(customer) => Some(context_of(&customer.user.id, customer.user.created_at)),
        Record::Order(invoice) | Record::Cancellation(invoice) => {
            Some(context_of(&invoice.id, invoice.placed_at))
        }
        // products have their own times, and are published now
        Record::Product(_) | Record::TaxRule(_) | Record::ShippingMethod(_) | Record::Discount(_) => None,
    }
}
