//! The actor of a request, whom its transactions record in the audit log. The layer around a request, its route and
//! the extractor of its principal each add what they know as an extension of the request.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;
use uuid::Uuid;

use crate::domain::audit::{Actor, ActorKind, Administration};
use crate::infrastructure::middleware::{ActingUser, Client, RequestId, RequestUser, network};
use crate::settings::LoggedAddress;

/// The id of the operation of an administrator's route.
#[derive(Debug, Clone)]
pub(super) struct AdministrationId(pub(super) Arc<str>);

/// What is known of who sends a request and what for: the actor is made of it once something is recorded.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    /// The user, if it is known.
    pub(super) user: Option<ActingUser>,
    /// The address of the client, if logs may show its network.
    address: Option<IpAddr>,
    request_id: Option<Uuid>,
    administration: Option<Administration>,
}

impl Sender {
    /// Returns what the parts of a request say of its sender.
    pub(super) fn of(parts: &Parts, shown: LoggedAddress) -> Self {
        let action = parts.extensions.get::<AdministrationId>();
        Self {
            user: parts.extensions.get().and_then(RequestUser::get),
            administration: action.map(|AdministrationId(action)| Administration {
                action: Arc::clone(action),
                subject_id: subject_of(&parts.uri),
            }),
            ..Self::unknown(parts, shown)
        }
    }

    /// Returns what is known of a sender before the user is.
    fn unknown(parts: &Parts, shown: LoggedAddress) -> Self {
        let client = parts.extensions.get::<Client>().filter(|_| shown.is_shown());
        Self {
            user: None,
            address: client.map(|client| client.address),
            request_id: parts.extensions.get().map(|RequestId(id)| *id),
            administration: None,
        }
    }

    /// Returns the actor.
    pub(super) fn actor(self) -> Actor {
        let user = self.user;
        Actor {
            kind: if user.is_some() { ActorKind::User } else { ActorKind::Guest },
            user_id: user.map(|user| user.user_id),
            session_id: user.and_then(|user| user.session_id),
            api_key_id: user.and_then(|user| user.api_key_id),
            request_id: self.request_id,
            network: self.address.map(|address| network(address, LoggedAddress::NETWORK).to_string()),
            administration: self.administration,
        }
    }

    /// Returns the actor of a request that was refused: the action is that of the route with `.refused`.
    pub(super) fn refused_actor(self) -> Actor {
        let mut actor = self.actor();
        if let Some(Administration { action, .. }) = &mut actor.administration {
            *action = format!("{action}.refused").into();
        }
        actor
    }
}

/// Returns the id that a request names: that in its path, or of the user by whom it filters a list.
/// Both are decoded, as for the handler: who encodes the id, or the name of the filter, does not hide it.
fn subject_of(uri: &Uri) -> Option<Uuid> {
    let id = |segment: &str| -> Option<Uuid> { percent_decode_str(segment).decode_utf8().ok()?.parse().ok() };
    let in_path = uri.path().split('/').find_map(id);
    let mut filters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    in_path.or_else(|| filters.find_map(|(name, id)| if name == "user_id" { id.parse().ok() } else { None }))
}

/// Returns the actor of a request, with the network that it comes from if logs may show it; `None` if its method only
/// reads.
pub(super) fn actor_of(parts: &Parts, shown: LoggedAddress) -> Option<Actor> {
    (!parts.method.is_safe()).then(|| any_actor_of(parts, shown))
}

/// Returns the actor of a request, also of one whose method only reads.
pub(super) fn any_actor_of(parts: &Parts, shown: LoggedAddress) -> Actor {
    Sender::of(parts, shown).actor()
}

/// Returns the actor of a request while its user is not known, with the network that it comes from if logs may show it:
/// what is written then is no administrative action, and also caused by a method that only reads.
pub(super) fn guest_of(parts: &Parts, shown: LoggedAddress) -> Actor {
    Sender::unknown(parts, shown).actor()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_id_is_the_subject_too() {
        let id = "0190a1b2-0000-7000-8000-000000000001";
        let encoded = id.replacen('0', "%30", 1);
        let expected: Option<Uuid> = id.parse().ok();
        let of = |uri: String| subject_of(&uri.parse().unwrap());
        for text in [id, encoded.as_str()] {
            for uri in [
                format!("/admin/v1/users/{text}"),
                format!("/admin/v1/orders/{text}/invoice?user_id=x"),
                format!("/admin/v1/orders?status=paid&user_id={text}"),
                format!("/admin/v1/orders?user%5Fid={text}"),
            ] {
                assert_eq!(of(uri.clone()), expected, "{uri}");
            }
        }
        assert_eq!(of("/admin/v1/users?email=ann".to_owned()), None);
        assert_eq!(of(format!("/admin/v1/orders?cursor={id}")), None);
    }
}
