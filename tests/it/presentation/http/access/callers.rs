//! The callers of the matrix, with each kind of credential.

use std::sync::Arc;

use serde_json::{Value, json};
use undercroft::application::{AccountTerms, Terms};
use undercroft::domain::api_key::SESSION_ONLY;
use undercroft::infrastructure::middleware::jwt::TokenSigner;
use uuid::Uuid;

use super::FEW;
use crate::support::issuer::Issuer;
use crate::support::passwords::create_key;
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
    /// An administrator without one-time passwords, at a server that requires them.
    MustEnrol,
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
    /// The token of an order alone, in `Order-Token`: of the caller's order.
    OrderToken,
    /// The same in the query.
    OrderTokenInQuery,
}

/// The servers of the shop.
pub(super) struct Servers<'a> {
    usual: &'a TestServer,
    /// Requires one-time passwords of administrators.
    requiring: TestServer,
    provider: Provider<'a>,
}

/// An identity provider, and a server that trusts it.
struct Provider<'a> {
    shop: &'a Shop,
    issuer: Issuer,
    server: TestServer,
}

/// A caller with credentials of one kind.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) caller: Caller,
    pub(super) means: Means,
    pub(super) client: TestClient,
}

/// The client with its token in a header, and the one with it in a cookie.
fn with_each_credential(server: &TestServer, bearer: TestClient) -> [(Means, TestClient); 2] {
    let token = bearer.header("authorization").trim_start_matches("Bearer ").to_owned();
    let cookie = server.guest().with("cookie", &format!("undercroft_session={token}"));
    [(Means::Bearer, bearer), (Means::Cookie, cookie)]
}

/// The client with an API key.
async fn with_key(server: &TestServer, owner: &TestClient, means: Means) -> TestClient {
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
    let created = create_key(server, owner, new).await.expect(201);
    server.guest().with("authorization", &format!("Bearer {}", created["key"].as_str().unwrap()))
}

/// The client with an access token.
async fn with_access_token(server: &TestServer, owner: &TestClient) -> TestClient {
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

/// Clients of an administrator at a server that requires one-time passwords, of which the administrator has none. The
/// API key has all scopes: it is of an administrator of another server.
async fn rows_without_one_time_passwords(Servers { usual, requiring, .. }: &Servers<'_>) -> Vec<Row> {
    let administrator = requiring.admin().await;
    let key = with_key(usual, &usual.admin().await, Means::ApiKey).await;
    let mut clients = vec![
        (Means::AccessToken, with_access_token(requiring, &administrator).await),
        (Means::ApiKey, requiring.guest().with("authorization", key.header("authorization"))),
    ];
    clients.extend(with_each_credential(requiring, administrator));
    clients.into_iter().map(|(means, client)| Row { caller: Caller::MustEnrol, means, client }).collect()
}

/// Clients with the token of an order of the owner, and of a guest's order.
fn rows_with_order_tokens(server: &TestServer) -> Vec<Row> {
    let mut rows = Vec::new();
    for caller in [Caller::Owner, Caller::Guest] {
        for means in [Means::OrderToken, Means::OrderTokenInQuery] {
            rows.push(Row { caller, means, client: server.guest() });
        }
    }
    rows
}

impl<'a> Servers<'a> {
    pub(super) async fn of(shop: &'a Shop) -> Self {
        let mut store = shop.store.clone();
        let accounts =
            AccountTerms { administrators_use_one_time_passwords: true, ..AccountTerms::default() };
        store.terms = Arc::new(Terms { accounts, ..Terms::clone(&store.terms) });
        let requiring = TestServer::start(store).await;
        Self { usual: shop.server().await, requiring, provider: Provider::of(shop).await }
    }

    /// The same caller with the same kind of credentials: a new user, if it is one.
    pub(super) async fn newcomer_like(&self, row: &Row) -> Row {
        let at = if row.caller == Caller::MustEnrol { &self.requiring } else { self.usual };
        let has_order_token = matches!(row.means, Means::OrderToken | Means::OrderTokenInQuery);
        let client = match row.caller {
            Caller::Guest | Caller::EndedSession => return row.clone(),
            _ if has_order_token => return row.clone(),
            Caller::Owner | Caller::OtherCustomer => at.customer().await,
            Caller::Administrator | Caller::MustEnrol => at.admin().await,
            Caller::Staff => at.staff(STAFF_ROLE).await,
        };
        let client = match row.means {
            Means::Bearer | Means::OrderToken | Means::OrderTokenInQuery => client,
            Means::Cookie => with_each_credential(at, client)[1].1.clone(),
            Means::AccessToken => with_access_token(at, &client).await,
            Means::ApiKey | Means::ApiKeyOfFewScopes | Means::ReadOnlyApiKey => {
                with_key(at, &client, row.means).await
            }
            Means::IssuerToken if row.caller == Caller::Administrator => self.provider.linked(&client).await,
            Means::IssuerToken => self.provider.newcomer(),
        };
        Row { caller: row.caller, means: row.means, client }
    }
}

impl<'a> Provider<'a> {
    async fn of(shop: &'a Shop) -> Self {
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
    fn newcomer(&self) -> TestClient {
        self.client(&unique("subject"), &self.issuer.signer)
    }

    /// The client of the user of another client, to whom a subject is linked.
    pub(super) async fn linked(&self, user: &TestClient) -> TestClient {
        let subject = unique("subject");
        self.link(&subject, user).await;
        self.client(&subject, &self.issuer.signer)
    }

    /// Links a subject to the user of a client.
    async fn link(&self, subject: &str, user: &TestClient) {
        let account = user.get("/v1/me").await.expect(200);
        let email = account["email"].as_str().unwrap().to_owned();
        let given = (self.issuer.url.clone(), subject.to_owned(), email);
        let linked = self.shop.database.write(given, async |work, (url, subject, email)| {
            let sql = "INSERT INTO user_identities (provider, subject, user_id, created_at) \
                       SELECT $1, $2, id, created_at FROM users WHERE email = $3";
            let values = [url.as_str().into(), subject.as_str().into(), email.as_str().into()];
            work.execute(sql, &values).await
        });
        assert_eq!(linked.await.unwrap(), 1);
    }

    /// Clients with tokens: of the owner, of another customer, of an administrator, and one that the provider did not
    /// sign.
    async fn rows(&self, owner: &TestClient) -> [Row; 4] {
        self.link("owner", owner).await;
        let stranger = TokenSigner::new("k1".into(), &[9; 32]).unwrap();
        let other = self.newcomer();
        other.get("/v1/me").await.expect(200);
        [
            (Caller::Owner, self.client("owner", &self.issuer.signer)),
            (Caller::OtherCustomer, other),
            (Caller::Administrator, self.linked(&self.server.admin().await).await),
            (Caller::EndedSession, self.client("owner", &stranger)),
        ]
        .map(|(caller, client)| Row { caller, means: Means::IssuerToken, client })
    }
}

pub(super) async fn rows(servers: &Servers<'_>, owner: &TestClient) -> Vec<Row> {
    let server = servers.usual;
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
    rows.extend(servers.provider.rows(owner).await);
    rows.extend(rows_without_one_time_passwords(servers).await);
    rows.extend(rows_with_order_tokens(server));
    rows
}
