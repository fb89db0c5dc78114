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
    /// The clients of the issuer whose tokens are accepted; those of any if it is empty.
    #[serde(deserialize_with = "names")]
    pub authorized_parties: Vec<String>,
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
            authorized_parties: Vec::new(),
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
    fn no_party_and_no_audience_is_empty() {
        let read = |key: &str, list: &str| {
            let key = format!("authentication.{key}");
            let settings = of_flags(&[(key.as_str(), list.to_owned())]);
            settings.map(|settings| settings.authentication)
        };
        let list = r#"["a", "b"]"#;
        assert_eq!(read("authorized_parties", list).unwrap().authorized_parties, ["a", "b"]);
        assert_eq!(read("access_token_audiences", list).unwrap().access_token_audiences, ["a", "b"]);
        for key in ["authorized_parties", "access_token_audiences"] {
            let error = read(key, r#"["a", ""]"#).unwrap_err().to_string();
            assert!(error.contains(&format!("{key}: the list has an empty text")), "{error}");
        }
    }
}
