//! A service of its own on the rooms of middleware and guards: pages of one origin may use it, each address sends at
//! most 60 requests in a minute, and only members read the news.
//!
//! `cargo run --example edge` serves `GET /news` on port 3000.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{Method, request::Parts};
use undercroft::domain::context::Context;
use undercroft::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
use undercroft::infrastructure::guards::Guard;
use undercroft::infrastructure::middleware::{
    Chain, CorsMiddleware, RateClass, RateLimiter, RateLimitingMiddleware,
};

/// The proof that a request is that of a member.
pub struct MemberGuard {
    name: String,
}

impl Guard for MemberGuard {
    /// The value of `Authorization`.
    type Facts = Option<String>;

    fn check(credentials: Option<String>) -> Result<Self, Failure> {
        let credentials = credentials.ok_or(UnauthorizedAccessException::NotLoggedIn)?;
        let name = credentials.strip_prefix("Bearer member-");
        let name = name.ok_or(UnauthorizedAccessException::InvalidToken)?;
        Ok(Self { name: name.to_owned() })
    }

    fn refusals() -> Vec<Failure> {
        [UnauthorizedAccessException::NotLoggedIn, UnauthorizedAccessException::InvalidToken]
            .map(Failure::from)
            .to_vec()
    }
}

/// Loads the facts of the guard and checks them: a handler with this argument cannot be called without the proof.
impl<S: Sync> FromRequestParts<S> for MemberGuard {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let credentials = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        Self::check(credentials.map(str::to_owned))
    }
}

async fn news(member: MemberGuard) -> String {
    format!("Good morning, {}. The market opens at nine.", member.name)
}

/// Returns the routes within their middleware.
pub fn service() -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let routes = Router::new().route("/news", get(news)).route("/health", get(|| async { "up" }));
    let limits = RateLimitingMiddleware {
        limiter: RateLimiter::in_process(Context::system().clock),
        general: Some("60/minute".parse()?),
        user: None,
        named: BTreeMap::new(),
        classes: HashMap::from([((Method::GET, "/health".to_owned()), RateClass::Exempt)]),
    };
    let cors = CorsMiddleware {
        origins: vec!["https://club.example".parse()?],
        methods: vec![Method::GET],
        request_headers: vec![AUTHORIZATION],
        ..CorsMiddleware::default()
    };
    Ok(Chain { cors, ..Chain::default() }.apply(limits.apply(routes)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    // rate limits count for the address of the connection
    let service = service()?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}
