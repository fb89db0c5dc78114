//! Finds the orders that sold the pieces of a cancellation.
//!
//! A cancellation does not name its orders. Each of its lines is traced to earlier lines of the same customer with the
//! same variant and price, the latest first, and no piece is traced to twice: the refund is exactly what was paid.
//! Guests have no id, so their cancellations are not traced.

use std::collections::{BTreeMap, HashMap};

use crate::application::records::{ImportedInvoice, ImportedLine};
use crate::domain::ids::{OrderId, UserId, VariantId};

/// The lines sold so far.
#[derive(Debug, Default)]
pub(super) struct Originals {
    sold: HashMap<(UserId, VariantId, i64), Vec<SoldLine>>,
}

#[derive(Debug)]
struct SoldLine {
    order: OrderId,
    /// The pieces that no cancellation was traced to.
    remaining: i64,
}

/// The orders that sold the lines of a cancellation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traced {
    /// The lines to refund, by order; the quantity of each is at most what the order sold.
    pub returned: BTreeMap<OrderId, Vec<ImportedLine>>,
    /// The lines to credit, because no order is known that sold them; of a line that was traced in part, the rest.
    pub unknown: Vec<ImportedLine>,
}

impl Originals {
    /// Adds the lines of a customer's order. Orders are added by time.
    pub(super) fn add<'a>(
        &mut self,
        order: OrderId,
        customer: UserId,
        lines: impl IntoIterator<Item = &'a ImportedLine>,
    ) {
        for line in lines {
            let sold = SoldLine { order, remaining: line.quantity };
            self.sold.entry((customer, line.variant, line.unit_price)).or_default().push(sold);
        }
    }

    /// Traces a cancellation to the orders added so far.
    pub(super) fn trace(&mut self, cancellation: &ImportedInvoice) -> Traced {
        let mut traced = Traced::default();
        for line in &cancellation.lines {
            let mut open = line.quantity;
            let key = cancellation.customer.map(|customer| (customer, line.variant, line.unit_price));
            let sold = key.and_then(|key| self.sold.get_mut(&key));
            for sold in sold.into_iter().flatten().rev() {
                let quantity = open.min(sold.remaining);
                if quantity > 0 {
                    (open, sold.remaining) = (open - quantity, sold.remaining - quantity);
                    let pieces = ImportedLine { quantity, ..line.clone() };
                    traced.returned.entry(sold.order).or_default().push(pieces);
                }
            }
            if open > 0 {
                traced.unknown.push(ImportedLine { quantity: open, ..line.clone() });
            }
        }
        traced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::records::identity::Identity;
    use crate::domain::country::Country;
    use crate::domain::money::Currency;

    const IDENTITY: Identity = Identity::new("test");

    fn invoice(key: &str, customer: Option<&str>, lines: &[(&str, i64, i64)]) -> ImportedInvoice {
        let line = |&(sku, quantity, unit_price): &(&str, i64, i64)| ImportedLine {
            number: 0,
            variant: IDENTITY.variant(sku),
            sku: sku.to_owned(),
            description: String::new(),
            quantity,
            unit_price,
        };
        ImportedInvoice {
            id: IDENTITY.order(key),
            key: key.to_owned(),
            placed_at: jiff::Timestamp::UNIX_EPOCH,
            customer: customer.map(|customer| IDENTITY.customer(customer)),
            name: String::new(),
            email: String::new(),
            country: "GB".parse::<Country>().unwrap(),
            currency: Currency::GBP,
            lines: lines.iter().map(line).collect(),
        }
    }

    fn order(key: &str) -> OrderId {
        OrderId(IDENTITY.order(key))
    }

    fn add(originals: &mut Originals, invoice: &ImportedInvoice) {
        originals.add(OrderId(invoice.id), invoice.customer.unwrap(), &invoice.lines);
    }

    /// Returns the orders that a cancellation was traced to, with the pieces of each SKU.
    fn pieces(traced: &Traced) -> Vec<(OrderId, &str, i64)> {
        let all = |(&order, lines)| {
            let lines: &Vec<ImportedLine> = lines;
            lines.iter().map(move |line| (order, line.sku.as_str(), line.quantity))
        };
        traced.returned.iter().flat_map(all).collect()
    }

    #[test]
    fn pieces_are_traced_to_the_latest_orders_first_and_each_once() {
        let mut originals = Originals::default();
        add(&mut originals, &invoice("1", Some("ann"), &[("A", 2, 100)]));
        add(&mut originals, &invoice("2", Some("ann"), &[("B", 1, 100), ("A", 3, 100)]));
        let (first, second) = (order("1"), order("2"));

        let traced = originals.trace(&invoice("C3", Some("ann"), &[("A", 4, 100)]));
        let mut expected = vec![(second, "A", 3), (first, "A", 1)];
        expected.sort_unstable();
        assert_eq!((pieces(&traced), traced.unknown.len()), (expected, 0));

        let traced = originals.trace(&invoice("C4", Some("ann"), &[("A", 4, 100)]));
        assert_eq!(pieces(&traced), [(first, "A", 1)]);
        assert_eq!(traced.unknown[0].quantity, 3, "no piece is traced twice");
    }

    #[test]
    fn another_customer_price_or_variant_is_no_original() {
        let mut originals = Originals::default();
        add(&mut originals, &invoice("1", Some("ann"), &[("A", 1, 100)]));
        for cancellation in [
            invoice("C1", Some("bob"), &[("A", 1, 100)]),
            invoice("C2", Some("ann"), &[("A", 1, 99)]),
            invoice("C3", Some("ann"), &[("B", 1, 100)]),
            invoice("C4", None, &[("A", 1, 100)]),
        ] {
            let traced = originals.trace(&cancellation);
            assert_eq!(
                (traced.returned.len(), &traced.unknown),
                (0, &cancellation.lines),
                "{}",
                cancellation.key
            );
        }
    }
}
