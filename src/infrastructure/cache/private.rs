//! A value that does not leave the memory of the process.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::shared_tier::Shape;

/// A value of one person, or one that others may not guess: it is not kept in Redis, whose entries are signed and not
/// encrypted. Clones share it.
pub struct Private<T>(Arc<T>);

impl<T> Private<T> {
    /// Returns a private value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Private<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Private<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Without the value.
impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Private").finish_non_exhaustive()
    }
}

/// It has no shape outside the process.
impl<T: PartialEq> Shape for Private<T> {
    const IS_SHARED: bool = false;

    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &[u8]) -> Option<Self> {
        None
    }

    fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
