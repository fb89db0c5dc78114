//! Kills the server under load: every acknowledged order must exist, a request that is repeated with its idempotency
//! key must get the same response, and no charge may be lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::Mutex;

use super::super::CliError;
use super::Outcome;
use super::client::Response;
use super::error::TortureError;
use super::test_store::{Server, TestStore, check_out, fill_cart};
use crate::domain::ids::{OrderId, VariantId};
use crate::domain::order::Order;

/// The arguments of `torture crashes`.
#[derive(Args, Debug)]
pub(super) struct Crashes {
    /// The number of times the server is killed
    #[arg(long, default_value_t = 10)]
    kills: u32,
    /// The number of concurrent buyers
    #[arg(long, default_value_t = 16)]
    buyers: u32,
    /// The milliseconds after which the server is killed
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 400)]
    life: u64,
}

/// The counts of the test.
#[derive(Default)]
struct Counts {
    /// The checkouts with a response.
    acknowledged: u64,
    without_response: u64,
    repeated: u64,
    /// The acknowledged orders that do not exist.
    lost: u64,
    /// The repeated requests with another response.
    changed: u64,
}

/// A checkout that was sent, with the response if one came.
#[derive(Clone)]
struct Sent {
    cart: String,
    token: &'static str,
    key: String,
    response: Option<Response>,
}

/// The payment method tokens of successive checkouts.
const TOKENS: [&str; 4] = ["tok_ok", "tok_timeout_after_charge", "tok_duplicate_webhooks", "tok_declined"];
/// The longest time until the outcome of each payment that a crash left pending is known.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(1);

impl Crashes {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let mut counts = Counts::default();
        let mut all = Vec::new();
        for kill in 0..self.kills {
            let server = store.serve().await?;
            let variant = store.product(1_000_000).await?;
            let sent = self.load(server, variant, kill).await?;
            let acknowledged = sent.iter().filter(|sent| sent.response.is_some()).count();
            counts.acknowledged += acknowledged as u64;
            counts.without_response += (sent.len() - acknowledged) as u64;
            all.extend(sent);
        }
        let server = store.serve().await?;
        wait_for_outcomes(store).await?;
        self.repeat(store, &server, &all, &mut counts).await?;
        wait_for_outcomes(store).await?;
        server.kill().await?;
        let Counts { acknowledged, without_response, repeated, lost, changed } = counts;
        Ok(Outcome {
            counts: vec![
                ("kills", self.kills.into()),
                ("acknowledged", acknowledged),
                ("without_response", without_response),
                ("repeated", repeated),
                ("lost", lost),
                ("changed", changed),
            ],
            error: (lost + changed > 0).then_some(TortureError::BrokenPromise { lost, changed }),
        })
    }

    /// Lets buyers buy until the server is killed. Returns the checkouts that they sent.
    async fn load(&self, server: Server, variant: VariantId, kill: u32) -> Result<Vec<Sent>, CliError> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let buyers: Vec<_> = (0..self.buyers)
            .map(|number| {
                let (mut client, sent) = (server.guest(), Arc::clone(&sent));
                tokio::spawn(async move {
                    for attempt in 0_u32.. {
                        let token = TOKENS[attempt as usize % TOKENS.len()];
                        let Ok(cart) = fill_cart(&mut client, variant).await else { return };
                        let key = format!("torture-crashes-checkout-{kill}-{number}-{attempt}");
                        let response = check_out(&mut client, &cart, token, &key).await;
                        let failed = response.is_err();
                        sent.lock().await.push(Sent { cart, token, key, response: response.ok() });
                        if failed {
                            return;
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(self.life)).await;
        server.kill().await?;
        for buyer in buyers {
            let _ = buyer.await;
        }
        Ok(std::mem::take(&mut *sent.lock().await))
    }

    /// Repeats all checkouts: an acknowledged order must exist, and the response must be the same.
    async fn repeat(
        &self,
        store: &TestStore,
        server: &Server,
        all: &[Sent],
        counts: &mut Counts,
    ) -> Result<(), CliError> {
        let mut client = server.guest();
        for sent in all {
            if let Some(response) = sent.response.as_ref().filter(|response| response.status == 201) {
                let id: Option<OrderId> = response.text("id").parse().ok();
                let exists = match id {
                    Some(id) => store.database().read().await?.find::<Order>(id).await?.is_some(),
                    None => false,
                };
                counts.lost += u64::from(!exists);
            }
            let again = check_out(&mut client, &sent.cart, sent.token, &sent.key).await;
            let Ok(again) = again else { return Err(TortureError::ChildUnresponsive.into()) };
            counts.repeated += 1;
            let same = sent.response.as_ref().is_none_or(|response| *response == again);
            let third = check_out(&mut client, &sent.cart, sent.token, &sent.key).await;
            let is_stable = third.is_ok_and(|third| third == again);
            counts.changed += u64::from(!same || !is_stable);
        }
        Ok(())
    }
}

/// Waits until the outcome of every payment and of its operations is known.
pub(super) async fn wait_for_outcomes(store: &TestStore) -> Result<(), CliError> {
    const PENDING: &str = "SELECT COUNT(*) FROM payments \
                           WHERE status = 'pending' OR capturing > 0 OR voiding > 0 OR refunding > 0";
    let wait = async {
        loop {
            let pending: i64 = store.database().read().await?.one(PENDING, &[]).await?;
            if pending == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(RECOVERY_TIMEOUT, wait).await;
    waited.unwrap_or_else(|_| Err(TortureError::OutcomesUnknown.into()))
}
