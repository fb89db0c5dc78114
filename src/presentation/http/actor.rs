//! The actor of a request, whom its transactions record in the audit log. The layer around a request, its route and
//! the extractor of its principal each add what they know as an extension of the request.

use std::sync::{Arc, OnceLock};

use http::Extensions;
use http::request::Parts;
use ipnet::IpNet;
use uuid::Uuid;

use crate::domain::audit::{Actor, ActorKind, Administration};
use crate::domain::ids::{SessionId, UserId};

/// The id of a request, and the network that it comes from, if logs may show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestOrigin {
    pub(super) request_id: Uuid,
    pub(super) network: Option<IpNet>,
}

/// The id of the operation of an administrator's route.
#[derive(Debug, Clone)]
pub(super) struct AdministrationId(pub(super) Arc<str>);

/// The user of a request, whom the extractors of principals find.
#[derive(Clone, Default)]
pub(super) struct RequestUser(Arc<OnceLock<ActingUser>>);

/// A user with the session.
#[derive(Debug, Clone, Copy)]
pub(super) struct ActingUser {
    pub(super) user_id: UserId,
    pub(super) session_id: SessionId,
}

impl RequestUser {
    /// Sets the user of a request.
    pub(super) fn set(extensions: &Extensions, found: ActingUser) {
        if let Some(Self(user)) = extensions.get() {
            // a second extractor finds the same user
            let _ = user.set(found);
        }
    }

    /// Returns the user, if one was found.
    pub(super) fn get(&self) -> Option<ActingUser> {
        self.0.get().copied()
    }
}

/// Returns the actor of a request; `None` if its method only reads.
pub(super) fn actor_of(parts: &Parts) -> Option<Actor> {
    if parts.method.is_safe() {
        return None;
    }
    let user = parts.extensions.get().and_then(RequestUser::get);
    let origin = parts.extensions.get::<RequestOrigin>();
    let action = parts.extensions.get::<AdministrationId>();
    Some(Actor {
        user_id: user.map(|user| user.user_id),
        session_id: user.map(|user| user.session_id),
        request_id: origin.map(|origin| origin.request_id),
        network: origin.and_then(|origin| origin.network).map(|network| network.to_string()),
        administration: action.map(|AdministrationId(action)| Administration {
            action: Arc::clone(action),
            subject_id: parts.uri.path().split('/').find_map(|segment| segment.parse().ok()),
        }),
        ..Actor::new(if user.is_some() { ActorKind::User } else { ActorKind::Guest })
    })
}
