//! Limits of failed log-ins, so that one host cannot guess passwords and no other can lock out the owner of an
//! account.
//!
//! An attempt is counted before the password is checked, and removed again unless the password was wrong: concurrent
//! attempts are all counted. It is counted for the account and the address together, for the address, and, less
//! strictly, for the account. A known device (`known_devices.rs`) has a limit of its own instead, and all of an account
//! have one together, so that failed attempts of strangers, also from the same address, do not keep the owner from
//! logging in. So do the sessions in which a user proves the password once more: that of a stranger does not keep the
//! owner from a new password. An address without an account is counted as one with an account.

use std::net::IpAddr;

use secrecy::SecretString;

use super::known_devices;
use crate::application::Store;
use crate::domain::email::email_key;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::User;
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::middleware::{Partition, Quota, RateLimit};

/// How many log-ins may fail. A limit that is `None` does not limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogInLimits {
    /// For an account from one address or known device, and for a session that proves the password once more.
    pub account_and_address: Option<Quota>,
    /// From one address.
    pub address: Option<Quota>,
    /// For an account, from all addresses together, and for all sessions of a user together.
    pub account: Option<Quota>,
}

/// The client of a request that has a password.
#[derive(Clone, Debug, Default)]
pub struct LogInClient {
    /// The address of the client; `None` if it is not known, and then only the account is counted.
    pub address: Option<IpAddr>,
    /// The token of a known device, which is not verified.
    pub device: Option<String>,
    /// The token of the session that the client has in its cookie, which is not verified.
    pub session: Option<SecretString>,
}

/// An attempt that was counted.
pub(super) struct Attempt<'a> {
    store: &'a Store,
    counted: Vec<(RateLimit, Partition)>,
}

/// Counts an attempt to log in with an e-mail address, which is that of `user` if it has an account. Fails if too many
/// have failed.
pub(super) async fn begin<'a>(
    store: &'a Store,
    email: &str,
    user: Option<&User>,
    client: &LogInClient,
) -> Result<Attempt<'a>, Failure> {
    let LogInLimits { account_and_address, address, account } = store.log_in_limits;
    let email = email_key(email);
    let known = user.and_then(|user| {
        let device = known_devices::verify(store, user, client.device.as_deref()?)?;
        Some((device, Partition::User(user.id.0)))
    });
    // a network of IPv6 is one address, also together with the account
    let from = client.address.map(network);
    let wanted = match (known, from) {
        (Some((device, user)), _) => [
            Some(("failed_log_ins_device", account_and_address, Partition::digest(&[&device]))),
            Some(("failed_log_ins_devices", account, user)),
            None,
        ],
        (None, from) => [
            from.map(|from| {
                let both = Partition::digest(&[email.as_bytes(), from.to_string().as_bytes()]);
                ("failed_log_ins", account_and_address, both)
            }),
            from.map(|from| ("failed_log_ins_address", address, Partition::Address(from))),
            Some(("failed_log_ins_account", account, Partition::digest(&[email.as_bytes()]))),
        ],
    };

    count(store, wanted).await
}

/// Counts an attempt of a user who has logged in to prove the password: for the session, or for what has none together,
/// and, less strictly, for the user. Fails if too many have failed.
pub(super) async fn begin_in_session(
    store: &Store,
    (user_id, session_id): (UserId, Option<SessionId>),
) -> Result<Attempt<'_>, Failure> {
    let LogInLimits { account_and_address, account, .. } = store.log_in_limits;
    let user = Partition::User(user_id.0);
    let session = session_id.map_or(user, |id| Partition::digest(&[id.0.as_bytes()]));
    let wanted = [
        Some(("failed_log_ins_session", account_and_address, session)),
        Some(("failed_log_ins_sessions", account, user)),
    ];
    count(store, wanted).await
}

/// Counts an attempt for each of these limits, or for none if one is exceeded.
async fn count<'a, const N: usize>(
    store: &'a Store,
    wanted: [Option<(&'static str, Option<Quota>, Partition)>; N],
) -> Result<Attempt<'a>, Failure> {
    let mut attempt = Attempt { store, counted: Vec::new() };
    for (name, quota, partition) in wanted.into_iter().flatten() {
        let Some(quota) = quota else { continue };
        let limit = RateLimit { name, quota };
        let decision = store.infrastructure.limiter.count(limit, partition).await;
        if let Err(rejected) = decision.check(quota) {
            attempt.take_back().await;
            return Err(rejected.into());
        }
        attempt.counted.push((limit, partition));
    }
    Ok(attempt)
}

impl Attempt<'_> {
    /// Returns whether the password is right, as `check` finds. Only a wrong one remains counted.
    pub(super) async fn outcome(
        self,
        check: impl Future<Output = Result<bool, Failure>>,
    ) -> Result<bool, Failure> {
        let is_right = check.await;
        if !matches!(is_right, Ok(false)) {
            self.take_back().await;
        }
        is_right
    }

    async fn take_back(self) {
        for (limit, partition) in self.counted {
            self.store.infrastructure.limiter.uncount(limit, partition).await;
        }
    }
}

/// Returns the address that stands for all of one client: for its network (/64), if it is one of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match Partition::Address(address).canonical() {
        Partition::Address(network) => network,
        Partition::User(_) | Partition::ApiKeysOf(_) | Partition::Digest(_) => address,
    }
}
