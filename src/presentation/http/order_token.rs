//! The orders of a principal: the order whose id, or that of its payment, is in the path, checked by
//! [`OrderOwnershipGuard`]. With the token that the checkout returned, a guest gets the order. Only this store can make
//! one.

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::guarded::{DescribeGuard, Guarded, LoadFacts};
use super::operation::OperationDescription;
use super::principal::Anyone;
use super::query::{self, Path};
use super::routing::Access;
use super::state::AppState;
use crate::application::selling::{orders, queries};
use crate::domain::ids::{OrderId, PaymentId};
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{Failure, NotFound, RequestFaults};
use crate::infrastructure::guards::{OrderFacts, OrderOwnershipGuard};
use crate::infrastructure::repositories::SigningKey;

/// The header with a token.
pub const ORDER_TOKEN: &str = "order-token";
/// The number of bytes of the signature that a token contains.
const LENGTH: usize = 24;

/// The token of an order.
pub fn token(key: &SigningKey, id: OrderId) -> String {
    URL_SAFE_NO_PAD.encode(&key.sign("order", id.0.as_bytes())[..LENGTH])
}

/// The order with the id in the path, which the principal may see.
pub type OwnOrder = Guarded<OrderOwnershipGuard, OrderId>;

/// The order of the payment with the id in the path, which the principal may see.
pub type OwnPayment = Guarded<OrderOwnershipGuard, PaymentId>;

/// The order token of a request, in a header or in the query.
#[derive(Debug, Clone)]
pub(super) struct OrderToken(Option<String>);

/// The parameter with a token.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OrderTokenParameter {
    /// The token of a guest's order, as the checkout returned it. The header `Order-Token` is preferred, since a URL
    /// may be logged.
    token: Option<String>,
}

impl DescribeGuard<OrderId> for OrderOwnershipGuard {
    const ACCESS: Access = Access::Anyone;

    fn describe(operation: &mut OperationDescription<'_>) {
        Asking::describe(operation);
    }
}

impl DescribeGuard<PaymentId> for OrderOwnershipGuard {
    const ACCESS: Access = Access::Anyone;

    fn describe(operation: &mut OperationDescription<'_>) {
        Asking::describe(operation);
    }

    fn failures() -> Vec<Failure> {
        vec![NotFound::Payment.into()]
    }
}

impl LoadFacts<OrderOwnershipGuard, OrderId> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<OrderFacts, Failure> {
        let asking = Asking::of(parts, self).await?;
        let id = id_in_path(parts, self).await?;
        Ok(asking.for_order(self, orders::order(&self.store, id).await?, NotFound::Order))
    }
}

impl LoadFacts<OrderOwnershipGuard, PaymentId> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<OrderFacts, Failure> {
        let asking = Asking::of(parts, self).await?;
        let id = id_in_path(parts, self).await?;
        let placed = queries::order_of_payment(&self.store, id).await?;
        Ok(asking.for_order(self, placed, NotFound::Payment))
    }
}

/// Returns the id in the path, which a policy reads. Without one there is nothing that any client may see: the response
/// lists all faults at once.
pub(super) async fn id_in_path<T: DeserializeOwned + Send>(
    parts: &mut Parts,
    app: &AppState,
) -> Result<T, Failure> {
    let read = Path::from_request_parts(parts, app).await;
    let id = keep_faults(parts, read)?.map(|Path(id)| id);
    id.ok_or_else(|| RequestFaults::take(&mut parts.extensions).into_failure())
}

/// Returns what a policy read. Its faults are listed with those of the handler, once the policy allows the request.
pub(super) fn keep_faults<T>(parts: &mut Parts, read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    let mut faults = RequestFaults::take(&mut parts.extensions);
    let read = faults.keep(read);
    if !faults.is_empty() {
        parts.extensions.insert(faults);
    }
    read
}

/// Returns the first parameter of a query of this name as it is, although the query has faults: what a policy reads
/// decides whether the client sees them.
pub(super) fn raw_parameter(parts: &Parts, name: &str) -> Option<String> {
    let mut query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    query.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The principal who asks for an order, and the order token of the request.
struct Asking {
    principal: Anyone,
    token: OrderToken,
}

impl Asking {
    /// Adds what is read to the description of an operation.
    fn describe(operation: &mut OperationDescription<'_>) {
        OrderToken::describe(operation);
        operation.parameters(OrderTokenParameter::into_params(|| None));
        operation.fails_validation();
    }

    async fn of(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        let principal = Anyone::from_request_parts(parts, app).await?;
        let read = keep_faults(parts, query::parse::<OrderTokenParameter>(&parts.uri))?;
        let token = if let Some(OrderTokenParameter { token }) = read {
            token
        } else {
            raw_parameter(parts, "token")
        };
        Ok(Self { principal, token: OrderToken::of(parts, token) })
    }

    /// Returns the facts with this order.
    fn for_order(self, app: &AppState, placed: PlacedOrder, hidden: NotFound) -> OrderFacts {
        let user_id = self.principal.user_id();
        let has_token = self.token.is_of(app.store.database().signing_key(), placed.order.id);
        OrderFacts { placed, user_id, has_token, hidden }
    }
}

impl OrderToken {
    /// Adds the header to the description of an operation.
    pub(super) fn describe(operation: &mut OperationDescription<'_>) {
        operation.request_header("Order-Token", "The token of a guest's order, as the checkout returned it.");
    }

    /// Reads the token of a request: that of the header, or the parameter.
    pub(super) fn of(parts: &Parts, parameter: Option<String>) -> Self {
        let header = parts.headers.get(ORDER_TOKEN).and_then(|value| value.to_str().ok());
        Self(header.map(str::to_owned).or(parameter))
    }

    /// Returns whether it is the token of this order.
    pub(super) fn is_of(&self, key: &SigningKey, id: OrderId) -> bool {
        self.0.as_ref().is_some_and(|sent| bool::from(token(key, id).as_bytes().ct_eq(sent.as_bytes())))
    }
}
