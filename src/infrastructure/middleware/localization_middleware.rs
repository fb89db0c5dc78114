//! The language of each request, and of the texts for people in its response.
//!
//! The languages that a client accepts are read once, and are an extension of the request. A problem document gets its
//! texts in the best of them that has any, also one that was stored with an idempotency key. A response that depends
//! on the languages says so in `Vary`, and says its own in `Content-Language` (RFC 9110 section 8.5).

use std::collections::BTreeMap;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, VARY};

use super::languages::{ENGLISH, Languages, ResponseLanguages};
use super::surround::{Middleware, Next};
use crate::infrastructure::exceptions::{Messages, PROBLEM_JSON, PROBLEM_LANGUAGES, translated};

/// The largest problem document that is translated, in bytes.
const MOST_TRANSLATED: usize = 256 << 10;

/// Negotiates the language of each request, and translates problem documents.
#[derive(Clone, Debug)]
pub struct LocalizationMiddleware {
    /// The languages of problem documents beside English, by BCP 47 tag, of those that have texts.
    pub languages: Vec<&'static str>,
    /// Texts of the service, for exceptions of its own, by the same tags and `en`. A code that has none here has those
    /// of the library.
    pub texts: BTreeMap<&'static str, Messages>,
}

impl Default for LocalizationMiddleware {
    /// All languages of the library, without texts of the service.
    fn default() -> Self {
        Self { languages: PROBLEM_LANGUAGES.to_vec(), texts: BTreeMap::new() }
    }
}

impl Middleware for LocalizationMiddleware {
    async fn respond(&self, request: &mut Request, next: impl Next) -> Response {
        let languages = Languages::of(request.headers());
        if let Some(languages) = &languages {
            request.extensions_mut().insert(languages.clone());
        }
        let mut response = next.run(request).await;

        if response.headers().get(CONTENT_TYPE).is_some_and(|value| value == PROBLEM_JSON) {
            let is_small =
                response.body().size_hint().exact().is_some_and(|size| size <= MOST_TRANSLATED as u64);
            let best = languages.filter(|_| is_small);
            let best = best.and_then(|languages| languages.best(&self.languages.iter().copied(), ENGLISH));
            let (mut response, language) = match best {
                None if !is_small || self.texts.is_empty() => (response, ENGLISH),
                best => self.in_language(response, best.unwrap_or(ENGLISH)).await,
            };
            if let Ok(language) = HeaderValue::try_from(language) {
                describe(&mut response, language);
            }
            return response;
        }
        if let Some(ResponseLanguages(languages)) = response.extensions_mut().remove() {
            describe(&mut response, languages);
        }
        response
    }
}

impl LocalizationMiddleware {
    /// Returns a problem document with its texts in a language, in English if there are none in it; and its language.
    async fn in_language(&self, response: Response, language: &'static str) -> (Response, &'static str) {
        let (mut head, body) = response.into_parts();
        // a problem document is in memory, and small
        let document = to_bytes(body, MOST_TRANSLATED).await.unwrap_or_default();
        head.headers.remove(CONTENT_LENGTH);
        let translated = self.translated(&document, language).map(|translated| (translated, language));
        let translated = translated.or_else(|| Some((self.translated(&document, ENGLISH)?, ENGLISH)));
        let (body, language) = match translated {
            Some((translated, language)) => (Body::from(translated), language),
            None => (Body::from(document), ENGLISH),
        };
        (Response::from_parts(head, body), language)
    }

    /// Returns a problem document with its texts in a language, those of the service first.
    pub(super) fn translated(&self, document: &[u8], language: &str) -> Option<Vec<u8>> {
        let own = self.texts.get(language).and_then(|texts| texts.translate(document));
        own.or_else(|| translated(document, language))
    }
}

/// Adds the languages of a response that depends on those of the client.
fn describe(response: &mut Response, languages: HeaderValue) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept-language"));
    headers.insert(CONTENT_LANGUAGE, languages);
}
