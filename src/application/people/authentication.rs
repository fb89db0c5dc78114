//! Authentication: who sends a request, by the text of its credential.

use std::sync::Arc;

use crate::application::Store;
use crate::domain::api_key::{API_KEY_PREFIX, ApiKeyText};
use crate::domain::user::{Session, token_hash};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{Credentials, Means, Principal};

use crate::infrastructure::middleware::jwt::{InvalidToken, stated_issuer};
use crate::infrastructure::repositories::StaffRoleRepository;

use super::{access_tokens, api_keys, identities, sessions};

/// Returns the credentials of a text: an API key, an access token, or the token of a session.
pub async fn credentials(store: &Store, text: &str) -> Result<Credentials, Failure> {
    // the token of a session has no dot
    let found = if text.starts_with(API_KEY_PREFIX) {
        by_api_key(store, text).await?
    } else if text.contains('.') {
        by_signed_token(store, text).await?
    } else {
        by_session(store, &token_hash(text)).await?
    };
    Ok(valid(store, found))
}

/// Returns whether a text may be a token of the identity provider, whose subject its verification may make a user.
pub fn may_link(store: &Store, text: &str) -> bool {
    store.infrastructure.issuer.is_some() && text.contains('.')
}

/// Returns the credentials of the token of a session, which a cookie has: it has no API key and no other token.
pub async fn session_credentials(store: &Store, text: &str) -> Result<Credentials, Failure> {
    Ok(valid(store, by_session(store, &token_hash(text)).await?))
}

/// Returns the session to which a text belongs, its token or an access token of it; `None` for any other text, and if
/// the session has ended.
pub(super) async fn session(store: &Store, text: &str) -> Result<Option<Session>, Failure> {
    let found = if text.contains('.') {
        access_tokens::by_text(store, text).await?
    } else {
        by_session(store, &token_hash(text)).await?
    };
    let Some(principal) = found else { return Ok(None) };
    match principal.means {
        Means::Session(session) => Ok(Some(session)),
        Means::AccessToken { session_id } => {
            let found = sessions::by_id(store, principal.user.id, session_id).await?;
            Ok(found.map(|(session, _)| session))
        }
        Means::ApiKey(_) | Means::IssuerToken(_) => Ok(None),
    }
}

/// Ends the session to which a text belongs, its token or an access token of it. Does nothing for any other text, and
/// if the session has ended.
pub async fn log_out(store: &Store, text: &str) -> Result<(), Failure> {
    if !text.contains('.') {
        return sessions::end_by_token(store, text).await;
    }
    match session(store, text).await? {
        Some(session) => sessions::end_by_token_hash(store, session.token_hash).await,
        None => Ok(()),
    }
}

/// Returns the credentials by which a principal authenticated, as they are now.
pub async fn reload(store: &Store, principal: &Principal) -> Result<Credentials, Failure> {
    let found = match &principal.means {
        Means::Session(session) => by_session(store, &session.token_hash).await?,
        Means::ApiKey(api_key) => by_key_hash(store, &api_key.key_hash).await?,
        Means::IssuerToken(token) => {
            let found = identities::by_token(store, token).await?;
            found.filter(|found| found.user.id == principal.user.id)
        }
        Means::AccessToken { session_id } => {
            access_tokens::by_session(store, principal.user.id, *session_id).await?
        }
    };
    Ok(valid(store, found))
}

/// Returns the credentials of the principal that was found, if any.
fn valid(store: &Store, found: Option<Principal>) -> Credentials {
    let are_required = store.terms.accounts.administrators_use_one_time_passwords;
    found.map_or(Credentials::Invalid, |principal| {
        Credentials::Valid(Arc::new(principal.with_one_time_passwords(are_required)))
    })
}

/// Returns the user of a token of the store, or of the issuer that it states if the store trusts that.
async fn by_signed_token(store: &Store, text: &str) -> Result<Option<Principal>, Failure> {
    let Some(issuer) = store.infrastructure.issuer.as_ref() else {
        return access_tokens::by_text(store, text).await;
    };
    match stated_issuer(text) {
        Some(stated) if stated == issuer.name() => identities::by_text(store, issuer, text).await,
        Some(stated) if stated != store.terms.issuer => {
            identities::log_refusal(&InvalidToken::Issuer);
            Ok(None)
        }
        _ => access_tokens::by_text(store, text).await,
    }
}

async fn by_api_key(store: &Store, text: &str) -> Result<Option<Principal>, Failure> {
    match ApiKeyText::parse(text) {
        Some(text) => by_key_hash(store, &text.hash()).await,
        None => Ok(None),
    }
}

async fn by_key_hash(store: &Store, key_hash: &[u8]) -> Result<Option<Principal>, Failure> {
    let Some((user, api_key)) = api_keys::by_hash(store, key_hash).await? else { return Ok(None) };
    let mut connection = store.database().read().await?;
    let permissions = StaffRoleRepository(&mut connection).permissions_of(&user.0).await?;
    Ok(Some(Principal::new(user, Means::ApiKey(api_key), permissions)))
}

async fn by_session(store: &Store, token_hash: &[u8]) -> Result<Option<Principal>, Failure> {
    sessions::by_token_hash(store, token_hash).await
}
