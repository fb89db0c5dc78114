//! The streams of events that a server has open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::UserId;
use crate::infrastructure::exceptions::RejectedRequest;

/// The most streams of a server.
const MOST: usize = 32;
/// The most streams of a user: one does not take the places of all others.
const MOST_OF_USER: usize = 8;

/// The users of the open streams, each as often as the user has one. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenStreams(Arc<Mutex<Vec<UserId>>>);

/// An open stream, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenStream {
    streams: OpenStreams,
    user: UserId,
}

impl OpenStreams {
    /// Opens a stream of a user.
    ///
    /// # Errors
    ///
    /// [`RejectedRequest::TooManyAtOnce`].
    pub(super) fn open(&self, user: UserId) -> Result<OpenStream, RejectedRequest> {
        let mut users = self.users();
        let of_user = users.iter().filter(|one| **one == user).count();
        if users.len() == MOST || of_user == MOST_OF_USER {
            return Err(RejectedRequest::TooManyAtOnce);
        }
        users.push(user);
        Ok(OpenStream { streams: self.clone(), user })
    }

    fn users(&self) -> MutexGuard<'_, Vec<UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut users = self.streams.users();
        if let Some(at) = users.iter().position(|one| *one == self.user) {
            users.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_streams_of_a_server_and_of_a_user_are_bounded() {
        let streams = OpenStreams::default();
        let open = |user, number| {
            let opened = (0..number).map(|_| streams.open(UserId(Uuid::from_u128(user))));
            opened.collect::<Result<Vec<_>, _>>()
        };
        let mut all: Vec<_> = (0..4).map(|user| open(user, MOST_OF_USER).unwrap()).collect();
        assert_eq!(open(4, 1).unwrap_err(), RejectedRequest::TooManyAtOnce, "of the server");
        all.pop();
        assert_eq!(open(0, 1).unwrap_err(), RejectedRequest::TooManyAtOnce, "of the user");
        assert!(open(4, MOST_OF_USER).is_ok());
        drop(all);
        assert!(streams.users().is_empty());
    }
}
