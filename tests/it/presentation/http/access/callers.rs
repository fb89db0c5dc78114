//! The callers of the matrix, with each kind of credential.

use serde_json::{Value, json};
use undercroft::domain::api_key::SESSION_ONLY;
use undercroft::infrastructure::middleware::jwt::TokenSigner;
use uuid::Uuid;

use super::FEW;
use crate::support::issuer::Issuer;
use crate::support::{Shop, TestClient, TestServer, unique};

/// The principals of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Guest,
    Owner,
    OtherCustomer,
    Administrator,
    /// An administrator with the role [`STAFF_ROLE`].
    Staff,
    EndedSession,
}

/// A role of the staff whose only permission is [`FEW`].
pub(super) const STAFF_ROLE: &str = "reader";

/// By what a caller authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// The cookie of a session.
    Cookie,
    /// The token of a session.
    Bearer,
    /// An access token of the store.
    AccessToken,
    /// An API key, of an administrator with all scopes that it may have.
    ApiKey,
    /// An API key of an administrator with the scope [`FEW`].
    ApiKeyOfFewScopes,
    /// An API key that only reads, of an administrator with all scopes that do.
    ReadOnlyApiKey,
    /// A token of the identity provider.
    IssuerToken,
}

/// An identity provider, and a server that trusts it.
pub(super) struct Provider<'a> {
    shop: &'a Shop,
    issuer: Issuer,
    server: TestServer,
}

/// A caller with credentials of one kind.
pub(super) struct Row {
    pub(super) caller: Caller,
    pub(super) means: Means,
    pub(super) client: TestClient,
}

/// The client with its token in a header, and the one with it in a cookie.
pub(super) fn with_each_credential(server: &TestServer, bearer: TestClient) -> [(Means, TestClient); 2] {
    let token = bearer.header("authorization").trim_start_matches("Bearer ").to_owned();
    let cookie = server.guest().with("cookie", &format!("undercroft_session={token}"));
    [(Means::Bearer, bearer), (Means::Cookie, cookie)]
}

/// The client with an API key.
pub(super) async fn with_key(server: &TestServer, owner: &TestClient, means: Means) -> TestClient {
    let permissions = owner.get("/admin/v1/permissions").await;
    let all = permissions.json()["items"].as_array().cloned().unwrap_or_default();
    let is_read_only = means == Means::ReadOnlyApiKey;
    let scopes: Vec<_> = all
        .iter()
        .map(|permission| permission["name"].clone())
        .filter(|name| SESSION_ONLY.iter().all(|other| *name != json!(other)))
        .filter(|name| !is_read_only || name.as_str().unwrap().ends_with(":read"))
        .collect();
    let is_staff = owner.get("/v1/me").await.expect(200)["staff_role"].is_string();
    let has_few = is_staff || means == Means::ApiKeyOfFewScopes;
    let scopes = if has_few { vec![json!(FEW)] } else { scopes };
    let new = json!({"name": "Key", "scopes": scopes, "read_only": is_read_only, "lifetime_days": 1});
    let created = owner.post("/v1/me/api-keys", new).await.expect(201);
    server.guest().with("authorization", &format!("Bearer {}", created["key"].as_str().unwrap()))
}

/// The client with an access token.
pub(super) async fn with_access_token(server: &TestServer, owner: &TestClient) -> TestClient {
    let issued = owner.post("/v1/sessions/token", json!({})).await.expect(200);
    server.guest().with("authorization", &format!("Bearer {}", issued["access_token"].as_str().unwrap()))
}

/// Clients with API keys and access tokens: of users, and some of sessions and keys that have ended.
async fn rows_with_keys(server: &TestServer, owner: &TestClient) -> Vec<Row> {
    let mut rows = Vec::new();
    let (other, administrator) = (server.customer().await, server.admin().await);
    let staff = server.staff(STAFF_ROLE).await;
    for (caller, client, means) in [
        (Caller::Owner, owner, Means::ApiKey),
        (Caller::OtherCustomer, &other, Means::ApiKey),
        (Caller::Administrator, &administrator, Means::ApiKey),
        (Caller::Administrator, &administrator, Means::ApiKeyOfFewScopes),
        (Caller::Owner, owner, Means::ReadOnlyApiKey),
        (Caller::Administrator, &administrator, Means::ReadOnlyApiKey),
        (Caller::Staff, &staff, Means::ApiKey),
        (Caller::Staff, &staff, Means::ReadOnlyApiKey),
    ] {
        rows.push(Row { caller, means, client: with_key(server, client, means).await });
    }
    for (caller, client) in [
        (Caller::Owner, owner),
        (Caller::OtherCustomer, &other),
        (Caller::Administrator, &administrator),
        (Caller::Staff, &staff),
    ] {
        let client = with_access_token(server, client).await;
        rows.push(Row { caller, means: Means::AccessToken, client });
    }
    let logged_out = server.customer().await;
    let client = with_access_token(server, &logged_out).await;
    logged_out.delete("/v1/sessions").await.expect(204);
    rows.push(Row { caller: Caller::EndedSession, means: Means::AccessToken, client });
    let [revoked, expired] = [server.customer().await, server.customer().await];
    for ended in [&revoked, &expired] {
        let client = with_key(server, ended, Means::ApiKey).await;
        rows.push(Row { caller: Caller::EndedSession, means: Means::ApiKey, client });
    }
    let id = |list: Value| list["items"][0]["id"].as_str().unwrap().parse::<Uuid>().unwrap();
    let own = id(revoked.get("/v1/me/api-keys").await.expect(200));
    revoked.delete(&format!("/v1/me/api-keys/{own}")).await.expect(204);
    let own = id(expired.get("/v1/me/api-keys").await.expect(200));
    let write = server.store.database().write(own, async |work, &id| {
        let (created, ended) = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
        let [created, ended] = [created, ended].map(|time| time.parse::<jiff::Timestamp>().unwrap());
        let sql = "UPDATE api_keys SET created_at = $2, expires_at = $3 WHERE id = $1";
        work.execute(sql, &[id.into(), created.into(), ended.into()]).await
    });
    assert_eq!(write.await.unwrap(), 1);
    rows
}

impl<'a> Provider<'a> {
    pub(super) async fn of(shop: &'a Shop) -> Self {
        let issuer = Issuer::start().await;
        let server = issuer.server_of(shop).await;
        Self { shop, issuer, server }
    }

    /// The client with the token of a subject.
    fn client(&self, subject: &str, signer: &TokenSigner) -> TestClient {
        let email = format!("{subject}@provider.example");
        let token = signer.sign("JWT", &self.issuer.claims(self.shop, subject, &email, true)).unwrap();
        self.server.guest().with("authorization", &format!("Bearer {token}"))
    }

    /// The client of a new user.
    pub(super) fn newcomer(&self) -> TestClient {
        self.client(&unique("subject"), &self.issuer.signer)
    }

    /// Clients with tokens: of the owner, of another customer, and one that the provider did not sign.
    async fn rows(&self, owner: &TestClient) -> [Row; 3] {
        let account = owner.get("/v1/me").await.expect(200);
        let given = (self.issuer.url.clone(), account["email"].as_str().unwrap().to_owned());
        let linked = self.shop.database.write(given, async |work, (url, email)| {
            let sql = "INSERT INTO user_identities (provider, subject, user_id, created_at) \
                       SELECT $1, 'owner', id, created_at FROM users WHERE email = $2";
            work.execute(sql, &[url.as_str().into(), email.as_str().into()]).await
        });
        assert_eq!(linked.await.unwrap(), 1);
        let stranger = TokenSigner::new("k1".into(), &[9; 32]).unwrap();
        let other = self.newcomer();
        other.get("/v1/me").await.expect(200);
        [
            (Caller::Owner, self.client("owner", &self.issuer.signer)),
            (Caller::OtherCustomer, other),
            (Caller::EndedSession, self.client("owner", &stranger)),
        ]
        .map(|(caller, client)| Row { caller, means: Means::IssuerToken, client })
    }
}

pub(super) async fn rows(server: &TestServer, provider: &Provider<'_>, owner: &TestClient) -> Vec<Row> {
    let ended = server.customer().await;
    ended.delete("/v1/sessions").await.expect(204);
    let role = json!({"name": STAFF_ROLE, "permissions": [FEW]});
    server.admin().await.post("/admin/v1/roles", role).await.expect(201);
    let callers = [
        (Caller::Owner, owner.clone()),
        (Caller::OtherCustomer, server.customer().await),
        (Caller::Administrator, server.admin().await),
        (Caller::Staff, server.staff(STAFF_ROLE).await),
        (Caller::EndedSession, ended),
    ];
    let mut rows = vec![Row { caller: Caller::Guest, means: Means::Cookie, client: server.guest() }];
    for (caller, client) in callers {
        let clients = with_each_credential(server, client);
        rows.extend(clients.map(|(means, client)| Row { caller, means, client }));
    }
    rows.extend(rows_with_keys(server, owner).await);
    rows.extend(provider.rows(owner).await);
    rows
}
