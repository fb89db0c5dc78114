//! The URL of a database.

use std::path::PathBuf;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

/// The URL of a database, which names its engine.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// `sqlite:FILE`, with the path of the file.
    Sqlite(PathBuf),
    /// `postgres://…`, the whole URL. Secret, because it may contain a password.
    Postgres(SecretString),
}

/// A text that is not the URL of a database. The error does not contain it, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a database URL: `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
pub struct InvalidDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            return if file.is_empty() { Err(InvalidDatabaseUrl) } else { Ok(Self::Sqlite(file.into())) };
        }
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if is_postgres && tokio_postgres::Config::from_str(url).is_ok() {
            return Ok(Self::Postgres(url.into()));
        }
        Err(InvalidDatabaseUrl)
    }
}

impl DatabaseUrl {
    /// Returns the file of a SQLite database.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Sqlite(file) => Some(file),
            Self::Postgres(_) => None,
        }
    }

    /// Returns the URL as a text, with the password if it has one.
    pub fn expose_secret(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite:{}", file.display()),
            Self::Postgres(url) => url.expose_secret().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed_and_returned_unchanged() {
        for url in ["sqlite:shop.db", "sqlite:/var/lib/shop.db", "postgres://u:p@h:5433/d", "postgresql:///d"]
        {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap().expose_secret(), url);
        }
        for url in ["", "shop.db", "sqlite:", "mysql://u:p@h/d", "postgres://u:p@h:port/d"] {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap_err(), InvalidDatabaseUrl, "{url}");
        }
    }

    #[test]
    fn the_password_of_a_url_is_not_printed() {
        let url: DatabaseUrl = "postgres://u:hush@h/d".parse().unwrap();
        assert!(!format!("{url:?}").contains("hush"));
    }
}
