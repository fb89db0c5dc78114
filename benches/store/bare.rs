//! Bare axum: one route that responds with bytes in memory, alone and in the middleware of the store. And the store's
//! own server, which refuses each request for overload.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use undercroft::infrastructure::middleware::{OverloadLimiter, PublicResponse, Quota};
use undercroft::infrastructure::repositories::QueueWaits;
use undercroft::presentation::cli::logging;
use undercroft::presentation::http::router::Api;
use undercroft::presentation::http::server;
use undercroft::presentation::metrics::Metrics;
use undercroft::settings::{LogSettings, OverloadSettings, RateLimitSettings, Settings};

use crate::Outcome;
use crate::process::UNREACHED;
use crate::shop::Shop;

/// The path of the route, that of a product.
const PRODUCT: &str = "/v1/products/{id}";
/// The type of the bytes.
const JSON: &str = "application/json";

/// Serves the bytes of `file` for every id until the process ends.
pub(crate) async fn serve(file: &Path) -> Outcome<()> {
    let bytes = Bytes::from(std::fs::read(file)?);
    let response = async move || ([(CONTENT_TYPE, JSON)], bytes);
    let router = Router::new().route(PRODUCT, get(response));
    Ok(axum::serve(listen().await?, router).await?)
}

/// Serves them as [`serve`] does, in the middleware of the store at `url` with its log, and with limits that are not
/// reached.
pub(crate) async fn serve_in_chain(file: &Path, url: &str) -> Outcome<()> {
    let _lines = logging::start(&LogSettings::default());
    let Shop { store, .. } = Shop::open(url).await?;
    let quota = Some(UNREACHED.parse::<Quota>()?);
    let settings = Settings {
        rate_limits: RateLimitSettings { general: quota, user: quota, ..RateLimitSettings::default() },
        ..Settings::default()
    };
    let Api { chain, .. } = Api::new(&store, &settings, CancellationToken::new());

    let bytes = Bytes::from(std::fs::read(file)?);
    // as a product: everyone may keep it, and its entity tag is known
    let headers = [(CONTENT_TYPE, JSON), (ETAG, "\"0123456789abcdef0123456789abcdef\"")];
    let response = async move || (Extension(PublicResponse), headers, bytes);
    let router: Router = chain.apply(Router::new().route(PRODUCT, get(response)));
    // the limits count for the address of the client
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listen().await?, service).await?)
}

/// Serves the store at `url` as `undercroft serve` does, with its routes, middleware, log and metrics, and refuses each
/// request for overload until the process ends.
pub(crate) async fn refuse(url: &str) -> Outcome<()> {
    let _lines = logging::start(&LogSettings::default());
    let Shop { store, .. } = Shop::open(url).await?;
    let metrics = TcpListener::bind("127.0.0.1:0").await?;
    tokio::spawn(Metrics::new(store.clone()).serve(metrics, CancellationToken::new()));

    let settings = Settings {
        overload: OverloadSettings { enabled: true, ..OverloadSettings::default() },
        rate_limits: RateLimitSettings { enabled: false, ..RateLimitSettings::default() },
        ..Settings::default()
    };
    let Api { router, mut chain } = Api::new(&store, &settings, CancellationToken::new());
    let overload = chain.overload.as_mut().ok_or("the store has no limiter")?;
    // nothing is served in time, so that the limit is the lowest one
    let second = Duration::from_secs(1);
    let waits = move || Some(QueueWaits { least: second, mean: second });
    overload.limiter = OverloadLimiter::new(Duration::ZERO, Some(Arc::new(waits)));

    let listener = listen().await?;
    let context = store.database().context().clone();
    server::serve(listener, router, chain, &settings.http, context, CancellationToken::new()).await;
    Ok(())
}

/// Listens on a free port, and prints the address.
async fn listen() -> Outcome<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}
