//! Durable checkouts: the units of work of the store with many concurrent clients, beside the same SQL by hand, with
//! one commit each and in groups of the same size.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use undercroft::application::payments::apply_payment::apply_payment;
use undercroft::application::selling::holds::Holders;
use undercroft::application::selling::place_order::{OrderDraft, place_order};
use undercroft::application::selling::quote::{LinePrice, QuoteLine, ShippingChoice};
use undercroft::domain::context::Context;
use undercroft::domain::ids::{OrderId, PaymentId, VariantId};
use undercroft::domain::money::Currency;
use undercroft::domain::ports::{Charge, ChargeStatus};
use undercroft::infrastructure::exceptions::Failure;

use crate::Outcome;
use crate::events::cost_of_publishing;
use crate::figures::{each, median, rate};
use crate::process::own_cpu;
use crate::raw::{self, Checkout, OUTBOX, rows_a_checkout};
use crate::shop::{Shop, address, copy, folder};

/// The concurrent clients.
const CLIENTS: usize = 32;

/// The number of checkouts of a round.
struct Sizes {
    rounds: usize,
    grouped: usize,
    alone: usize,
}

/// The result of a round.
struct Round {
    a_second: f64,
    cpu: f64,
}

impl Round {
    fn of(checkouts: usize, began: Instant, cpu: Duration) -> Outcome<Self> {
        let (elapsed, cpu) = (began.elapsed(), own_cpu()?.saturating_sub(cpu));
        Ok(Self { a_second: rate(checkouts, elapsed), cpu: each(cpu, checkouts) })
    }
}

/// Measures the store and the baselines alternately and prints the medians.
pub(crate) async fn measure(quick: bool) -> Outcome<()> {
    let sizes = if quick {
        Sizes { rounds: 2, grouped: 960, alone: 128 }
    } else {
        Sizes { rounds: 7, grouped: 3_200, alone: 320 }
    };
    let folder = folder()?;
    let template = folder.path().join("template.db");
    drop(Shop::open(&format!("sqlite:{}", template.display())).await?);

    let (mut ours, mut single, mut by_hand, mut by_hand_grouped) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut shares = Vec::new();
    for round in 0..sizes.rounds {
        let name = |what: &str| format!("{what}-{round}.db");
        let file = copy(&template, &name("ours"))?;
        let shop = Shop::open(&format!("sqlite:{}", file.display())).await?;
        ours.push(by_store(&shop, CLIENTS, sizes.grouped).await?);
        let written = rows_a_checkout(&raw::open(&file)?, sizes.grouped)?;
        if let (Some(ours), Some(&events)) = (ours.last(), written.get(OUTBOX)) {
            let cost = cost_of_publishing(shop.store.database()).await?;
            shares.push(cost * f64::from(u32::try_from(events)?) / ours.cpu);
        }
        single.push(by_store(&shop, 1, sizes.alone).await?);

        let file = copy(&template, &name("by-hand"))?;
        by_hand.push(one_commit_each(&file, &shop.variants, sizes.alone)?);
        same_rows(&written, &file, sizes.alone)?;
        let file = copy(&template, &name("by-hand-grouped"))?;
        by_hand_grouped.push(in_groups(&file, &shop.variants, sizes.grouped)?);
        same_rows(&written, &file, sizes.grouped)?;
    }
    let speed = |rounds: &[Round]| median(rounds.iter().map(|round| round.a_second));
    let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.cpu));
    let ratio = |of: &[Round], to: &[Round], figure: fn(&Round) -> f64| {
        median(of.iter().zip(to).map(|(of, to)| figure(of) / figure(to)))
    };
    println!("durable checkouts (placed and paid: two units of work; medians of {} rounds)", sizes.rounds);
    println!("                                          a second   CPU ms each");
    for (name, rounds) in [
        (format!("the store, {CLIENTS} concurrent clients"), &ours),
        ("the store, one client".to_owned(), &single),
        (format!("SQL by hand, {CLIENTS} threads, one commit each"), &by_hand),
        (format!("SQL by hand, groups of {CLIENTS}"), &by_hand_grouped),
    ] {
        println!("  {name:<40}{:8.0} {:12.3}", speed(rounds), cpu(rounds));
    }
    println!(
        "  grouped by the store against one commit each by hand: {:.1} times as many (aim: 5)",
        ratio(&ours, &by_hand, |round| round.a_second)
    );
    println!(
        "  CPU of the store against SQL by hand in groups: {:.2} times",
        ratio(&ours, &by_hand_grouped, |round| round.cpu)
    );
    println!("  the outbox: {:.1} % of the CPU of a checkout (aim: 15)", median(shares) * 100.0);
    Ok(())
}

/// Fails if a checkout by hand does not leave the same rows as one by the store.
fn same_rows(written: &[i64], file: &Path, checkouts: usize) -> Outcome<()> {
    let by_hand = rows_a_checkout(&raw::open(file)?, checkouts)?;
    if by_hand == written {
        return Ok(());
    }
    Err(format!("the store writes {written:?} rows a checkout, the SQL by hand {by_hand:?}").into())
}

/// The two variants that a checkout buys, by its number.
fn chosen(variants: &[VariantId], number: usize) -> [VariantId; 2] {
    [variants[number * 7 % variants.len()], variants[(number * 13 + 1) % variants.len()]]
}

/// Runs the clients until this many checkouts are done.
async fn by_store(shop: &Shop, clients: usize, checkouts: usize) -> Outcome<Round> {
    let address = address()?;
    let (began, cpu) = (Instant::now(), own_cpu()?);
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (store, variants, address) = (shop.store.clone(), shop.variants.clone(), address.clone());
        running.spawn(async move {
            let ids = &store.database().context().ids;
            for number in (client..checkouts).step_by(clients) {
                let line = |variant_id| QuoteLine { variant_id, quantity: 1, price: LinePrice::Current };
                let draft = OrderDraft {
                    id: OrderId(ids.uuid()),
                    payment_id: PaymentId(ids.uuid()),
                    user_id: None,
                    age: None,
                    email: "ann@example.com".into(),
                    cart_id: None,
                    cart_owner: None,
                    subscription_id: None,
                    currency: Currency::EUR,
                    lines: chosen(&variants, number).map(line).into(),
                    expected_total: None,
                    discount_code: None,
                    shipping: ShippingChoice::Cheapest,
                    shipping_address: address.clone(),
                    billing_address: address.clone(),
                    holders: Holders::none(),
                    provider: "sandbox".into(),
                    token: "tok_ok".into(),
                };
                check_out(&store, draft).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Round::of(checkouts, began, cpu)
}

/// Places an order and applies the capture of its payment.
async fn check_out(store: &undercroft::application::Store, draft: OrderDraft) -> Result<(), Failure> {
    let given = (Arc::clone(&store.terms), draft);
    let place =
        store.database().write(given, async |work, (terms, draft)| place_order(work, terms, draft).await);
    let payment = place.await?.payment;
    let charge = Charge {
        reference: format!("sandbox_{}", payment.id.0.simple()),
        status: ChargeStatus::Captured,
        authorized: payment.amount,
        captured: payment.amount,
    };
    let pay = store.database().write((payment.id, charge), async |work, (payment_id, charge)| {
        apply_payment(work, *payment_id, charge).await.map(drop)
    });
    pay.await
}

/// By hand: a thread for each client, one connection behind a lock, each unit of work committed by itself.
fn one_commit_each(file: &Path, variants: &[VariantId], checkouts: usize) -> Outcome<Round> {
    let connection = Mutex::new(raw::open(file)?);
    let context = Context::system();
    let (began, cpu) = (Instant::now(), own_cpu()?);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (connection, context) = (&connection, &context);
                scope.spawn(move || {
                    let id = || context.ids.uuid();
                    for number in (client..checkouts).step_by(CLIENTS) {
                        let checkout = Checkout::new(&id, chosen(variants, number));
                        let now = || context.clock.now().as_microsecond();
                        for unit in [Checkout::place, Checkout::pay] {
                            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                            connection.execute_batch("BEGIN IMMEDIATE")?;
                            unit(&checkout, &connection, &id, now())?;
                            connection.execute_batch("COMMIT")?;
                        }
                    }
                    Outcome::Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })?;
    Round::of(checkouts, began, cpu)
}

/// By hand: one thread, and as many units of work in each commit as there are clients.
fn in_groups(file: &Path, variants: &[VariantId], checkouts: usize) -> Outcome<Round> {
    let connection = raw::open(file)?;
    let context = Context::system();
    let id = || context.ids.uuid();
    let (began, cpu) = (Instant::now(), own_cpu()?);
    for first in (0..checkouts).step_by(CLIENTS) {
        let numbers = first..checkouts.min(first + CLIENTS);
        let group: Vec<_> = numbers.map(|number| Checkout::new(&id, chosen(variants, number))).collect();
        for unit in [Checkout::place, Checkout::pay] {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for checkout in &group {
                unit(checkout, &connection, &id, context.clock.now().as_microsecond())?;
            }
            connection.execute_batch("COMMIT")?;
        }
    }
    Round::of(checkouts, began, cpu)
}
