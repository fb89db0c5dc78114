//! Many buyers compete for few pieces: there must be exactly as many orders as pieces.

use clap::Args;
use http::Method;
use serde::Serialize;
use serde_json::json;

use super::super::CliError;
use super::client::NoResponse;
use super::test_store::{Server, TestStore, buy, fill_cart};
use crate::domain::ids::VariantId;

/// The arguments of `torture races`.
#[derive(Args, Debug)]
pub(super) struct Races {
    /// The number of rounds
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// The buyers of a round
    #[arg(long, default_value_t = 64)]
    buyers: u32,
    /// The pieces in stock
    #[arg(long, default_value_t = 10)]
    pieces: i64,
    /// Set the stock repeatedly while the buyers buy; then only the invariants are checked
    #[arg(long)]
    set_stock: bool,
}

/// The counts of the test.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    rounds: u32,
    /// The responses with an order.
    orders: u64,
    /// The refusals for lack of stock.
    out_of_stock: u64,
    /// All other responses, and missing ones.
    others: u64,
    /// The rounds with more or fewer orders than pieces.
    wrong_rounds: u32,
}

impl Races {
    /// Runs the test.
    pub async fn run(&self, store: &TestStore) -> Result<Counts, CliError> {
        let server = store.serve().await?;
        let mut counts = Counts::default();
        for round in 0..self.rounds {
            let variant = store.product(self.pieces).await?;
            let (orders, out_of_stock, others) = self.round(&server, variant, round).await?;
            let sql = "SELECT stock + reserved FROM inventory WHERE variant_id = $1";
            let left: i64 = store.database().read().await?.one(sql, &[variant.into()]).await?;
            counts.rounds += 1;
            counts.orders += orders;
            counts.out_of_stock += out_of_stock;
            counts.others += others;
            let sold_out = orders.cast_signed() == self.pieces.min(self.buyers.into()) && left == 0;
            counts.wrong_rounds += u32::from(others > 0 || !(self.set_stock || sold_out));
        }
        server.kill().await?;
        match counts.wrong_rounds {
            0 => Ok(counts),
            _ => Err(CliError::UnexpectedResult(format!("{counts:?}"))),
        }
    }

    /// Runs a round. Returns the number of orders, of refusals for lack of stock, and of all other responses.
    async fn round(
        &self,
        server: &Server,
        variant: VariantId,
        round: u32,
    ) -> Result<(u64, u64, u64), CliError> {
        let mut buyers = Vec::new();
        for number in 0..self.buyers {
            let mut client = server.guest();
            let cart =
                fill_cart(&mut client, variant, 1).await.map_err(|NoResponse| CliError::ChildUnresponsive)?;
            buyers.push((client, cart, format!("torture-races-checkout-{round}-{number}")));
        }
        let setting = self.set_stock.then(|| {
            let (mut admin, pieces) = (server.admin(), self.pieces);
            tokio::spawn(async move {
                for _ in 0..5 {
                    let path = format!("/admin/v1/inventory/{variant}");
                    let _ = admin.send(Method::PUT, &path, Some(&json!({ "stock": pieces })), None).await;
                }
            })
        });
        let tasks = buyers.into_iter().map(|(mut client, cart, key)| {
            tokio::spawn(async move { buy(&mut client, &cart, "tok_ok", &key).await })
        });
        let (mut orders, mut out_of_stock, mut others) = (0, 0, 0);
        for task in tasks.collect::<Vec<_>>() {
            match task.await {
                Ok(Ok(response)) if response.status == 201 => orders += 1,
                Ok(Ok(response))
                    if response.status == 409 && response.text("code") == "product_out_of_stock" =>
                {
                    out_of_stock += 1;
                }
                _ => others += 1,
            }
        }
        if let Some(setting) = setting {
            let _ = setting.await;
        }
        Ok((orders, out_of_stock, others))
    }
}
