//! The actor of a request, whom its transactions record in the audit log. The layer around a request, its route and
//! the extractor of its principal each add what they know as an extension of the request.

use std::sync::Arc;

use http::request::Parts;

use crate::domain::audit::{Actor, ActorKind, Administration};
use crate::infrastructure::middleware::{Client, RequestId, RequestUser, network};
use crate::settings::LoggedAddress;

/// The id of the operation of an administrator's route.
#[derive(Debug, Clone)]
pub(super) struct AdministrationId(pub(super) Arc<str>);

/// Returns the actor of a request, with the network that it comes from if logs may show it; `None` if its method only
/// reads.
pub(super) fn actor_of(parts: &Parts, shown: LoggedAddress) -> Option<Actor> {
    (!parts.method.is_safe()).then(|| any_actor_of(parts, shown))
}

/// Returns the actor of a request, also of one whose method only reads.
pub(super) fn any_actor_of(parts: &Parts, shown: LoggedAddress) -> Actor {
    let user = parts.extensions.get().and_then(RequestUser::get);
    let action = parts.extensions.get::<AdministrationId>();
    Actor {
        kind: if user.is_some() { ActorKind::User } else { ActorKind::Guest },
        user_id: user.map(|user| user.user_id),
        session_id: user.and_then(|user| user.session_id),
        api_key_id: user.and_then(|user| user.api_key_id),
        administration: action.map(|AdministrationId(action)| Administration {
            action: Arc::clone(action),
            subject_id: parts.uri.path().split('/').find_map(|segment| segment.parse().ok()),
        }),
        ..guest_of(parts, shown)
    }
}

/// Returns the actor of a request that is refused: its action is that of the route with `.refused`.
pub(super) fn refused_actor_of(parts: &Parts, shown: LoggedAddress) -> Actor {
    let mut actor = any_actor_of(parts, shown);
    if let Some(Administration { action, .. }) = &mut actor.administration {
        *action = format!("{action}.refused").into();
    }
    actor
}

/// Returns the actor of a request while its user is not known, with the network that it comes from if logs may show it:
/// what is written then is no administrative action, and also caused by a method that only reads.
pub(super) fn guest_of(parts: &Parts, shown: LoggedAddress) -> Actor {
    let client = parts.extensions.get::<Client>().filter(|_| shown.is_shown());
    Actor {
        request_id: parts.extensions.get().map(|RequestId(id)| *id),
        network: client.map(|client| network(client.address, LoggedAddress::NETWORK).to_string()),
        ..Actor::new(ActorKind::Guest)
    }
}
