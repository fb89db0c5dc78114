//! What is known of a request while it is handled: extensions of the request, and what is known of its route.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::extract::{MatchedPath, Request};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;

use crate::domain::ids::{ApiKeyId, SessionId, UserId};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of routes, by their paths of the router and their methods.
pub type ByRoute<T> = HashMap<String, Vec<(Method, T)>>;

/// Returns what is known of the route of a request.
pub(super) fn of_route<T: Copy>(known: &ByRoute<T>, request: &Request) -> Option<T> {
    let path = request.extensions().get::<MatchedPath>()?;
    // a handler of GET responds to HEAD, too
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let mut of_path = known.get(path.as_str()).into_iter().flatten();
    of_path.find(|(of, _)| of == method).map(|(_, found)| *found)
}

/// The id of a request, which its response has as `x-request-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

impl RequestId {
    /// Adds the header to the response.
    pub(super) fn describe(self, headers: &mut HeaderMap) {
        let mut text = Uuid::encode_buffer();
        // an id is always valid in a header
        if let Ok(value) = HeaderValue::from_str(self.0.hyphenated().encode_lower(&mut text)) {
            headers.insert(REQUEST_ID, value);
        }
    }
}

/// The user of a request, whom the extractors of principals find.
#[derive(Clone, Debug, Default)]
pub struct RequestUser(Arc<OnceLock<ActingUser>>);

/// A user with the session or API key.
#[derive(Clone, Copy, Debug)]
pub struct ActingUser {
    /// The user.
    pub user_id: UserId,
    /// The session, if the user authenticated by one or by a token for which one was exchanged.
    pub session_id: Option<SessionId>,
    /// The API key, if the user authenticated by one.
    pub api_key_id: Option<ApiKeyId>,
}

impl RequestUser {
    /// Sets the user of a request.
    pub fn set(extensions: &Extensions, found: ActingUser) {
        if let Some(Self(user)) = extensions.get() {
            // a second extractor finds the same user
            let _ = user.set(found);
        }
    }

    /// Returns the user, if one was found.
    pub fn get(&self) -> Option<ActingUser> {
        self.0.get().copied()
    }
}
