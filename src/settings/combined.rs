//! Rules about several settings, which are checked when the file, the environment and the flags are read.

use super::Settings;

impl Settings {
    /// Checks the settings together. The error begins with the key that has to be changed.
    pub(super) fn combined(self) -> Result<Self, String> {
        let authentication = &self.authentication;
        if authentication.issuer.is_some() && authentication.audience.is_empty() {
            let rule = "`authentication.issuer` requires it: what the tokens of the issuer for this store, and for no other \
                        service, have in `aud` (UNDERCROFT_AUTHENTICATION__AUDIENCE)";
            return Err(format!("authentication.audience: it is empty, and {rule}"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::of_flags;

    #[test]
    fn an_issuer_requires_an_audience() {
        let read = |flags: &[(&str, &str)]| {
            let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
            of_flags(&flags).map_err(|error| error.to_string())
        };
        let issuer = ("authentication.issuer", "https://login.example.com/");
        let error = read(&[issuer]).unwrap_err();
        let expected =
            "settings: authentication.audience: it is empty, and `authentication.issuer` requires it: ";
        assert!(error.starts_with(expected), "{error}");
        let audience = ("authentication.audience", "shop");
        for flags in [&[issuer, audience][..], &[audience, issuer], &[audience], &[]] {
            assert!(read(flags).is_ok(), "{flags:?}");
        }
    }
}
