//! The limit of the size of bodies.

use crate::settings::HttpSettings;

/// The greatest size of a body in bytes: an extension of the request, added by the server.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

impl BodyLimit {
    /// Returns the limit of the settings.
    pub(super) fn of(settings: &HttpSettings) -> Self {
        Self(settings.body_limit_bytes.get() as usize)
    }
}

impl Default for BodyLimit {
    /// The default of the settings.
    fn default() -> Self {
        Self::of(&HttpSettings::default())
    }
}
