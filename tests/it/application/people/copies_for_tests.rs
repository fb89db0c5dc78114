//! After the statements that docs/OPERATIONS.md has for a copy of the database for tests, it has other keys than the
//! store, no credential of the store is valid there, and nothing links its users to an identity provider.

use serde_json::json;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup};

use super::{PASSWORD, bearer, log_in, newcomer};
use crate::support::passwords::create_key;
use crate::support::store::{execute, store, terms, value};
use crate::support::{Shop, TestClient, TestServer};

const OPERATIONS: &str = include_str!("../../../../docs/OPERATIONS.md");

/// The statements of the page.
fn statements() -> &'static str {
    let (_, section) = OPERATIONS.split_once("\n### A copy for tests\n").unwrap();
    let (_, rest) = section.split_once("```sql\n").unwrap();
    rest.split_once("```").unwrap().0
}

async fn access_token(client: &TestClient) -> String {
    let issued = client.post("/v1/sessions/token", json!({})).await.expect(200);
    issued["access_token"].as_str().unwrap().to_owned()
}

/// Links the user to a subject of an identity provider, and has a guest hold pieces.
const PERSONAL: [&str; 2] = [
    "INSERT INTO user_identities (provider, subject, user_id, created_at) \
     SELECT 'https://login.example.org', 'ann', id, created_at FROM users WHERE email = 'ann@example.org'",
    "INSERT INTO holds (order_id, holder, pieces, expires_at) SELECT user_id, token_hash, 1, expires_at FROM sessions",
];

on_both_engines!(a_copy_for_tests_has_no_key_and_no_credential_of_the_store);
async fn a_copy_for_tests_has_no_key_and_no_credential_of_the_store(shop: &Shop) {
    let server = shop.server().await;
    let ann = newcomer(server, "ann@example.org").await;
    let token = access_token(&ann).await;
    let key = create_key(server, &ann, json!({"name": "Program"})).await.expect(201)["key"].clone();
    let endpoint = json!({"url": "https://example.org/hook", "event_types": ["order.paid"]});
    server.admin().await.post("/admin/v1/webhook-endpoints", endpoint).await.expect(201);
    for credential in [&*token, key.as_str().unwrap()] {
        bearer(server, credential).get("/v1/me").await.expect(200);
    }
    execute(&shop.database, &PERSONAL).await;
    let keys = "/.well-known/jwks.json";
    let former = server.guest().get(keys).await.expect(200);

    let changed: Result<(), DatabaseError> =
        shop.database.write(statements(), async |work, sql| work.script(sql).await).await;
    changed.unwrap();

    let database = Database::open(&shop.url.parse().unwrap(), Context::system(), Setup::Existing).await;
    let copy = TestServer::start(store(&database.unwrap(), terms())).await;
    let session = ann.header("authorization").strip_prefix("Bearer ").unwrap();
    for credential in [&*token, key.as_str().unwrap(), session] {
        bearer(&copy, credential).get("/v1/me").await.problem(401);
    }
    let again = log_in(&copy, "ann@example.org", PASSWORD).await;
    let own = access_token(&again).await;
    bearer(&copy, &own).get("/v1/me").await.expect(200);
    let others = copy.guest().get(keys).await.expect(200);
    let (of_store, of_copy) = (&former["keys"][0], &others["keys"][0]);
    assert!(of_store["kid"] != of_copy["kid"] && of_store["x"] != of_copy["x"], "{of_copy}");
    for table in ["webhook_endpoints", "user_identities", "holds"] {
        let rows: i64 = value(&shop.database, &format!("SELECT COUNT(*) FROM {table}"), &[]).await;
        assert_eq!(rows, 0, "{table}");
    }
    copy.end().await;
}
