//! Merges defaults, file, environment and flags, and reports the origin of an invalid value.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::de::IntoDeserializer;
use toml::{Table, Value};

use super::explained::explained;
use super::{PREFIX, Settings};

/// The file that is read if no other is named and it exists.
const FILE: &str = "undercroft.toml";
/// The prefix of the variables of the test suite, which are ignored.
const TEST_PREFIX: &str = "UNDERCROFT_TEST_";

/// The advice about an unknown key of a file.
const ADVICE_FOR_FILES: &str = "`undercroft settings` prints all settings";
/// The advice about an unknown variable.
const ADVICE_FOR_VARIABLES: &str = "`undercroft settings` prints all settings; the variable of a key in a section is \
                                    named like UNDERCROFT_STORE__DEFAULT_CURRENCY";

/// Why the settings cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A value is invalid, or its key is unknown.
    #[error("{origin}: {message}")]
    Invalid {
        /// The file with line and column, the variable, or the flag.
        origin: String,
        /// The key, and the fault of its value.
        message: String,
    },
}

/// Loads the settings from `file`, or from `undercroft.toml` if it exists, then from the `UNDERCROFT_` variables of
/// `environment`, and then from `flags`, each a key (`log.level`) with its value. Later values override earlier ones.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &[(&str, String)],
) -> Result<Settings, SettingsError> {
    let mut table = match file {
        Some(path) => read(path)?,
        None if Path::new(FILE).exists() => read(Path::new(FILE))?,
        None => Table::new(),
    };
    let mut variables: Vec<_> = environment.into_iter().filter_map(setting_variable).collect();
    // only the first fault is reported, and the environment has no order: sorted, it is always the same fault
    variables.sort();
    for (name, value) in variables {
        let invalid =
            |message: &str| SettingsError::Invalid { origin: name.clone(), message: message.into() };
        let value = value.into_string().map_err(|_| invalid("is not UTF-8"))?;
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        set(&mut table, &key, &value)
            .map_err(|message| invalid(&with_advice(message, ADVICE_FOR_VARIABLES)))?;
    }
    with_flags(table, flags)
}

/// Returns the default settings with those of flags, each a key with its value.
pub fn of_flags(flags: &[(&str, String)]) -> Result<Settings, SettingsError> {
    with_flags(Table::new(), flags)
}

fn with_flags(mut table: Table, flags: &[(&str, String)]) -> Result<Settings, SettingsError> {
    for (key, value) in flags {
        let origin = || format!("--{}", key.replace(['.', '_'], "-"));
        set(&mut table, key, value)
            .map_err(|message| SettingsError::Invalid { origin: origin(), message })?;
    }
    let checked = check(&table).and_then(Settings::combined);
    checked.map_err(|message| SettingsError::Invalid { origin: "settings".into(), message })
}

/// Returns the environment variables of the process.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// Returns a variable that is a setting.
fn setting_variable((name, value): (OsString, OsString)) -> Option<(String, OsString)> {
    let name = name.to_string_lossy().into_owned();
    (name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX)).then_some((name, value))
}

/// Reads and checks a file; only here, a fault has a line and a column.
fn read(path: &Path) -> Result<Table, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.into(), source })?;
    // the error's own text would quote the line, which may contain a password
    let invalid = |key: &str, error: &toml::de::Error| {
        let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
        let origin = format!("{}:{line}:{column}", path.display());
        let message = match key {
            "." => error.message().into(),
            key => format!("{key}: {}", explained(&text.parse().unwrap_or_default(), key, error.message())),
        };
        SettingsError::Invalid { origin, message: with_advice(message, ADVICE_FOR_FILES) }
    };
    let deserializer = toml::Deserializer::parse(&text).map_err(|error| invalid(".", &error))?;
    serde_path_to_error::deserialize::<_, Settings>(deserializer)
        .map_err(|error| invalid(&error.path().to_string(), error.inner()))?;
    text.parse().map_err(|error| invalid(".", &error))
}

/// Adds an advice to a message about an unknown key.
fn with_advice(message: String, advice: &str) -> String {
    // serde has no kind of errors, but this text
    if message.contains("unknown field `") { format!("{message}; {advice}") } else { message }
}

/// Returns the line and the column of a byte, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Sets a value in the table. Variables and flags are text: if the setting is not a text, it is parsed as TOML.
fn set(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let mut changed = with(table, key, Value::String(text.into()))?;
    let mut outcome = check(&changed);
    if outcome.is_err()
        && let Ok(value) = text.parse()
    {
        changed = with(table, key, value)?;
        outcome = check(&changed);
    }
    outcome?;
    *table = changed;
    Ok(())
}

/// Returns the table with `value` at the dotted `key`.
fn with(table: &Table, key: &str, value: Value) -> Result<Table, String> {
    let mut changed = table.clone();
    let mut inner = &mut changed;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            inner.insert(part.into(), value);
            break;
        }
        let Value::Table(section) = inner.entry(part).or_insert_with(|| Value::Table(Table::new())) else {
            return Err(format!("`{part}` is not a section"));
        };
        inner = section;
    }
    Ok(changed)
}

/// Parses the table as settings. The error begins with the key.
fn check(table: &Table) -> Result<Settings, String> {
    serde_path_to_error::deserialize(table.clone().into_deserializer()).map_err(|error| {
        let key = error.path().to_string();
        let message = error.inner().message();
        if key == "." { message.into() } else { format!("{key}: {}", explained(table, &key, message)) }
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use tempfile::NamedTempFile;

    use super::*;
    use crate::settings::{EXAMPLE, LogFormat};

    fn file(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn from_file(text: &str) -> Result<Settings, String> {
        let file = file(text);
        let path = file.path().display().to_string();
        load(Some(file.path()), [], &[]).map_err(|error| error.to_string().replace(&path, "FILE"))
    }

    fn from_environment(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        load(Some(file("").path()), variables, &[]).map_err(|error| error.to_string())
    }

    fn printed(settings: &Settings) -> String {
        format!("{settings:?} {}", settings.database.expose_secret())
    }

    #[test]
    fn the_example_contains_the_defaults() {
        assert_eq!(printed(&from_file(EXAMPLE).unwrap()), printed(&Settings::default()));
    }

    /// The error of serde about an unknown key lists the known ones.
    #[test]
    fn the_example_names_every_key() {
        let example: Table = EXAMPLE.parse().unwrap();
        let sections = example.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name.as_str());
        let mut keys = 0;
        for section in sections.chain([""]) {
            let (key, here) = match example.get(section) {
                Some(value) => (format!("{section}.no_such_key"), value.as_table().unwrap()),
                None => ("no_such_key".to_owned(), &example),
            };
            let message = check(&with(&Table::new(), &key, Value::Integer(1)).unwrap()).unwrap_err();
            let (_, known) =
                message.split_once("expected one of").or(message.split_once("expected")).unwrap();
            for name in known.split('`').skip(1).step_by(2) {
                assert!(here.contains_key(name), "[{section}] {name} is missing in the example");
                keys += 1;
            }
        }
        assert!(keys > 15, "only {keys} keys were checked");
    }

    #[test]
    fn flags_override_the_environment_that_the_file_and_that_the_defaults() {
        let file = file("listen = \"127.0.0.1:1\"\n[store]\nname = \"file\"\n[http]\nbody_limit_bytes = 1\n");
        let variables = [("UNDERCROFT_STORE__NAME", "variable"), ("UNDERCROFT_HTTP__BODY_LIMIT_BYTES", "2")];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let flags = [("http.body_limit_bytes", "3".to_owned())];
        let settings = load(Some(file.path()), variables, &flags).unwrap();
        assert_eq!(settings.database.expose_secret(), "sqlite:undercroft.db");
        assert_eq!(settings.listen.port(), 1);
        assert_eq!(settings.store.name, "variable");
        assert_eq!(settings.http.body_limit_bytes.get(), 3);
    }

    #[test]
    fn a_variable_is_parsed_by_the_type_of_its_key() {
        let settings = from_environment(&[
            ("UNDERCROFT_STORE__NAME", "1984"),
            ("UNDERCROFT_HTTP__BODY_TIMEOUT_SECONDS", "7"),
            ("UNDERCROFT_LOG__FORMAT", "json"),
            ("UNDERCROFT_TEST_SERVICES", "required"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(settings.store.name, "1984");
        assert_eq!(settings.http.body_timeout, Duration::from_secs(7));
        assert_eq!(settings.log.format, LogFormat::Json);
    }

    #[test]
    fn a_fault_in_the_file_is_reported_with_its_line_and_key() {
        let error = |text| from_file(text).unwrap_err();
        assert_eq!(
            error("listen = \"127.0.0.1:1\"\n[http]\nbody_limit = 5\n").split(", expected").next().unwrap(),
            "FILE:3:1: http.body_limit: unknown field `body_limit`"
        );
        assert!(error("[log]\nlevel = \"inof\"").starts_with("FILE:2:9: log.level: `inof` is neither"));
        assert!(error("[http]\nmax_connections = 0").starts_with("FILE:2:19: http.max_connections: "));
        assert!(error("[http]\nbody_limit_bytes = 0").starts_with("FILE:2:20: http.body_limit_bytes: "));
        assert!(
            error("[store]\ndefault_currency = \"EURO\"").contains("store.default_currency: `EURO` is not")
        );
        assert!(error("[store]\ndefault_country = \"de\"").contains("store.default_country: `de` is not"));
        assert!(error("a = 1\na = 2").starts_with("FILE:2:1: "));
        assert!(error("[http]\nbody_limit = 5").ends_with("; `undercroft settings` prints all settings"));
        assert!(!error("[http]\nmax_connections = 0").contains("undercroft settings"));
    }

    #[test]
    fn a_fault_in_a_variable_or_flag_is_reported_with_its_name_and_key() {
        let error = |name, value| from_environment(&[(name, value)]).unwrap_err();
        assert!(error("UNDERCROFT_DATABSE", "x").starts_with("UNDERCROFT_DATABSE: databse: unknown field"));
        assert!(error("UNDERCROFT_DEFAULT_CURRENCY", "EUR").ends_with("UNDERCROFT_STORE__DEFAULT_CURRENCY"));
        assert!(error("UNDERCROFT_LISTEN", "8080").starts_with("UNDERCROFT_LISTEN: listen: "));
        assert!(error("UNDERCROFT_LISTEN__PORT", "1").starts_with("UNDERCROFT_LISTEN__PORT: listen: "));
        assert!(
            error("UNDERCROFT_HTTP__BODY_LIMIT_BYTES", "many").contains(
                "http.body_limit_bytes: it is a text, and a whole number such as 65536 is expected"
            )
        );
        let flags = [("log.level", "loud".to_owned())];
        let error = load(Some(file("").path()), [], &flags).unwrap_err().to_string();
        assert!(error.starts_with("--log-level: log.level: `loud`"), "{error}");
    }

    #[test]
    fn a_malformed_address_or_database_is_refused_with_an_example() {
        for listen in ["nonsense", "8080", "localhost:8080"] {
            let error = from_environment(&[("UNDERCROFT_LISTEN", listen)]).unwrap_err();
            let expected = format!("`{listen}` is not an IP address with a port, such as 127.0.0.1:8080");
            assert_eq!(error, format!("UNDERCROFT_LISTEN: listen: {expected}"));
        }
        let error = from_environment(&[("UNDERCROFT_METRICS__LISTEN", "9464")]).unwrap_err();
        let expected = "`9464` is not an IP address with a port, such as 127.0.0.1:9464";
        assert_eq!(error, format!("UNDERCROFT_METRICS__LISTEN: metrics.listen: {expected}"));
        for name in ["UNDERCROFT_CACHE", "UNDERCROFT_SESSIONS", "UNDERCROFT_EVENTS__URL"] {
            let error = from_environment(&[(name, "6379")]).unwrap_err();
            assert!(error.contains(": the text is ") && !error.contains("invalid type"), "{error}");
        }
        for url in ["sqlite:", "mysql://u:hush@h/d", "postgres://u:hush@h:port/d"] {
            let error = from_environment(&[("UNDERCROFT_DATABASE", url)]).unwrap_err();
            assert!(error.starts_with("UNDERCROFT_DATABASE: database: not a database URL: "), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn an_issuer_is_an_https_url_or_an_http_url_of_this_machine() {
        let audience = ("UNDERCROFT_AUTHENTICATION__AUDIENCE", "shop");
        let read = |url| from_environment(&[("UNDERCROFT_AUTHENTICATION__ISSUER", url), audience]);
        for url in
            ["https://login.example.com/", "http://LOCALHOST:8080", "http://127.0.0.2/", "http://[::1]"]
        {
            assert_eq!(read(url).unwrap().authentication.issuer.as_deref(), Some(url));
        }
        assert_eq!(read("").unwrap().authentication.issuer, None);
        let with_user = "https://ann:hush@a.example";
        for url in ["http://a.example", with_user, "https://a.example/?hush", "ftp://localhost", "a"] {
            let error = read(url).unwrap_err();
            assert!(error.ends_with("is neither an HTTPS URL nor an HTTP URL of this machine"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_page_is_a_url_with_a_place_for_the_token() {
        for url in ["/reset#{token}", "https://shop.example/reset", "ftp://shop.example/{token}", "{token}"] {
            let error = from_environment(&[("UNDERCROFT_PAGES__PASSWORD_RESET", url)]).unwrap_err();
            assert!(error.contains("is not the URL of a page with `{token}`"), "{error}");
        }
        let url = "https://shop.example/reset#{token}";
        let settings = from_environment(&[("UNDERCROFT_PAGES__PASSWORD_RESET", url)]).unwrap();
        assert_eq!(
            (settings.pages.password_reset.as_deref(), settings.pages.email_verification),
            (Some(url), None)
        );
    }

    #[test]
    fn developers_read_e_mails_of_a_local_store_without_a_mail_server_alone() {
        let has = |variables: &[(&str, &str)]| from_environment(variables).unwrap().has_sandbox_emails();
        assert!(has(&[]) && has(&[("UNDERCROFT_MAIL__URL", "local:")]));
        let enabled = ("UNDERCROFT_PAYMENTS__SANDBOX", "enabled");
        assert!(has(&[enabled]));
        assert!(!has(&[("UNDERCROFT_PAYMENTS__SANDBOX", "disabled")]));
        assert!(!has(&[("UNDERCROFT_MAIL__URL", "smtp://127.0.0.1")]));
        assert!(!has(&[enabled, ("UNDERCROFT_LISTEN", "0.0.0.0:8080")]));
        assert!(!has(&[enabled, ("UNDERCROFT_PUBLIC_URL", "https://shop.example.com")]));
        assert!(!has(&[enabled, ("UNDERCROFT_HTTP__TRUSTED_PROXIES", "[\"127.0.0.1\"]")]));
    }

    #[test]
    fn browsers_send_cookies_over_https_only_if_the_store_is_reached_by_it_or_the_setting_says_so() {
        let is_secure = |variables: &[(&str, &str)]| from_environment(variables).unwrap().cookies().secure;
        let (setting, url) = ("UNDERCROFT_HTTP__SECURE_COOKIES", "UNDERCROFT_PUBLIC_URL");
        assert!(!is_secure(&[]) && is_secure(&[(setting, "true")]));
        assert!(!is_secure(&[(url, "http://shop.example.com")]));
        assert!(is_secure(&[(url, "https://shop.example.com"), (setting, "auto")]));
        assert!(is_secure(&[(url, "HTTPS://shop.example.com"), (setting, "auto")]));
        assert!(!is_secure(&[(url, "https://shop.example.com"), (setting, "false")]));
        assert!(is_secure(&[("UNDERCROFT_HTTP__COOKIE_SAME_SITE", "none"), (setting, "false")]));
        let error = from_environment(&[(setting, "sometimes")]).unwrap_err();
        assert!(error.ends_with("http.secure_cookies: neither `true`, `false` nor `auto`"), "{error}");
    }

    #[test]
    fn a_named_file_that_does_not_exist_is_an_error() {
        let error = load(Some(Path::new("/no/such/file.toml")), [], &[]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such/file.toml");
    }

    #[test]
    fn a_password_is_never_printed() {
        let settings = from_environment(&[("UNDERCROFT_DATABASE", "postgres://u:hush@h/d")]).unwrap();
        assert_eq!(settings.database.expose_secret(), "postgres://u:hush@h/d");
        assert!(!format!("{settings:?}").contains("hush"));
        let error = from_file("database = \"postgres://u:hush@h/d\nlisten = 1").unwrap_err();
        assert!(error.starts_with("FILE:1:") && !error.contains("hush"), "{error}");
    }
}
