//! A service of its own on the rooms of middleware and guards: pages of one origin may use it, each address sends at
//! most 60 requests in a minute, only members read the news, those with a verified e-mail address also the archive, and
//! requests beyond what the service can serve are refused at once. Each request is logged, and every error is a problem
//! document in the language of the client: also a handler that panics, or takes longer than five seconds.
//!
//! Connections are not part of the middleware: a client that sends or reads slowly keeps one open, and their number has
//! no limit. Let a reverse proxy with time-outs stand before it, as docs/OPERATIONS.md has one for the store.
//!
//! The first argument of each handler is the policy of its route, such as the proof of a guard: without one the service
//! does not compile.
//!
//! `cargo run --example edge` serves `GET /news` and `GET /archive` on port 3000, and writes the log to its standard
//! output:
//!
//! ```sh
//! curl -i http://127.0.0.1:3000/news                                          # 401: no credential
//! curl -i http://127.0.0.1:3000/news -H 'authorization: Bearer ada'           # 401: not that of a member
//! curl -i http://127.0.0.1:3000/news -H 'authorization: Bearer member-ada'    # 200
//! curl -i http://127.0.0.1:3000/archive -H 'authorization: Bearer member-new' # 403: the address is not verified
//! curl -i http://127.0.0.1:3000/panic -H 'accept-language: de'                # 500: the cause is in the log alone
//! curl -i http://127.0.0.1:3000/slow                                          # 504, after five seconds
//! for i in $(seq 80); do curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:3000/news; done | tail -1    # 429
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use http::header::AUTHORIZATION;
use http::{Method, request::Parts};
use undercroft::domain::context::Context;
use undercroft::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
use undercroft::infrastructure::guards::{And, EmailFacts, EmailVerifiedGuard, Guard};
use undercroft::infrastructure::middleware::{
    Chain, ClientMiddleware, CorsMiddleware, Credential, ErrorHandlingMiddleware, LoggingMiddleware,
    OverloadLimiter, OverloadMiddleware, Priority, RateClass, RateLimiter, RateLimitingMiddleware,
    TrustedProxies, VerifyCredential, authenticate,
};
use undercroft::presentation::http::guarded::{DescribeGuard, Guarded, LoadFacts};
use undercroft::presentation::http::principal::Public;
use undercroft::presentation::http::routing::{Access, Routes};
use undercroft::presentation::http::state::{ServiceState, State};

/// A member, as the credential of a request proves it.
#[derive(Clone)]
pub struct Member {
    name: String,
    has_verified_email: bool,
}

/// Knows the members, and the age of the club.
#[derive(Clone, Copy)]
pub struct Members {
    first_year: u16,
}

/// The handlers take the state as it is.
impl ServiceState for Members {}

/// Verifies what `Authorization: Bearer …` has, once for each request that needs it.
impl VerifyCredential for Members {
    type Principal = Member;

    async fn verify(&self, _: &Parts, credential: Credential<'_>) -> Result<Member, Failure> {
        let name = credential.text().strip_prefix("member-");
        let name = name.ok_or(UnauthorizedAccessException::InvalidToken)?.to_owned();
        Ok(Member { has_verified_email: name != "new", name })
    }
}

/// The proof that a request is that of a member: a guard of the service. In a module of its own, as a larger service
/// has it, nothing but its check creates one.
pub struct MemberGuard(Member);

impl Guard for MemberGuard {
    /// The member; `None` for a guest.
    type Facts = Option<Member>;

    fn check(member: Option<Member>) -> Result<Self, Failure> {
        Ok(Self(member.ok_or(UnauthorizedAccessException::NotLoggedIn)?))
    }

    fn refusals() -> Vec<Failure> {
        [UnauthorizedAccessException::NotLoggedIn, UnauthorizedAccessException::InvalidToken]
            .map(Failure::from)
            .to_vec()
    }
}

/// The routes that the guard is for are those of users.
impl DescribeGuard for MemberGuard {
    const ACCESS: Access = Access::LoggedIn;
}

/// Loads the facts of the guard: a handler that takes `Guarded<MemberGuard>` is not called unless its check succeeds.
impl LoadFacts<MemberGuard> for Members {
    async fn load_facts(&self, parts: &mut Parts) -> Result<Option<Member>, Failure> {
        authenticate(self, parts).await
    }
}

/// Loads the facts of a guard of the library.
impl LoadFacts<EmailVerifiedGuard> for Members {
    async fn load_facts(&self, parts: &mut Parts) -> Result<EmailFacts, Failure> {
        let member = authenticate(self, parts).await?;
        let is_verified = member.map(|member| member.has_verified_email);
        Ok(EmailFacts { is_required: true, is_verified })
    }
}

async fn news(member: Guarded<MemberGuard>) -> String {
    format!("Good morning, {}. The market opens at nine.", member.0.name)
}

/// The proof that a request is that of a member with a verified address: of two guards. The second parameter has a `()`
/// for each guard whose facts are loaded in one way only.
type VerifiedMember = Guarded<And<MemberGuard, EmailVerifiedGuard>, ((), ())>;

async fn archive(_: VerifiedMember, State(members): State<Members>) -> String {
    format!("The news since {}.", members.first_year)
}

/// A handler with a fault.
async fn fail(_: Public) -> &'static str {
    panic!("a fault of the handler")
}

/// A handler that takes longer than the time-out.
async fn delay(_: Public) -> &'static str {
    tokio::time::sleep(Duration::from_mins(1)).await;
    "late"
}

/// A handler that everyone may call.
async fn health(_: Public) -> &'static str {
    "up"
}

/// Returns the routes within their middleware.
pub fn service() -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let routes = Routes::default()
        .route(Method::GET, "/news", news)
        .route(Method::GET, "/archive", archive)
        .route(Method::GET, "/panic", fail)
        .route(Method::GET, "/slow", delay)
        .route(Method::GET, "/health", health);
    // a proxy on the same machine reports the client by `X-Forwarded-For` or `Forwarded`
    let client = ClientMiddleware { trusted_proxies: TrustedProxies::parse(["127.0.0.1"])? };
    let rate_limiting = Some(RateLimitingMiddleware {
        limiter: RateLimiter::in_process(Context::system().clock),
        general: Some("60/minute".parse()?),
        // no limit of a user beside that of the address
        user: None,
        // further limits of an address by name, such as "5/minute" for "log_in": they count only the routes whose
        // class below is `RateClass::Named` with the name
        named: BTreeMap::new(),
        classes: HashMap::from([("/health".to_owned(), vec![(Method::GET, RateClass::Exempt)])]),
    });
    let cors = CorsMiddleware {
        origins: vec!["https://club.example".parse()?],
        methods: vec![Method::GET],
        request_headers: vec![AUTHORIZATION],
        ..CorsMiddleware::default()
    };
    let overload = Some(OverloadMiddleware {
        // `None`: the service has no queue of its own, such as one for connections to a database, and only the wait for
        // a processor is observed; `ServiceWaits` observe a queue, too
        limiter: OverloadLimiter::new(Duration::from_millis(50), None),
        priority: |_, route| if route == Some("/health") { Priority::Exempt } else { Priority::Normal },
    });
    let error_handling = ErrorHandlingMiddleware {
        timeout: Some(Duration::from_secs(5)),
        ..ErrorHandlingMiddleware::default()
    };
    let logging = Some(LoggingMiddleware::default());
    let chain = Chain { client, overload, logging, cors, error_handling, rate_limiting, ..Chain::default() };
    Ok(chain.apply(routes.into_router()).with_state(Members { first_year: 1998 }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing_subscriber::fmt().init();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    // the client is the peer of the connection, or what a trusted proxy there reports
    let service = service()?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(interrupted()).await?;
    Ok(())
}

/// Waits for Ctrl-C: then no connection is accepted any more, and requests in progress end. What starts services mostly
/// stops them by SIGTERM, which `tokio::signal::unix` waits for.
async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "Ctrl-C cannot be waited for, and the service stops");
    }
}
