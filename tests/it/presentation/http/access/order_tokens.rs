//! The tokens of orders, by which guests get theirs.

use undercroft::domain::ids::OrderId;
use undercroft::presentation::http::order_token::{ORDER_TOKEN, token};

use super::callers::{Caller, Means, Row};
use crate::presentation::http::examples::Operation;
use crate::support::http::order_of;
use crate::support::{Shop, TestClient};

/// Orders whose tokens are sent.
pub(super) struct OrderTokens {
    /// The order of the owner in the matrix.
    owners: HeldOrder,
    /// The order by which the owner bought the content in the matrix.
    bought_with: HeldOrder,
    /// The order of a guest.
    of_another: HeldOrder,
}

/// An order and its token.
struct HeldOrder {
    id: String,
    token: String,
}

impl HeldOrder {
    fn of(shop: &Shop, id: &str) -> Self {
        let token = token(shop.database.signing_key(), OrderId(id.parse().unwrap()));
        Self { id: id.to_owned(), token }
    }
}

impl OrderTokens {
    pub(super) async fn of(shop: &Shop, resources: &[(&'static str, String)], bought_with: &str) -> Self {
        let (_, owners) = resources.iter().find(|(kind, _)| *kind == "orders").unwrap();
        let of_another = order_of(&shop.server().await.guest(), shop.product().create().await).await;
        let of_another = HeldOrder::of(shop, of_another["id"].as_str().unwrap());
        let [owners, bought_with] = [owners.as_str(), bought_with].map(|id| HeldOrder::of(shop, id));
        Self { owners, bought_with, of_another }
    }

    /// The client and the path of a request of a row, with the token of the caller's order if the row has one. A
    /// download names the order, too.
    pub(super) fn add_to(&self, row: &Row, operation: &Operation, path: &str) -> (TestClient, String) {
        let order = match row.caller {
            Caller::Owner if operation.has_query("order_id") => &self.bought_with,
            Caller::Owner => &self.owners,
            _ => &self.of_another,
        };
        let (mut client, mut parameters) = (row.client.clone(), Vec::new());
        match row.means {
            Means::OrderToken => client = client.with(ORDER_TOKEN, &order.token),
            Means::OrderTokenInQuery if operation.has_query("token") => {
                parameters.push(format!("token={}", order.token));
            }
            Means::OrderTokenInQuery => {}
            _ => return (client, path.to_owned()),
        }
        if operation.has_query("order_id") {
            parameters.push(format!("order_id={}", order.id));
        }
        let path = parameters.iter().fold(path.to_owned(), |path, parameter| {
            let joint = if path.contains('?') { '&' } else { '?' };
            format!("{path}{joint}{parameter}")
        });
        (client, path)
    }
}
