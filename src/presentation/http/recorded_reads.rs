//! Records in the audit log what administrators read of people.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{StatusCode, Uri};

use super::refusals::{Attempt, Noted};
use crate::application::audit;
use crate::infrastructure::middleware::Partition;
use crate::infrastructure::repositories::spawn_in_trace;

/// Surrounds a route by which administrators read the data of people: a request that succeeds is recorded before its
/// response is sent. The same read of an administrator is recorded once in some minutes, so that a page that is loaded
/// again and again does not fill the database.
pub(super) async fn record(request: Request, next: Next) -> Response {
    let attempt = request.extensions().get::<Attempt>().cloned();
    let read = what_is_read(request.uri());
    let response = next.run(request).await;

    let status = response.status();
    let has_succeeded = status.is_success() || status == StatusCode::NOT_MODIFIED;
    if has_succeeded
        && let Some(Noted { app, sender }) = attempt.as_ref().and_then(Attempt::noted)
        && let Some(user) = sender.user
    {
        let read = Partition::digest(&[user.user_id.0.as_bytes(), read.as_bytes()]);
        let actor = Arc::new(sender.actor());
        // in a task of its own: a client that disconnects prevents no entry
        let task = spawn_in_trace(async move { audit::record_read(&app.store.acting(actor), read).await });
        let _ = task.await;
    }
    response
}

/// Returns the path and the filters of a request. The pages of a list are one read.
fn what_is_read(uri: &Uri) -> String {
    let mut read = uri.path().to_owned();
    for part in uri.query().unwrap_or_default().split('&') {
        let is_of_page = part.starts_with("cursor=") || part.starts_with("limit=");
        if !part.is_empty() && !is_of_page {
            read.push('&');
            read.push_str(part);
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_one_read_and_filters_are_several() {
        let read = |uri: &'static str| what_is_read(&Uri::from_static(uri));
        let all = read("/admin/v1/users?role=admin");
        assert_eq!(read("/admin/v1/users?role=admin&limit=5&cursor=x"), all);
        assert_eq!(read("/admin/v1/users?limit=5"), read("/admin/v1/users"));
        for other in
            ["/admin/v1/users?role=customer", "/admin/v1/users?role=admin&%6cimit=5", "/admin/v1/orders"]
        {
            assert_ne!(read(other), all, "{other}");
        }
    }
}
