//! By whom users are authenticated beside the store.

use serde::Deserialize;

use super::readers::{issuer, parsed_list};
use crate::infrastructure::middleware::jwt::Algorithm;

/// `[authentication]`: the identity provider whose tokens are accepted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthenticationSettings {
    /// The URL of the issuer, exactly as its tokens name it; `None` if there is none.
    #[serde(deserialize_with = "issuer")]
    pub issuer: Option<String>,
    /// The audience that tokens must have.
    pub audience: String,
    /// The algorithms by which tokens may be signed.
    #[serde(deserialize_with = "parsed_list")]
    pub algorithms: Vec<Algorithm>,
    /// Whether an account is created for a subject with a verified e-mail address.
    pub create_users: bool,
    /// Whether a subject with a verified e-mail address becomes the customer with the same verified address.
    pub link_by_email: bool,
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: String::new(),
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
            create_users: false,
            link_by_email: false,
        }
    }
}
