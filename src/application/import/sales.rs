//! Places an order of the past through the checkout that every order goes through, paid as it was.
//!
//! The prices are those that were paid. The goods were on the shelf then, so each order brings its own: what is on it
//! today is not sold a second time, and a second file finds the stock of the first one's products as it is.

use crate::application::Policy;
use crate::application::payments::apply_payment::apply_payment;
use crate::application::payments::gateway_calls::OUTSIDE;
use crate::application::selling::place_order::{OrderDraft, place_order};
use crate::application::selling::quote::{QuoteLine, ShippingChoice};
use crate::domain::address::Address;
use crate::domain::country::Country;
use crate::domain::ids::{OrderId, VariantId};
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderLine};
use crate::domain::ports::{Charge, ChargeStatus};
use crate::infrastructure::exceptions::{Failure, Location, ValidationException};
use crate::infrastructure::repositories::{InventoryRepository, UnitOfWork};

use super::apply::{Applied, Denied};
use super::plan::{Buyer, Sale};
use super::record::ImportedLine;
use super::report::Counts;

const ONE: Counts = Counts {
    orders: 1,
    categories: 0,
    tax_rules: 0,
    shipping_methods: 0,
    products: 0,
    discounts: 0,
    customers: 0,
    refunds: 0,
    credit_notes: 0,
};

/// Places the order, unless it is there; without those lines that the store refuses.
pub(super) async fn sell(work: &mut UnitOfWork, policy: &Policy, sale: &Sale) -> Result<Applied, Denied> {
    if let Some(order) = work.find::<Order>(OrderId(sale.invoice.id)).await? {
        return Ok(compare(sale, order.lines));
    }
    let mut lines: Vec<_> = sale.invoice.lines.iter().enumerate().collect();
    let mut left_out = Vec::new();
    loop {
        let kept: Vec<_> = lines.iter().map(|&(_, line)| line).collect();
        let Err(failure) = place(work, policy, sale, &kept).await else {
            return Ok(Applied { left_out, ..Applied::new(true, ONE) });
        };
        let faults = faults(&failure);
        if faults.is_empty() || faults.len() >= lines.len() {
            return Err(failure.into());
        }
        // what was written of it is undone, and it is tried without them
        work.rollback_to_savepoint().await?;
        work.savepoint().await?;
        let mut place = 0;
        lines.retain(|&(index, _)| {
            let fault = faults.iter().find(|(at, _)| *at == place);
            left_out.extend(fault.map(|(_, why)| (index, why.clone())));
            place += 1;
            fault.is_none()
        });
    }
}

async fn place(
    work: &mut UnitOfWork,
    policy: &Policy,
    sale: &Sale,
    lines: &[&ImportedLine],
) -> Result<(), Failure> {
    let invoice = &sale.invoice;
    let goods: Vec<(VariantId, i64)> = lines.iter().map(|line| (line.variant, line.quantity)).collect();
    InventoryRepository::restock(work, &goods).await?;
    let address = address(&sale.buyer, invoice.country);
    let draft = OrderDraft {
        id: OrderId(invoice.id),
        payment_id: work.id(),
        user_id: invoice.customer,
        age: None,
        email: sale.buyer.email.clone(),
        cart_id: None,
        subscription_id: None,
        currency: invoice.currency,
        lines: lines.iter().map(|line| quote_line(line, invoice.currency)).collect(),
        discount_code: None,
        shipping: ShippingChoice::Settled,
        shipping_address: address.clone(),
        billing_address: address,
        provider: OUTSIDE.to_owned(),
        token: String::new(),
    };
    let placed = place_order(work, policy, &draft).await?;
    let charge = Charge {
        reference: invoice.key.clone(),
        status: ChargeStatus::Captured,
        authorized: placed.payment.amount,
        captured: placed.payment.amount,
        refunded: 0,
    };
    apply_payment(work, placed.payment.id, &charge).await?;
    Ok(())
}

/// A line at the price that was paid.
pub(super) fn quote_line(line: &ImportedLine, currency: crate::domain::money::Currency) -> QuoteLine {
    QuoteLine {
        variant_id: line.variant,
        quantity: line.quantity,
        agreed_price: Some(Money::new(line.unit_price, currency)),
    }
}

/// As much of an address as is known.
pub(super) fn address(buyer: &Buyer, country: Country) -> Address {
    Address {
        name: buyer.name.clone(),
        line1: "-".to_owned(),
        line2: None,
        city: "-".to_owned(),
        region: None,
        postal_code: String::new(),
        country,
    }
}

/// The lines that a failure is about, by their place, and what it says of each.
fn faults(failure: &Failure) -> Vec<(usize, String)> {
    let Some(input) = failure.downcast_ref::<ValidationException>() else { return Vec::new() };
    let mut faults = Vec::new();
    for (place, fault) in input.faults() {
        let Location::Pointer(pointer) = place else { return Vec::new() };
        let mut steps = pointer.split('/').skip(1);
        let (Some("items"), Some(Ok(line)), Some(field)) =
            (steps.next(), steps.next().map(str::parse), steps.next())
        else {
            return Vec::new();
        };
        faults.push((line, format!("{field}: {}", fault.code())));
    }
    faults
}

/// What was imported before: lines that the order does not have were added to the file since.
fn compare(sale: &Sale, mut stored: Vec<OrderLine>) -> Applied {
    let mut left_out = Vec::new();
    for (index, line) in sale.invoice.lines.iter().enumerate() {
        let is_it = |other: &OrderLine| {
            (other.variant_id, other.quantity, other.unit_price)
                == (line.variant, line.quantity, line.unit_price)
        };
        match stored.iter().position(is_it) {
            Some(place) => drop(stored.swap_remove(place)),
            None => left_out.push((index, "the order is there, without this line".to_owned())),
        }
    }
    Applied { left_out, ..Applied::new(false, ONE) }
}
