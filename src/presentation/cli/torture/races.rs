//! Many buyers compete for few pieces: there must be exactly as many orders as pieces.

use clap::{Args, value_parser};
use http::Method;
use serde_json::json;

use super::super::CliError;
use super::Outcome;
use super::client::NoResponse;
use super::error::TortureError;
use super::test_store::{Server, TestStore, check_out, fill_cart};
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
    #[arg(long, default_value_t = 10, value_parser = value_parser!(i64).range(0..))]
    pieces: i64,
    /// Set the stock repeatedly while the buyers buy; then only the invariants are checked
    #[arg(long)]
    set_stock: bool,
}

impl Races {
    /// Runs the test.
    pub(super) async fn run(&self, store: &TestStore) -> Result<Outcome, CliError> {
        let server = store.serve().await?;
        let (mut orders, mut out_of_stock, mut others, mut wrong_rounds) = (0, 0, 0, 0);
        for round in 0..self.rounds {
            let variant = store.product(self.pieces).await?;
            let (bought, refused, rest) = self.round(&server, variant, round).await?;
            let sql = "SELECT stock FROM inventory WHERE variant_id = $1 AND reserved = 0";
            let left: Option<i64> = store.database().read().await?.first(sql, &[variant.into()]).await?;
            orders += bought;
            out_of_stock += refused;
            others += rest;
            let sold = self.pieces.min(self.buyers.into());
            let is_exact = bought.cast_signed() == sold && left == Some(self.pieces - sold);
            wrong_rounds += u64::from(rest > 0 || !(self.set_stock || is_exact));
        }
        server.kill().await?;
        Ok(Outcome {
            counts: vec![
                ("rounds", self.rounds.into()),
                ("orders", orders),
                ("out_of_stock", out_of_stock),
                ("others", others),
                ("wrong_rounds", wrong_rounds),
            ],
            error: (wrong_rounds > 0).then_some(TortureError::WrongRounds(wrong_rounds)),
        })
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
            let cart = fill_cart(&mut client, variant).await;
            let cart = cart.map_err(|NoResponse| TortureError::ChildUnresponsive)?;
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
            tokio::spawn(async move { check_out(&mut client, &cart, "tok_ok", &key).await })
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
