//! Kills the server under load: every acknowledged order must exist, a request that is repeated with its idempotency key
//! must get the same response, and no charge may be lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::Mutex;

use super::super::CliError;
use super::client::Response;
use super::test_store::{Server, TestStore, buy, fill_cart};
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
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    kills: u32,
    /// The checkouts with a response.
    acknowledged: usize,
    without_response: usize,
    repeated: usize,
    /// The acknowledged orders that do not exist.
    lost: usize,
    /// The repeated requests with another response.
    changed: usize,
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
/// The longest time until recovery has settled the payments that a crash left open.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(1);

impl Crashes {
    /// Runs the test.
    pub async fn run(&self, store: &TestStore) -> Result<Counts, CliError> {
        let mut counts = Counts::default();
        let mut all = Vec::new();
        for kill in 0..self.kills {
            let server = store.serve().await?;
            let variant = store.product(1_000_000).await?;
            let sent = self.load(server, variant, kill).await?;
            counts.kills += 1;
            counts.acknowledged += sent.iter().filter(|sent| sent.response.is_some()).count();
            counts.without_response += sent.iter().filter(|sent| sent.response.is_none()).count();
            all.extend(sent);
        }
        let server = store.serve().await?;
        settled(store).await?;
        self.repeat(store, &server, &all, &mut counts).await?;
        settled(store).await?;
        server.kill().await?;
        match (counts.lost, counts.changed) {
            (0, 0) => Ok(counts),
            _ => Err(CliError::UnexpectedResult(format!("{counts:?}"))),
        }
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
                        let Ok(cart) = fill_cart(&mut client, variant, 1).await else { return };
                        let key = format!("torture-crashes-checkout-{kill}-{number}-{attempt}");
                        let response = buy(&mut client, &cart, token, &key).await;
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
                counts.lost += usize::from(!exists);
            }
            let again = buy(&mut client, &sent.cart, sent.token, &sent.key).await;
            let Ok(again) = again else { return Err(CliError::ChildUnresponsive) };
            counts.repeated += 1;
            let same = sent.response.as_ref().is_none_or(|response| *response == again);
            let third = buy(&mut client, &sent.cart, sent.token, &sent.key).await;
            let is_stable = third.is_ok_and(|third| third == again);
            counts.changed += usize::from(!same || !is_stable);
        }
        Ok(())
    }
}

/// Waits until the store has settled every payment.
async fn settled(store: &TestStore) -> Result<(), CliError> {
    let open = async {
        loop {
            let sql = "SELECT COUNT(*) FROM payments WHERE status = 'pending' OR refunding > 0";
            let open: i64 = store.database().read().await?.one(sql, &[]).await?;
            if open == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(RECOVERY_TIMEOUT, open)
        .await
        .unwrap_or_else(|_| Err(CliError::UnexpectedResult("payments were not settled in time".into())))
}
