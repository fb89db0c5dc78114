//! An identity provider of the tests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use undercroft::application::{IdentityTerms, Terms};
use undercroft::infrastructure::adapters::KeySetClient;
use undercroft::infrastructure::middleware::jwt::{Algorithm, Expected, TokenSigner, TrustedIssuer};

use super::store::terms;
use super::tls_listener::TlsListener;
use super::{Shop, ShopOptions, TestServer};

/// An issuer on a free port.
pub struct Issuer {
    /// Its URL.
    pub url: String,
    /// Signs its tokens.
    pub signer: TokenSigner,
    /// The keys that it publishes; it responds with 503 if there are none.
    pub published: Arc<Mutex<Option<Vec<Value>>>>,
    /// While it is locked, responses with keys wait, which are those of the request.
    pub held: Arc<tokio::sync::Mutex<()>>,
    fetched: Arc<AtomicUsize>,
}

impl Issuer {
    /// Starts an issuer.
    pub async fn start() -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), "http")
    }

    /// Starts an issuer over HTTPS, with a certificate of a private authority.
    pub async fn start_with_tls() -> Self {
        Self::serve(TlsListener::bind().await, "https")
    }

    fn serve(listener: impl Listener<Addr = SocketAddr>, scheme: &str) -> Self {
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let signer = TokenSigner::new("k1".into(), &[1; 32]).unwrap();
        let published = Arc::new(Mutex::new(Some(vec![signer.jwk()])));
        let (held, fetched) = (Arc::new(tokio::sync::Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let configuration = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let (keys, hold, count) = (Arc::clone(&published), Arc::clone(&held), Arc::clone(&fetched));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(async move || Json(configuration)))
            .route(
                "/keys",
                get(async move || {
                    let keys = keys.lock().unwrap().clone();
                    count.fetch_add(1, Ordering::SeqCst);
                    drop(hold.lock().await);
                    keys.map(|keys| Json(json!({"keys": keys}))).ok_or(StatusCode::SERVICE_UNAVAILABLE)
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, signer, published, held, fetched }
    }

    /// The issuer, as a store trusts it.
    pub fn trusted(&self) -> TrustedIssuer {
        self.trusted_for(&[])
    }

    /// The issuer, as a store trusts it that accepts the tokens of these clients.
    fn trusted_for(&self, parties: &[&str]) -> TrustedIssuer {
        let expected = Expected {
            issuer: self.url.clone(),
            audience: "shop".into(),
            parties: parties.iter().map(|&party| party.to_owned()).collect(),
            types: vec![None, Some("jwt"), Some("at+jwt")],
            algorithms: vec![Algorithm::EdDsa],
        };
        TrustedIssuer::new(expected, KeySetClient::default())
    }

    /// The claims of a token that is valid for ten minutes.
    pub fn claims(&self, shop: &Shop, subject: &str, email: &str, is_verified: bool) -> Value {
        let now = shop.database.context().clock.now().as_second();
        json!({"iss": self.url, "aud": "shop", "sub": subject, "iat": now, "exp": now + 600, "email": email,
               "email_verified": is_verified})
    }

    /// A token with these claims.
    pub fn token(&self, shop: &Shop, subject: &str, email: &str, is_verified: bool) -> String {
        self.signer.sign("JWT", &self.claims(shop, subject, email, is_verified)).unwrap()
    }

    /// How often its keys were read.
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }

    /// A server of the shop that trusts the issuer.
    pub async fn server_of(&self, shop: &Shop) -> TestServer {
        self.server_for(shop, &[]).await
    }

    /// A server of the shop that trusts the issuer, and accepts its tokens of these clients.
    pub async fn server_for(&self, shop: &Shop, parties: &[&str]) -> TestServer {
        let mut store = shop.store.clone();
        store.infrastructure.issuer = Some(self.trusted_for(parties));
        TestServer::start(store).await
    }
}

/// The options of a shop with a manual clock, for users of an issuer.
pub fn options(creates_users: bool, links_by_email: bool) -> ShopOptions {
    let identities = IdentityTerms { creates_users, links_by_email };
    ShopOptions::manual_clock().terms(Terms { identities, ..terms() })
}
