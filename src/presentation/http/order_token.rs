//! What shows an order to the guest who placed it: a token that only this store can make, told at checkout.

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use serde::Deserialize;
use subtle::ConstantTimeEq;
use utoipa::IntoParams;
use utoipa::openapi::path::Operation;

use super::principal::Anyone;
use super::query;
use super::routing::{Argument, describe_header};
use super::state::AppState;
use crate::domain::ids::OrderId;
use crate::domain::order::Order;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::repositories::CursorKey;

/// The header that a token comes in.
pub const ORDER_TOKEN: &str = "order-token";
/// Bytes of the signature that are in a token.
const LENGTH: usize = 24;

/// The token of an order.
pub fn token(key: &CursorKey, id: OrderId) -> String {
    URL_SAFE_NO_PAD.encode(&key.sign("order", id.0.as_bytes())[..LENGTH])
}

/// Who asks for an order: whoever is signed in, and whatever token came with the request.
#[derive(Debug, Clone)]
pub struct Buyer {
    token: Option<String>,
}

/// How a link shows a token.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OrderTokenParameter {
    /// The token told at checkout, for a guest; better sent in the header `Order-Token`.
    token: Option<String>,
}

impl Argument for Buyer {
    fn describe(operation: &mut Operation) {
        describe_header(operation, ORDER_TOKEN, "The token told at checkout, for a guest.");
        let parameters = OrderTokenParameter::into_params(|| None).into_iter().map(Into::into);
        operation.parameters.get_or_insert_default().extend(parameters);
    }
}

impl<S: Sync> FromRequestParts<S> for Buyer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let header = parts.headers.get(ORDER_TOKEN).and_then(|value| value.to_str().ok());
        let in_link = query::parse::<OrderTokenParameter>(&parts.uri)?.token;
        Ok(Self { token: header.map(str::to_owned).or(in_link) })
    }
}

impl Buyer {
    /// Whether it is their order; if not, it looks as if there were none.
    pub fn check(&self, app: &AppState, who: &Anyone, order: &Order) -> Result<(), Failure> {
        let owns = order.user_id.is_some() && order.user_id == who.user_id();
        let holds = self.token.as_ref().is_some_and(|shown| {
            let right = token(app.store.database().cursor_key(), order.id);
            bool::from(right.as_bytes().ct_eq(shown.as_bytes()))
        });
        if owns || holds { Ok(()) } else { Err(NotFound::Order.into()) }
    }
}
