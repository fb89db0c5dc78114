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

/// Why a text is not the URL of a database. The error does not contain it, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// It has the form of neither engine.
    #[error("not a database URL: `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`")]
    Form,
    /// It is one of SQLite with `//`. Programs differ in what follows: a host, a relative path or an absolute one.
    #[error(
        "a URL of SQLite with `//`: `sqlite:FILE` is a file in the current folder, and `sqlite:/FOLDER/FILE` one in \
         another folder"
    )]
    SqliteSlashes,
    /// It is one of PostgreSQL without a database: the server would take the one with the name of the user.
    #[error("a URL of PostgreSQL without the name of a database: `postgres://USER@HOST/DATABASE`")]
    NoDatabase,
    /// It is one of PostgreSQL with more than one `@`: what follows the first one would be the host.
    #[error(
        "a URL of PostgreSQL with more than one `@`: special characters of a password are percent-encoded, such as \
         `%40` for `@` and `%2F` for `/`"
    )]
    NotEncoded,
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            return match file {
                "" => Err(InvalidDatabaseUrl::Form),
                file if file.starts_with("//") => Err(InvalidDatabaseUrl::SqliteSlashes),
                file => Ok(Self::Sqlite(file.into())),
            };
        }
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let (_, after_user) = rest.ok_or(InvalidDatabaseUrl::Form)?.split_once('@').unwrap_or_default();
        // parameters may contain an `@`
        if after_user.split('?').next().is_some_and(|host| host.contains('@')) {
            return Err(InvalidDatabaseUrl::NotEncoded);
        }
        let config = tokio_postgres::Config::from_str(url).map_err(|_| InvalidDatabaseUrl::Form)?;
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(InvalidDatabaseUrl::NoDatabase);
        }
        Ok(Self::Postgres(url.into()))
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
        for url in [
            "sqlite:shop.db",
            "sqlite:/var/lib/shop.db",
            "postgres://u:p@h:5433/d",
            "postgres://u:p%40ss%2Fword@h/d?application_name=a@b",
            "postgresql:///d",
            "postgres://u@h?dbname=d",
        ] {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap().expose_secret(), url);
        }
    }

    #[test]
    fn another_text_is_refused_with_its_fault() {
        use InvalidDatabaseUrl::{Form, NoDatabase, NotEncoded, SqliteSlashes};
        for (url, fault) in [
            ("", Form),
            ("shop.db", Form),
            ("sqlite:", Form),
            ("mysql://u:p@h/d", Form),
            ("postgres:d", Form),
            ("postgres://u:p@h:port/d", Form),
            ("sqlite://shop.db", SqliteSlashes),
            ("sqlite:///var/lib/shop.db", SqliteSlashes),
            ("postgres://u@h", NoDatabase),
            ("postgres://u@h:5433/", NoDatabase),
            ("postgresql://u:p@h/?sslmode=disable", NoDatabase),
            ("postgres://u@h?dbname=", NoDatabase),
            ("postgres://u:p@ss/word@h/d", NotEncoded),
            ("postgres://u:p@ss:word@h/d?sslmode=disable", NotEncoded),
        ] {
            assert_eq!(url.parse::<DatabaseUrl>().unwrap_err(), fault, "{url}");
        }
    }

    #[test]
    fn the_password_of_a_url_is_not_printed() {
        let url: DatabaseUrl = "postgres://u:hush@h/d".parse().unwrap();
        assert!(!format!("{url:?}").contains("hush"));
    }
}
