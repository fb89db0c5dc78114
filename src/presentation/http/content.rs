//! The contents of products: the file with the id in the path, for those who bought its product or are subscribed
//! to it.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use super::guarded::{DescribeGuard, Guarded, LoadFacts};
use super::operation::OperationDescription;
use super::order_token::{OrderToken, id_in_path, keep_faults, raw_parameter};
use super::principal::Anyone;
use super::query;
use super::routing::{Access, Argument};
use super::state::AppState;
use crate::application::files;
use crate::application::selling::orders;
use crate::domain::file::StoredFile;
use crate::domain::ids::{FileId, OrderId, ProductId, UserId};
use crate::domain::placed_order::PlacedOrder;
use crate::infrastructure::exceptions::{Failure, NotFound};
use crate::infrastructure::guards::{
    ContentAccessGuard, ContentFacts, Guard, Or, OrderFacts, OrderOwnershipGuard, SubscriptionFacts,
    SubscriptionGuard,
};

/// The content of a product, which the principal bought or is subscribed to.
pub(super) type OwnContent = Guarded<Or<ContentAccessGuard, SubscriptionGuard>, (FileId, FileId)>;

/// The order by which a guest bought a content.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct BoughtWith {
    /// The order by which the product was bought. If omitted, all orders of the user.
    #[param(value_type = Option<Uuid>)]
    order_id: Option<OrderId>,
    /// The token of a guest's order, as the checkout returned it. The header `Order-Token` is preferred, since a URL
    /// may be logged.
    token: Option<String>,
}

impl BoughtWith {
    /// Reads the query. Its faults are listed once the client may have the file: for others there is none.
    fn of(parts: &mut Parts) -> Result<Self, Failure> {
        let read = keep_faults(parts, query::parse(&parts.uri))?;
        Ok(read.unwrap_or_else(|| Self {
            order_id: raw_parameter(parts, "order_id").and_then(|id| id.parse().ok()),
            token: raw_parameter(parts, "token"),
        }))
    }
}

impl DescribeGuard<FileId> for ContentAccessGuard {
    const ACCESS: Access = Access::Anyone;

    fn describe(operation: &mut OperationDescription<'_>) {
        OrderToken::describe(operation);
        operation.parameters(BoughtWith::into_params(|| None));
        operation.fails_validation();
    }
}

impl DescribeGuard<FileId> for SubscriptionGuard {
    const ACCESS: Access = Access::Anyone;
}

impl LoadFacts<ContentAccessGuard, FileId> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<ContentFacts, Failure> {
        let BoughtWith { order_id, token } = BoughtWith::of(parts)?;
        let (product_id, user_id) = requested(parts, self).await?;
        let token = OrderToken::of(parts, token);
        let orders = match (product_id, order_id, user_id) {
            (None, ..) | (_, None, None) => Vec::new(),
            (Some(_), Some(order_id), _) => own_order(self, order_id, user_id, &token).await?,
            (Some(product_id), None, Some(user_id)) => {
                files::purchases(&self.store, user_id, product_id).await?
            }
        };
        Ok(ContentFacts { product_id, orders, hidden: NotFound::File })
    }
}

impl LoadFacts<SubscriptionGuard, FileId> for AppState {
    async fn load_facts(&self, parts: &mut Parts) -> Result<SubscriptionFacts, Failure> {
        let (product_id, user_id) = requested(parts, self).await?;
        files::subscription(&self.store, user_id, product_id).await
    }
}

/// The file with the id in the path, which is read once for both guards and the handler.
#[derive(Clone)]
pub(super) struct RequestedFile(pub(super) StoredFile);

impl Argument for RequestedFile {}

impl FromRequestParts<AppState> for RequestedFile {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Failure> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let id: FileId = id_in_path(parts, app).await?;
        let requested = Self(files::file(&app.store, id).await?);
        parts.extensions.insert(requested.clone());
        Ok(requested)
    }
}

/// Returns the product of the file that a request names, and the user; `None` is a guest.
async fn requested(
    parts: &mut Parts,
    app: &AppState,
) -> Result<(Option<ProductId>, Option<UserId>), Failure> {
    let user_id = Anyone::from_request_parts(parts, app).await?.user_id();
    let RequestedFile(file) = RequestedFile::from_request_parts(parts, app).await?;
    Ok((file.product_id, user_id))
}

/// Returns an order if it is the principal's.
async fn own_order(
    app: &AppState,
    id: OrderId,
    user_id: Option<UserId>,
    token: &OrderToken,
) -> Result<Vec<PlacedOrder>, Failure> {
    let placed = match orders::order(&app.store, id).await {
        Ok(placed) => placed,
        Err(failure) if failure.is::<NotFound>() => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let has_token = token.is_of(app.store.database().signing_key(), id);
    let facts = OrderFacts { placed, user_id, has_token, hidden: NotFound::Order };
    Ok(OrderOwnershipGuard::check(facts).map(|own| vec![PlacedOrder::clone(&own)]).unwrap_or_default())
}
