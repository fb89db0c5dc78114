//! Verifies the credential of a request again if its body took long to arrive.
//!
//! The credential is verified before the body is read, so that nothing is read for strangers, and a client may send the
//! body for half a minute. A session or key that ends meanwhile, such as by a new password, has no effect after that.

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

use super::state::AppState;
use crate::application::people::authentication;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{AdminFacts, AdminGuard, AuthenticationGuard, Guard, Principal};
use crate::infrastructure::middleware::RequiredPermission;

/// How long the body may take without a further verification.
const PROMPT: Duration = Duration::from_millis(100);

/// The principal that the credential of a request proved.
#[derive(Clone)]
pub(super) struct VerifiedAt {
    app: AppState,
    principal: Arc<Principal>,
    at: Instant,
}

impl VerifiedAt {
    /// Returns a principal that was verified now.
    pub(super) fn now(app: &AppState, principal: &Arc<Principal>) -> Self {
        Self { app: app.clone(), principal: Arc::clone(principal), at: Instant::now() }
    }
}

/// A verification that may be repeated, and the permission that the route requires.
pub(super) struct Verification(Option<(VerifiedAt, Option<RequiredPermission>)>);

impl Verification {
    /// Returns that of the request with these extensions.
    pub(super) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<VerifiedAt>().map(|verified| (verified.clone(), extensions.get().copied())))
    }

    /// Verifies the credential again if the first time is long ago.
    ///
    /// # Errors
    ///
    /// Those of [`AuthenticationGuard`] and, if the route requires a permission, of [`AdminGuard`].
    pub(super) async fn repeat(self) -> Result<(), Failure> {
        let Some((VerifiedAt { app, principal, at }, required)) = self.0 else { return Ok(()) };
        if at.elapsed() <= PROMPT {
            return Ok(());
        }
        let credentials = authentication::reload(&app.store, &principal).await?;
        match required {
            Some(RequiredPermission(required)) => {
                AdminGuard::check(AdminFacts { credentials, required }).map(drop)
            }
            None => AuthenticationGuard::check(credentials).map(drop),
        }
    }
}
