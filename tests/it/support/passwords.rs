//! The password of the users of tests, and what requires it.

use serde_json::Value;
use undercroft::domain::ids::UserId;
use undercroft::infrastructure::repositories::DatabaseError;

use super::{TestClient, TestResponse, TestServer};

/// The password of the users of tests.
pub const PASSWORD: &str = "correct horse";

/// Gives the user of a client the password, if the user has none.
pub async fn ensure_password(server: &TestServer, client: &TestClient) {
    let id = client.get("/v1/me").await.expect(200)["id"].as_str().unwrap().parse().map(UserId).unwrap();
    let hash = server.store.passwords.hash(&PASSWORD.into()).await.unwrap();
    let set: Result<u64, DatabaseError> = server
        .store
        .database()
        .write((id, hash), async |work, (id, hash)| {
            let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash IS NULL";
            work.execute(sql, &[(*id).into(), hash.as_str().into()]).await
        })
        .await;
    assert!(set.unwrap() <= 1);
}

/// A request with the password of the user of a client, who gets it if there is none.
pub async fn with_password(server: &TestServer, client: &TestClient, mut request: Value) -> Value {
    ensure_password(server, client).await;
    request["current_password"] = PASSWORD.into();
    request
}

/// Creates an API key of the user of a client.
pub async fn create_key(server: &TestServer, owner: &TestClient, new: Value) -> TestResponse {
    owner.post("/v1/me/api-keys", with_password(server, owner, new).await).await
}
