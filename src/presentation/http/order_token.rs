//! Order tokens: with the token that the checkout returned, a guest gets the order. Only this store can make one.

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use utoipa::IntoParams;

use super::operation::OperationDescription;
use super::principal::Anyone;
use super::query;
use super::routing::Argument;
use super::state::AppState;
use crate::domain::ids::OrderId;
use crate::domain::order::Order;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::SigningKey;

/// The header with a token.
pub const ORDER_TOKEN: &str = "order-token";
/// The number of bytes of the signature that a token contains.
const LENGTH: usize = 24;

/// The token of an order.
pub fn token(key: &SigningKey, id: OrderId) -> String {
    URL_SAFE_NO_PAD.encode(&key.sign("order", id.0.as_bytes())[..LENGTH])
}

/// The order token of a request, in a header or in the query.
#[derive(Debug, Clone)]
pub struct OrderToken(Option<String>);

/// The parameter with a token.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OrderTokenParameter {
    /// The token of a guest's order, as the checkout returned it. The header `Order-Token` is preferred, since a URL
    /// may be logged.
    token: Option<String>,
}

impl Argument for OrderToken {
    fn describe(operation: &mut OperationDescription<'_>) {
        operation.request_header("Order-Token", "The token of a guest's order, as the checkout returned it.");
        operation.parameters(OrderTokenParameter::into_params(|| None));
        operation.fails_validation();
    }
}

impl<S: Sync> FromRequestParts<S> for OrderToken {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let header = parts.headers.get(ORDER_TOKEN).and_then(|value| value.to_str().ok());
        let parameter = query::parse::<OrderTokenParameter>(&parts.uri)?.token;
        Ok(Self(header.map(str::to_owned).or(parameter)))
    }
}

impl OrderToken {
    /// Fails as for an order that does not exist, unless the order is the principal's or the token is the order's.
    pub fn check(&self, app: &AppState, principal: &Anyone, order: &Order) -> Result<(), Failure> {
        let is_owner = order.user_id.is_some() && order.user_id == principal.user_id();
        let has_token = self.0.as_ref().is_some_and(|sent| {
            let expected = token(app.store.database().signing_key(), order.id);
            bool::from(expected.as_bytes().ct_eq(sent.as_bytes()))
        });
        if is_owner || has_token { Ok(()) } else { Err(NotFound::Order.into()) }
    }
}
