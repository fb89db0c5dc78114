//! A complete example of a route.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Routes;
use crate::infrastructure::exceptions::NotFound;
use crate::presentation::http::json::Json;
use crate::presentation::http::principal::LoggedIn;
use crate::presentation::http::query::Path;
use crate::presentation::http::response::HandlerResult;
use crate::presentation::http::state::{AppState, State};

fn routes() -> Routes {
    routes![get_parcel: [NotFound::Order]]
}

/// A parcel.
#[derive(Serialize, ToSchema)]
struct Parcel {
    /// The id of the parcel.
    id: Uuid,
}

/// Get a parcel
///
/// Returns a parcel of the user.
#[utoipa::path(get, path = "/v1/parcels/{id}", tag = "orders", params(("id" = Uuid, Path)),
    responses((status = 200, body = Parcel)))]
async fn get_parcel(
    _: LoggedIn,
    State(_app): State<AppState>,
    Path(id): Path<Uuid>,
) -> HandlerResult<Json<Parcel>> {
    if id.is_nil() { Err(NotFound::Order.into()) } else { Ok(Json(Parcel { id })) }
}

#[test]
fn an_operation_documents_its_policy_its_arguments_and_its_failures() {
    let document = serde_json::to_value(routes().into_document()).unwrap();
    let operation = &document["paths"]["/v1/parcels/{id}"]["get"];
    assert_eq!(operation["operationId"], "getParcel");
    assert_eq!(operation["summary"], "Get a parcel");
    assert_eq!(operation["security"][0]["session_token"], serde_json::json!([]));
    let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["200", "401", "404", "422", "429", "default"]);
    assert_eq!(operation["responses"]["404"]["description"], "`order_not_found`: Order not found.");
}
