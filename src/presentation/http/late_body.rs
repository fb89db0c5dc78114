//! Verifies the credential of a request again if its body took long to arrive.
//!
//! The credential is verified before the body is read, so that nothing is read for strangers, and a client may send the
//! body for half a minute, and a large one for longer. A session or key that ends meanwhile, such as by a new password,
//! has no effect after that.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tokio::time::Instant;

use super::state::AppState;
use crate::application::people::authentication;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{AdminFacts, AdminGuard, AuthenticationGuard, Guard, Principal};
use crate::infrastructure::middleware::RequiredPermission;

/// How long the body may take without a further verification.
const PROMPT: Duration = Duration::from_millis(100);

/// The verification of the credential of a request whose body may be late.
#[derive(Clone)]
pub(super) struct Verification {
    app: AppState,
    principal: Arc<Principal>,
    /// The permission that the route requires.
    required: Option<RequiredPermission>,
    at: Instant,
}

impl Verification {
    /// Notes in a request that its credential proved this principal now.
    pub(super) fn note(parts: &mut Parts, app: &AppState, principal: &Arc<Principal>) {
        if parts.method.is_safe() {
            return;
        }
        let required = parts.extensions.get().copied();
        let (app, principal, at) = (app.clone(), Arc::clone(principal), Instant::now());
        parts.extensions.insert(Self { app, principal, required, at });
    }

    /// Verifies the credential again if the first time is long ago.
    ///
    /// # Errors
    ///
    /// Those of [`AuthenticationGuard`] and, if the route requires a permission, of [`AdminGuard`].
    pub(super) async fn repeat(self) -> Result<(), Failure> {
        if self.at.elapsed() <= PROMPT {
            return Ok(());
        }
        let credentials = authentication::reload(&self.app.store, &self.principal).await?;
        match self.required {
            Some(RequiredPermission(required)) => {
                AdminGuard::check(AdminFacts { credentials, required }).map(drop)
            }
            None => AuthenticationGuard::check(credentials).map(drop),
        }
    }
}
