//! The texts of problem documents in the language of the client, also those of a service's own exceptions.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, StatusCode};
use serde_json::{Map, Value, json};
use undercroft::infrastructure::exceptions::{Exception, Failure, Kind, Messages};
use undercroft::infrastructure::middleware::{Chain, LocalizationMiddleware};

use super::{send, text};

/// An exception of the service.
#[derive(Debug, thiserror::Error)]
#[error("table {0} is taken")]
struct TableTakenException(u32);

impl Exception for TableTakenException {
    fn code(&self) -> &'static str {
        "table_taken"
    }

    fn kind(&self) -> Kind {
        Kind::Refused
    }

    fn status(&self) -> StatusCode {
        StatusCode::CONFLICT
    }

    fn details(&self) -> Map<String, Value> {
        [("table".to_owned(), json!(self.0))].into_iter().collect()
    }
}

/// Returns language, title and detail of the problem document at a path, in a service with these texts.
async fn problem(texts: Value, path: &str, languages: &str) -> (String, Value, Value) {
    let texts: BTreeMap<String, Value> = serde_json::from_value(texts).unwrap();
    let texts_of = |language: &'static str| {
        let texts = texts.get(language)?.clone();
        Some((language, serde_json::from_value::<Messages>(texts).unwrap()))
    };
    let texts = ["en", "de", "fr"].into_iter().filter_map(texts_of).collect();
    let localization = LocalizationMiddleware { languages: vec!["de", "fr"], texts };
    let reserve = async || Err::<&'static str, Failure>(TableTakenException(7).into());
    let routes = Router::new().route("/reserve", get(reserve));
    let router = Chain { localization, ..Chain::default() }.apply(routes);
    let request = Request::get(path).header("accept-language", languages).body(Body::empty()).unwrap();
    let response = send(&router, request).await;
    let language = text(response.headers(), "content-language").to_owned();
    let body = to_bytes(response.into_body(), 10_000).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    (language, problem["title"].clone(), problem["detail"].clone())
}

#[tokio::test]
async fn an_exception_of_the_service_has_its_texts_in_the_language_of_the_client() {
    let texts = json!({
        "en": {"table_taken": {"title": "Table taken", "detail": "Table {table} is taken."}},
        "fr": {"table_taken": {"title": "Table prise", "detail": "La table {table} est prise."}},
    });
    let french = ("fr".to_owned(), json!("Table prise"), json!("La table 7 est prise."));
    let english = ("en".to_owned(), json!("Table taken"), json!("Table 7 is taken."));
    assert_eq!(problem(texts.clone(), "/reserve", "fr-CH, de").await, french);
    for other in ["en", "it", "de"] {
        assert_eq!(problem(texts.clone(), "/reserve", other).await, english, "{other}");
    }
    // those of the library are as they were
    assert_eq!(problem(texts.clone(), "/none", "de").await, problem(json!({}), "/none", "de").await);
    let (language, ..) = problem(texts, "/none", "fr").await;
    assert_eq!(language, "en", "it has no French texts");
}

#[tokio::test]
async fn an_exception_without_texts_has_the_phrase_of_its_status() {
    let expected = ("en".to_owned(), json!("Conflict"), Value::Null);
    assert_eq!(problem(json!({}), "/reserve", "de").await, expected);
}
