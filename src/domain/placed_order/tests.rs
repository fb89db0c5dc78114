//! Every combination of order, payment and charge.

use super::*;
use crate::domain::address::Address;
use crate::domain::ids::{OrderId, PaymentId, PaymentOperationId};
use crate::domain::money::Currency;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR)
}

pub(crate) fn placed(order: OrderStatus, payment: PaymentStatus) -> PlacedOrder {
    let country = "DE".parse().unwrap();
    let (name, line1, city) = ("Ann".to_owned(), "Street 1".to_owned(), "Berlin".to_owned());
    let postal_code = "10115".to_owned();
    let address = Address { name, line1, line2: None, city, region: None, postal_code, country };
    let amounts = match payment {
        PaymentStatus::Authorized => (100, 0, 0),
        PaymentStatus::Captured => (100, 100, 0),
        PaymentStatus::Refunded => (100, 100, 100),
        _ => (0, 0, 0),
    };
    PlacedOrder {
        order: Order {
            id: OrderId(Uuid::nil()),
            number: 1,
            user_id: None,
            email: "ann@example.com".into(),
            seller: "Shop".into(),
            status: order,
            cart_id: None,
            subscription_id: None,
            currency: Currency::EUR,
            subtotal: eur(100),
            discount: eur(0),
            shipping: eur(0),
            tax: eur(0),
            total: eur(100),
            taxes: Vec::new(),
            discount_code: None,
            shipping_method: None,
            shipping_address: address.clone(),
            billing_address: address,
            version: 1,
            placed_at: NOW,
            updated_at: NOW,
            fulfilled_at: None,
            tracking_code: None,
            lines: Vec::new(),
        },
        payment: Payment {
            id: PaymentId(Uuid::nil()),
            order_id: OrderId(Uuid::nil()),
            provider: "sandbox".into(),
            token: "tok_ok".into(),
            provider_reference: None,
            status: payment,
            currency: Currency::EUR,
            amount: eur(100),
            authorized: eur(amounts.0),
            captured: eur(amounts.1),
            capturing: eur(0),
            voiding: eur(0),
            refunded: eur(amounts.2),
            refunding: eur(0),
            failure: None,
            action_url: None,
            attempts: 0,
            next_attempt_at: Some(NOW),
            watched_until: None,
            version: 1,
            created_at: NOW,
            updated_at: NOW,
        },
    }
}

fn charge(status: ChargeStatus, amount: i64) -> Charge {
    let (authorized, captured) = match status {
        ChargeStatus::Authorized => (amount, 0),
        ChargeStatus::Captured => (amount, amount),
        _ => (0, 0),
    };
    let (authorized, captured) = (eur(authorized), eur(captured));
    Charge { reference: "ch_1".into(), status, authorized, captured }
}

/// Returns the statuses that the order of a payment of this status can have.
fn orders_of(payment: PaymentStatus) -> &'static [OrderStatus] {
    use OrderStatus as O;
    match payment {
        PaymentStatus::Pending | PaymentStatus::RequiresAction => &[O::Pending, O::Cancelled],
        PaymentStatus::Authorized | PaymentStatus::Captured => &[O::Paid, O::Fulfilled, O::Cancelled],
        PaymentStatus::Refunded => &[O::Refunded, O::Cancelled],
        PaymentStatus::Failed | PaymentStatus::Voided => &[O::Cancelled],
    }
}

fn returns(effects: &[Effect]) -> Vec<(OperationKind, i64)> {
    let returned = |effect: &Effect| match effect {
        Effect::ReturnMoney { kind, amount, .. } => Some((*kind, amount.amount)),
        _ => None,
    };
    effects.iter().filter_map(returned).collect()
}

fn every_charge() -> Vec<Charge> {
    let url = "https://bank.example".to_owned();
    let statuses = [
        ChargeStatus::Processing,
        ChargeStatus::RequiresAction { url },
        ChargeStatus::Authorized,
        ChargeStatus::Captured,
        ChargeStatus::Declined(DeclineReason::InsufficientFunds),
        ChargeStatus::Voided,
    ];
    statuses.into_iter().map(|status| charge(status, 100)).collect()
}

#[test]
fn every_charge_has_a_defined_outcome_in_every_state_and_only_once() {
    for &payment in PaymentStatus::ALL {
        for &order in orders_of(payment) {
            for charge in every_charge() {
                let case = format!("{payment:?} of a {order:?} order, charge {:?}", charge.status);
                let mut it = placed(order, payment);
                let before = it.clone();
                let effects = it.apply(&charge, NOW).unwrap_or_else(|error| panic!("{case}: {error}"));

                let open = before.payment.is_open();
                let ended = matches!(payment, PaymentStatus::Failed | PaymentStatus::Voided);
                let has_money = matches!(charge.status, ChargeStatus::Authorized | ChargeStatus::Captured);
                let refused = matches!(charge.status, ChargeStatus::Declined(_) | ChargeStatus::Voided);
                match (has_money, refused) {
                    (true, _) if open || ended => {
                        let pays = order == OrderStatus::Pending;
                        let expected = if pays { OrderStatus::Paid } else { OrderStatus::Cancelled };
                        assert_eq!(it.order.status, expected, "{case}");
                        assert_eq!(effects.contains(&Effect::IssueInvoice), pays, "{case}");
                        let kind = match charge.status {
                            ChargeStatus::Captured => OperationKind::Refund,
                            _ => OperationKind::Void,
                        };
                        let expected = if pays { vec![] } else { vec![(kind, 100)] };
                        assert_eq!(returns(&effects), expected, "{case}");
                    }
                    (_, true) if open => {
                        assert_eq!(it.order.status, OrderStatus::Cancelled, "{case}");
                        let releases = order == OrderStatus::Pending;
                        assert_eq!(effects.contains(&Effect::ReleaseStock), releases, "{case}");
                        assert_eq!(returns(&effects), [], "{case}");
                        assert_eq!(it.payment.next_attempt_at, None, "{case}");
                    }
                    _ => {
                        assert_eq!(effects, [], "{case}");
                        assert_eq!(it.order, before.order, "{case}");
                    }
                }

                let applied = it.clone();
                let again = it.apply(&charge, NOW).unwrap_or_else(|error| panic!("{case}, again: {error}"));
                assert_eq!((again, it), (vec![], applied), "{case}: applied twice");
            }
        }
    }
}

#[test]
fn a_charge_below_the_amount_cancels_the_order_and_is_returned() {
    let mut it = placed(OrderStatus::Pending, PaymentStatus::Pending);
    let effects = it.apply(&charge(ChargeStatus::Captured, 99), NOW).unwrap();
    assert_eq!(it.order.status, OrderStatus::Cancelled);
    assert_eq!(returns(&effects), [(OperationKind::Refund, 99)]);
    assert!(effects.contains(&Effect::Publish(OrderEvent::OrderCancelled("payment_too_small"))));
}

#[test]
fn cancelling_releases_or_restocks_and_returns_the_money() {
    for (order, payment, stock, returned) in [
        (OrderStatus::Pending, PaymentStatus::Pending, Effect::ReleaseStock, vec![]),
        (OrderStatus::Pending, PaymentStatus::RequiresAction, Effect::ReleaseStock, vec![]),
        (OrderStatus::Paid, PaymentStatus::Authorized, Effect::Restock, vec![(OperationKind::Void, 100)]),
        (OrderStatus::Paid, PaymentStatus::Captured, Effect::Restock, vec![(OperationKind::Refund, 100)]),
    ] {
        let mut it = placed(order, payment);
        let effects = it.cancel(NOW).unwrap();
        assert_eq!(it.order.status, OrderStatus::Cancelled);
        assert_eq!(effects[0], Effect::EndSubscriptions);
        assert!(effects.contains(&stock), "{payment:?}");
        assert!(effects.contains(&Effect::ReleaseDiscount), "{payment:?}");
        assert_eq!(returns(&effects), returned, "{payment:?}");
        assert!(it.cancel(NOW).is_err(), "a cancelled order is not cancelled again");
    }
    for order in [OrderStatus::Fulfilled, OrderStatus::Refunded, OrderStatus::Cancelled] {
        assert!(placed(order, PaymentStatus::Captured).cancel(NOW).is_err(), "{order:?}");
    }
}

#[test]
fn what_is_being_captured_is_returned_once_that_is_settled() {
    let mut it = placed(OrderStatus::Paid, PaymentStatus::Authorized);
    let operation = |kind, amount| {
        PaymentOperation::pending(PaymentOperationId(Uuid::nil()), it.payment.id, kind, eur(amount), NOW)
    };
    let (capture, void) = (operation(OperationKind::Capture, 40), operation(OperationKind::Void, 60));
    it.payment.begin(&capture, NOW).unwrap();
    assert_eq!(returns(&it.cancel(NOW).unwrap()), [], "the rest is not voided under a pending capture");

    let effects = it.settle(&capture, Ok(()), None, NOW).unwrap();
    assert_eq!(returns(&effects), [(OperationKind::Void, 60), (OperationKind::Refund, 40)]);
    it.payment.begin(&void, NOW).unwrap();
    let effects = it.settle(&void, Ok(()), None, NOW).unwrap();
    assert!(effects.contains(&Effect::IssueCreditNote(void)));
    assert_eq!((it.payment.authorized, it.payment.status), (eur(40), PaymentStatus::Captured));
}

#[test]
fn an_operation_that_is_due_is_not_delayed_when_another_is_settled() {
    let mut it = placed(OrderStatus::Paid, PaymentStatus::Captured);
    let refund = |amount| {
        let id = PaymentOperationId(Uuid::nil());
        PaymentOperation::pending(id, it.payment.id, OperationKind::Refund, eur(amount), NOW)
    };
    let (first, second) = (refund(40), refund(60));
    let later = later(NOW, FIRST_RETRY);
    it.payment.begin(&first, later).unwrap();
    it.payment.begin(&second, NOW).unwrap();
    it.settle(&first, Ok(()), Some(later), NOW).unwrap();
    assert_eq!(it.payment.next_attempt_at, Some(NOW));
    it.settle(&second, Ok(()), None, NOW).unwrap();
    assert_eq!(it.payment.next_attempt_at, None);
}

#[test]
fn a_refund_of_everything_ends_the_order_and_a_part_of_it_does_not() {
    for (amount, ended) in [(99, false), (100, true)] {
        for order in [OrderStatus::Paid, OrderStatus::Fulfilled] {
            let mut it = placed(order, PaymentStatus::Captured);
            let id = PaymentOperationId(Uuid::nil());
            let refund =
                PaymentOperation::pending(id, it.payment.id, OperationKind::Refund, eur(amount), NOW);
            it.payment.begin(&refund, NOW).unwrap();
            assert_eq!(it.payment.left(OperationKind::Refund), Ok(eur(100 - amount)));
            let effects = it.settle(&refund, Ok(()), None, NOW).unwrap();
            assert_eq!(it.order.status == OrderStatus::Refunded, ended);
            assert_eq!(effects.contains(&Effect::RestockIfReturned), ended);
            assert_eq!(effects.contains(&Effect::EndSubscriptions), ended);
        }
    }
}

#[test]
fn a_refused_operation_makes_its_amount_available_again() {
    for (kind, payment, published) in [
        (OperationKind::Capture, PaymentStatus::Authorized, false),
        (OperationKind::Void, PaymentStatus::Authorized, true),
        (OperationKind::Refund, PaymentStatus::Captured, true),
    ] {
        let mut it = placed(OrderStatus::Paid, payment);
        let before = it.payment.left(kind).unwrap();
        let operation =
            PaymentOperation::pending(PaymentOperationId(Uuid::nil()), it.payment.id, kind, eur(30), NOW);
        it.payment.begin(&operation, NOW).unwrap();
        assert_eq!(it.payment.left(kind), before.checked_sub(eur(30)));
        let effects = it.settle(&operation, Err("no"), None, NOW).unwrap();
        assert_eq!(it.payment.left(kind), Ok(before));
        assert_eq!((effects.len() == 1, it.payment.status), (published, payment));
    }
}

#[test]
fn the_wait_before_a_return_is_requested_again_doubles_up_to_a_day() {
    let refused = |count: usize| {
        let id = PaymentOperationId(Uuid::nil());
        let operation =
            PaymentOperation::pending(id, PaymentId(Uuid::nil()), OperationKind::Refund, eur(1), NOW);
        vec![PaymentOperation { status: OperationStatus::Failed, ..operation }; count]
    };
    let minutes = |count| return_wait(&refused(count), OperationKind::Refund).map(|wait| wait.as_mins());
    assert_eq!([0, 1, 2, 3, 29, 30].map(minutes), [Some(0), Some(1), Some(2), Some(4), Some(1440), None]);
    assert_eq!(return_wait(&refused(30), OperationKind::Void), Some(SignedDuration::ZERO));
}
