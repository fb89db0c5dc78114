//! The checks of servers of others that the settings name, and that are used without the database.

use super::super::counted;
use super::Finding;
use crate::infrastructure::adapters::KeySetClient;
use crate::infrastructure::exceptions::with_causes;
use crate::infrastructure::middleware::jwt::KeySet;
use crate::settings::Settings;

/// Checks whether the keys of the issuer are published. Without one there is no finding.
pub(super) async fn issuer(settings: &Settings) -> Option<Finding> {
    let authentication = &settings.authentication;
    let issuer = authentication.issuer.as_deref()?;
    let advice = "correct `authentication.issuer` in the settings, or repair the issuer; until then its tokens are refused";
    let body = match KeySetClient::default().fetch(issuer).await {
        Ok(body) => body,
        Err(error) => {
            return Some(Finding::problem("issuer", format!("{issuer}: {}", with_causes(&error)), advice));
        }
    };
    let keys = match KeySet::parse(&body) {
        Ok(keys) => keys.count_for(&authentication.algorithms),
        Err(error) => {
            return Some(Finding::problem("issuer", format!("{issuer}: its keys are {error}"), advice));
        }
    };
    let found = format!("{issuer} has {}", counted(keys as u64, "key", "keys"));
    Some(if keys == 0 {
        let advice = "set `authentication.algorithms` to those by which the issuer signs; until then its tokens are refused";
        Finding::problem("issuer", format!("{found} for the algorithms of the settings"), advice)
    } else {
        Finding::ok("issuer", found)
    })
}
