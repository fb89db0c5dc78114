//! By whom users are authenticated beside the store.

use serde::Deserialize;

use super::readers::{issuer, names, parsed_list};
use crate::infrastructure::middleware::jwt::Algorithm;

/// `[authentication]`: the identity provider whose tokens are accepted, and the services for which the store issues
/// tokens.
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
    /// The audiences of access tokens for other services.
    #[serde(deserialize_with = "names")]
    pub access_token_audiences: Vec<String>,
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: String::new(),
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
            create_users: false,
            link_by_email: false,
            access_token_audiences: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::of_flags;

    #[test]
    fn no_audience_is_empty() {
        let read = |audiences: &str| {
            let settings = of_flags(&[("authentication.access_token_audiences", audiences.to_owned())]);
            settings.map(|settings| settings.authentication.access_token_audiences)
        };
        assert_eq!(read(r#"["a", "b"]"#).unwrap(), ["a", "b"]);
        let error = read(r#"["a", ""]"#).unwrap_err().to_string();
        assert!(error.contains("access_token_audiences: the list has an empty text"), "{error}");
    }
}
