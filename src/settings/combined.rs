//! Rules about several settings, which are checked when the file, the environment and the flags are read.

use std::net::SocketAddr;

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
        self.passwords.cost()?;
        Ok(self)
    }

    /// Returns the address of the metrics if a server cannot listen on it, because it is that of the store.
    pub fn shared_address(&self) -> Option<SocketAddr> {
        let (store, metrics) = (self.listen, self.metrics.listen?);
        let is_any = |address: SocketAddr| address.ip().is_unspecified();
        let overlap = store.ip() == metrics.ip()
            || (store.is_ipv4() == metrics.is_ipv4() && (is_any(store) || is_any(metrics)));
        (overlap && store.port() == metrics.port() && store.port() != 0).then_some(metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::of_flags;

    fn read(flags: &[(&str, &str)]) -> Result<Settings, String> {
        let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        of_flags(&flags).map_err(|error| error.to_string())
    }

    #[test]
    fn metrics_have_an_address_of_their_own() {
        for (store, metrics, is_shared) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:9464", false),
            ("127.0.0.1:8080", "127.0.0.2:8080", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:8080", "[::1]:8080", false),
            ("127.0.0.1:8080", "", false),
        ] {
            let settings = read(&[("listen", store), ("metrics.listen", metrics)]).unwrap();
            assert_eq!(settings.shared_address().is_some(), is_shared, "{store} {metrics}");
        }
    }

    #[test]
    fn an_issuer_requires_an_audience() {
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
