//! The limit of the size of bodies.

/// The greatest size of a body in bytes: an extension of the request, added by the server.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(64 << 10)
    }
}
