//! The parsers of what comes from outside: each takes any bytes, must not panic, and checks what holds for all input.
//!
//! Each is a target of cargo-fuzz (`fuzz/run`). `tests/it/fuzz_targets.rs` runs them over the files of `fuzz/seeds`
//! with the stable toolchain.

#[path = "tokens.rs"]
mod tokens;

use std::cell::OnceCell;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts};
use axum::routing::post;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use undercroft::application::Store;
use undercroft::application::catalogue::product_draft::ProductDraft;
use undercroft::application::import::readers::{Format, Options, Reader};
use undercroft::domain::money::Currency;
use undercroft::domain::slug::{is_slug, slug};
use undercroft::domain::trace::TraceContext;
use undercroft::domain::words::words;
use undercroft::infrastructure::events::ReceivedEvent;
use undercroft::infrastructure::events::transports::{Receipt, Received, Settle, Settlement, TransportError};
use undercroft::infrastructure::middleware::{
    Chain, Client, Credential, Languages, Origin, Quota, SameSiteCookie, SessionCookie, TrustedProxies,
    client_has, entity_tags, is_host, network,
};
use undercroft::infrastructure::repositories::Setup;
use undercroft::presentation::cli::open_store;
use undercroft::presentation::http::conditional::IfMatch;
use undercroft::presentation::http::idempotency_key::Idempotent;
use undercroft::presentation::http::json;
use undercroft::presentation::http::range::RequestedRange;
use undercroft::presentation::http::router::Api;
use undercroft::settings::{self, Settings};

pub use self::tokens::{api_key, jwt, key_set};

/// A parser by its name, which is that of its target and of the folder of its seeds.
pub type Parser = (&'static str, fn(&[u8]));

/// All of them.
pub const PARSERS: [Parser; 24] = [
    ("accept_language", accept_language),
    ("api_key", api_key),
    ("cloud_event", cloud_event),
    ("credentials", credentials),
    ("entity_tags", entity_tag_lists),
    ("forwarded", forwarded),
    ("gzip", gzip),
    ("host", host),
    ("idempotency_key", idempotency_key),
    ("import_json_lines", import_json_lines),
    ("import_online_retail", import_online_retail),
    ("import_shopify", import_shopify),
    ("import_woocommerce", import_woocommerce),
    ("jwt", jwt),
    ("key_set", key_set),
    ("product_body", product_body),
    ("query", query),
    ("range", range),
    ("request", request),
    ("setting_values", setting_values),
    ("settings", settings),
    ("texts", texts),
    ("traceparent", traceparent),
    ("webhook_url", webhook_url),
];

/// Returns the lines of a head, as far as they can be headers.
fn headers(bytes: &[u8]) -> HeaderMap {
    let lines = bytes.split(|byte| *byte == b'\n').take(64);
    let pairs = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

/// Returns the head of a request with one header of this value; `None` if it can be none.
fn head(name: &'static str, value: &[u8]) -> Option<Parts> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(Request::builder().header(name, value).body(()).ok()?.into_parts().0)
}

/// What an extractor makes of a head, without waiting.
fn extract<T: FromRequestParts<()>>(mut parts: Parts) -> Result<T, T::Rejection> {
    T::from_request_parts(&mut parts, &()).now_or_never().expect("a head is there at once")
}

/// `Accept-Language`.
pub fn accept_language(bytes: &[u8]) {
    let Some(parts) = head("accept-language", bytes) else { return };
    let Ok(languages) = extract::<Languages>(parts);
    let available = ["de".to_owned(), "pt-BR".to_owned()];
    assert!(languages.best(&available.iter(), "en").is_none_or(|best| available.contains(best)));
}

/// A message that no broker waits for.
#[derive(Debug)]
struct Unsettled;

impl Settle for Unsettled {
    fn settle(self: Box<Self>, _: Settlement) -> BoxFuture<'static, Result<(), TransportError>> {
        async { Ok(()) }.boxed()
    }
}

/// A message of a broker: a `content-type`, attributes, an empty line, and the body.
pub fn cloud_event(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(0);
    let (attributes, body) = bytes.split_at(end);
    let attributes = String::from_utf8_lossy(attributes);
    let pairs = attributes.lines().filter_map(|line| line.split_once(':'));
    let (types, attributes): (Vec<_>, Vec<_>) = pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .partition(|(name, _)| name == "content-type");
    let message = Received {
        content_type: types.into_iter().next().map(|(_, media_type)| media_type),
        attributes,
        body: Bytes::copy_from_slice(body),
        receipt: Receipt::new(Unsettled),
    };
    if let Ok(event) = ReceivedEvent::parse(&message) {
        assert!(!event.id.is_empty() && !event.source.is_empty() && !event.event_type.is_empty());
    }
}

/// `Authorization` and `Cookie`.
pub fn credentials(bytes: &[u8]) {
    let mut parts = Request::new(()).into_parts().0;
    parts.method = Method::POST;
    parts.headers = headers(bytes);
    let cookie = SessionCookie { name: "undercroft_session", secure: false, same_site: SameSiteCookie::Lax };
    parts.extensions.insert(cookie);
    if let Ok(Some(read)) = Credential::of(&parts) {
        assert!(Credential::any_of(&parts).any(|any| any == read));
    }
}

/// `If-Match` and `If-None-Match`.
pub fn entity_tag_lists(bytes: &[u8]) {
    if let Some(tags) = entity_tags(bytes) {
        assert_eq!(entity_tags(&tags.join(&b", "[..])), Some(tags.clone()));
        assert!(tags.iter().all(|tag| tag.ends_with(b"\"") && tag.len() > 1));
    }
    for name in ["if-match", "if-none-match"] {
        let Some(parts) = head(name, bytes) else { return };
        client_has(&parts.headers, &HeaderValue::from_static("\"1-abc\""));
        extract::<IfMatch>(parts).ok();
    }
}

/// `Forwarded` and `X-Forwarded-*`.
pub fn forwarded(bytes: &[u8]) {
    let headers = headers(bytes);
    let peer: IpAddr = [127, 0, 0, 1].into();
    let unknown = Client::of(&headers, peer, &TrustedProxies::default());
    assert_eq!((unknown.address, unknown.is_https), (peer, false));

    let trusted = TrustedProxies::parse(["127.0.0.0/8", "10.0.0.0/8", "::1"]).expect("networks");
    let client = Client::of(&headers, peer, &trusted);
    assert!(network(client.address, [24, 48]).contains(&client.address));
    if client.host.as_ref() != headers.get("host") {
        assert!(client.host.is_some_and(|host| is_host(host.as_bytes())));
    }
}

/// The most decoded bytes that the target `gzip` accepts.
const DECODED: usize = 4096;

/// A body with `Content-Encoding: gzip`.
pub fn gzip(bytes: &[u8]) {
    thread_local! {
        static ROUTER: Router = Chain::default().apply(
            Router::new().route("/", post(async |body: Bytes| body.len().to_string())).layer(DefaultBodyLimit::max(DECODED)),
        );
    }
    let request =
        Request::post("/").header("content-type", "application/json").header("content-encoding", "gzip");
    let request = request.body(Body::from(bytes.to_vec())).expect("a request");
    let response = wait(ROUTER.with(Router::clone).oneshot(request)).expect("no error");
    let status = response.status();
    let body = wait(to_bytes(response.into_body(), usize::MAX)).expect("a body");
    assert!(!status.is_server_error());
    if status.is_success() {
        let decoded: usize = String::from_utf8_lossy(&body).parse().expect("a length");
        assert!(decoded <= DECODED);
    }
}

/// `Host`, and the origins and networks of the settings.
pub fn host(bytes: &[u8]) {
    is_host(bytes);
    let Ok(text) = str::from_utf8(bytes) else { return };
    text.parse::<Origin>().ok();
    TrustedProxies::parse(text.split(',')).ok();
}

/// `Idempotency-Key` with a body.
pub fn idempotency_key(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Some(mut parts) = head("idempotency-key", &bytes[..end]) else { return };
    parts.headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = Body::from(bytes.get(end + 1..).unwrap_or_default().to_vec());
    let request = Request::from_parts(parts, body);
    Idempotent::<ProductDraft>::from_request(request, &()).now_or_never().expect("the body is there").ok();
}

fn import(format: Format, bytes: &[u8]) {
    let options = Options { format: Some(format), currency: Some(Currency::EUR), ..Options::default() };
    let Ok(reader) = Reader::open(bytes, &options) else { return };
    // what cannot be read ends the file
    assert!(reader.take(10_000).filter(Result::is_err).count() <= 1);
}

/// JSON Lines.
pub fn import_json_lines(bytes: &[u8]) {
    import(Format::JsonLines, bytes);
}

/// A file of UCI Online Retail.
pub fn import_online_retail(bytes: &[u8]) {
    import(Format::OnlineRetail, bytes);
}

/// A file of Shopify.
pub fn import_shopify(bytes: &[u8]) {
    import(Format::Shopify, bytes);
}

/// A file of WooCommerce.
pub fn import_woocommerce(bytes: &[u8]) {
    import(Format::Woocommerce, bytes);
}

/// A JSON body that is validated against its schema: that of a product.
pub fn product_body(bytes: &[u8]) {
    json::parse::<ProductDraft>(bytes).ok();
}

/// The query of a list, with its filters and its cursor.
pub fn query(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for path in ["/v1/products", "/v1/reviews", "/v1/categories"] {
        let Ok(request) = Request::get(format!("{path}?{text}")).body(Body::empty()) else { return };
        send(request);
    }
}

/// `Range`.
pub fn range(bytes: &[u8]) {
    let Some(parts) = head("range", bytes) else { return };
    let Ok(requested) = extract::<RequestedRange>(parts);
    for size in [0, 1, 1000, u64::MAX] {
        if let Ok(Some(range)) = requested.of(size, "\"a\"") {
            assert!(range.start < range.end && range.end <= size);
        }
    }
}

/// A request to the store: a method and a path, headers, an empty line, and the body.
pub fn request(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = (&bytes[..end], bytes.get(end + 2..).unwrap_or_default());
    let mut lines = head.splitn(2, |byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let Some((method, path)) = first.split_once(' ') else { return };
    let Ok(method) = method.parse::<Method>() else { return };
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_vec()));
    let Ok(mut request) = request else { return };
    *request.headers_mut() = headers(lines.next().unwrap_or_default());
    send(request);
}

/// Values of settings: variables of the environment, one a line.
pub fn setting_values(bytes: &[u8]) {
    let pairs = bytes.split(|byte| *byte == b'\n').take(8).filter_map(|line| {
        let equals = line.iter().position(|byte| *byte == b'=')?;
        let name = [b"UNDERCROFT_", &line[..equals]].concat();
        Some((OsString::from_vec(name), OsString::from_vec(line[equals + 1..].to_vec())))
    });
    settings::load(None, pairs, &[]).ok();
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(quota) = text.parse::<Quota>()
    {
        assert!(quota.limit() > 0 && !quota.window().is_zero());
    }
}

/// The file of the settings.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    toml::from_str::<Settings>(text).ok();
}

/// Words of a search, and slugs.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(words(&text).iter().all(|word| !word.is_empty()));
    let slug = slug(&text);
    assert!(slug.is_empty() || is_slug(&slug), "{slug:?}");
}

/// `traceparent`.
pub fn traceparent(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(context) = text.parse::<TraceContext>() {
        assert_eq!(context.to_string().parse(), Ok(context));
    }
}

/// The URL of a webhook endpoint.
pub fn webhook_url(bytes: &[u8]) {
    let Ok(url) = str::from_utf8(bytes) else { return };
    SHOP.with(|shop| {
        let client = &shop.get_or_init(Shop::open).store.infrastructure.webhooks;
        if client.check(url).is_ok() {
            assert!(url[..8].eq_ignore_ascii_case("https://"), "{url}");
        }
    });
}

/// A store with its router.
struct Shop {
    store: Store,
    router: Router,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

thread_local! {
    static SHOP: OnceCell<Shop> = const { OnceCell::new() };
}

impl Shop {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = format!("sqlite:{}", folder.path().join("store.db").display());
        let flags = [("database", database), ("rate_limits.enabled", "false".to_owned())];
        let settings = settings::of_flags(&flags).expect("settings");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let store = runtime.block_on(open_store(&settings, Setup::IfEmpty)).expect("a store");
        let Api { router, chain } = Api::new(&store, &settings, CancellationToken::new());
        let router = {
            // members of the chain may start tasks
            let _entered = runtime.enter();
            chain.apply(router)
        };
        Self { store, router, runtime, _folder: folder }
    }
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    SHOP.with(|shop| shop.get_or_init(Shop::open).runtime.block_on(future))
}

/// Sends a request to the store, whose response must not be an internal error.
fn send(request: Request<Body>) {
    let router = SHOP.with(|shop| shop.get_or_init(Shop::open).router.clone());
    let what = format!("{} {}", request.method(), request.uri());
    let response: Response<Body> = wait(router.oneshot(request)).expect("no error");
    let (head, body) = response.into_parts();
    let is_problem = head.status.is_client_error() || head.status.is_server_error();
    let body = wait(to_bytes(body, usize::MAX)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_ne!(head.status.as_u16(), 500, "{what}: {}", String::from_utf8_lossy(&body));
    if is_problem && !body.is_empty() {
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("a problem document");
        assert_eq!(problem["status"], head.status.as_u16(), "{what}");
    }
}
