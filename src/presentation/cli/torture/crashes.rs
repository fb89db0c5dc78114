//! The server is killed under load, again and again: every order that was acknowledged is there, each request sent
//! again with its key gets the same answer, and no charge is lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::Mutex;

use super::super::CliError;
use super::client::Reply;
use super::shop::{Server, Shop, buy, fill_cart};
use crate::domain::ids::{OrderId, VariantId};
use crate::domain::order::Order;

/// The arguments of `torture crashes`.
#[derive(Args, Debug)]
pub(super) struct Crashes {
    /// How often it is killed
    #[arg(long, default_value_t = 10)]
    kills: u32,
    /// Buyers at once
    #[arg(long, default_value_t = 16)]
    buyers: u32,
    /// How long it lives each time, in milliseconds
    #[arg(long, default_value_t = 400)]
    life: u64,
}

/// What was counted.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    kills: u32,
    acknowledged: usize,
    unanswered: usize,
    repeated: usize,
    lost: usize,
    changed: usize,
}

/// A purchase that was sent, with its answer if one came.
#[derive(Clone)]
struct Sent {
    cart: String,
    token: &'static str,
    key: String,
    reply: Option<Reply>,
}

/// The means of payment that buyers use by turns.
const TOKENS: [&str; 4] = ["tok_ok", "tok_timeout_after_charge", "tok_duplicate_webhooks", "tok_declined"];
/// How long the store may take to settle what a crash left open.
const SETTLE: Duration = Duration::from_mins(1);

impl Crashes {
    /// Does it.
    pub async fn run(&self, shop: &Shop) -> Result<Counts, CliError> {
        let mut counts = Counts::default();
        let mut all = Vec::new();
        for kill in 0..self.kills {
            let server = shop.serve().await?;
            let variant = shop.product(1_000_000).await?;
            let sent = self.live(server, variant, kill).await?;
            counts.kills += 1;
            counts.acknowledged += sent.iter().filter(|sent| sent.reply.is_some()).count();
            counts.unanswered += sent.iter().filter(|sent| sent.reply.is_none()).count();
            all.extend(sent);
        }
        let server = shop.serve().await?;
        settled(shop).await?;
        self.repeat(shop, &server, &all, &mut counts).await?;
        settled(shop).await?;
        server.kill().await?;
        match (counts.lost, counts.changed) {
            (0, 0) => Ok(counts),
            _ => Err(CliError::Wrong(format!("{counts:?}"))),
        }
    }

    /// Buyers buy until the server is killed; what they sent.
    async fn live(&self, server: Server, variant: VariantId, kill: u32) -> Result<Vec<Sent>, CliError> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let buyers: Vec<_> = (0..self.buyers)
            .map(|number| {
                let (mut client, sent) = (server.guest(), Arc::clone(&sent));
                tokio::spawn(async move {
                    for turn in 0_u32.. {
                        let token = TOKENS[turn as usize % TOKENS.len()];
                        let Ok(cart) = fill_cart(&mut client, variant, 1).await else { return };
                        let key = format!("{kill}-{number}-{turn}");
                        let reply = buy(&mut client, &cart, token, &key).await;
                        let silent = reply.is_err();
                        sent.lock().await.push(Sent { cart, token, key, reply: reply.ok() });
                        if silent {
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

    /// Sends everything again: what was acknowledged must be there, and be acknowledged in the same bytes.
    async fn repeat(
        &self,
        shop: &Shop,
        server: &Server,
        all: &[Sent],
        counts: &mut Counts,
    ) -> Result<(), CliError> {
        let mut client = server.guest();
        for sent in all {
            if let Some(reply) = sent.reply.as_ref().filter(|reply| reply.status == 201) {
                let id: Option<OrderId> = reply.text("id").parse().ok();
                let there = match id {
                    Some(id) => shop.database().read().await?.find::<Order>(id).await?.is_some(),
                    None => false,
                };
                counts.lost += usize::from(!there);
            }
            let again = buy(&mut client, &sent.cart, sent.token, &sent.key).await;
            let Ok(again) = again else { return Err(CliError::ChildSilent) };
            counts.repeated += 1;
            let same = sent.reply.as_ref().is_none_or(|reply| *reply == again);
            let third = buy(&mut client, &sent.cart, sent.token, &sent.key).await;
            let stands = third.is_ok_and(|third| third == again);
            counts.changed += usize::from(!same || !stands);
        }
        Ok(())
    }
}

/// Waits until the store has settled every payment.
async fn settled(shop: &Shop) -> Result<(), CliError> {
    let open = async {
        loop {
            let sql = "SELECT COUNT(*) FROM payments WHERE status = 'pending' OR refunding > 0";
            let open: i64 = shop.database().read().await?.one(sql, &[]).await?;
            if open == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SETTLE, open)
        .await
        .unwrap_or_else(|_| Err(CliError::Wrong("payments were not settled in time".into())))
}
