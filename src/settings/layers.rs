//! Lays file, environment and flags over the defaults, and says where a value that is refused stands.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::de::IntoDeserializer;
use toml::{Table, Value};

use super::Settings;

/// The file that is read when no other is named, if it is there.
const FILE: &str = "undercroft.toml";
/// Every variable of ours begins so; no other may.
const PREFIX: &str = "UNDERCROFT_";
/// Variables of the test suite, which the store does not read.
const TEST_PREFIX: &str = "UNDERCROFT_TEST_";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file is named but cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A value is refused, or its key is not known.
    #[error("{origin}: {message}")]
    Refused {
        /// The file with line and column, the variable or the flag.
        origin: String,
        /// The key, and what is wrong with its value.
        message: String,
    },
}

/// Reads the settings: from `file`, or from `undercroft.toml` where that is there; over it the variables of
/// `environment` that are ours; over them `flags`, each a key (`log.level`) and its value.
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
    let mut variables: Vec<_> = environment.into_iter().filter_map(ours).collect();
    // the environment has no order, and the first fault is told: let it be the same one each time
    variables.sort();
    for (name, value) in variables {
        let refused =
            |message: &str| SettingsError::Refused { origin: name.clone(), message: message.into() };
        let value = value.into_string().map_err(|_| refused("is not UTF-8"))?;
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        lay(&mut table, &key, &value).map_err(|message| refused(&message))?;
    }
    for (key, value) in flags {
        let origin = || format!("--{}", key.replace(['.', '_'], "-"));
        lay(&mut table, key, value)
            .map_err(|message| SettingsError::Refused { origin: origin(), message })?;
    }
    check(&table).map_err(|message| SettingsError::Refused { origin: "settings".into(), message })
}

/// The variables of this process.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// Keeps a variable that begins as ours do.
fn ours((name, value): (OsString, OsString)) -> Option<(String, OsString)> {
    let name = name.to_string_lossy().into_owned();
    (name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX)).then_some((name, value))
}

/// Reads a file, and checks it alone, since here a fault still has a line.
fn read(path: &Path) -> Result<Table, SettingsError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.into(), source })?;
    // the error's own text would quote the line, and with it perhaps a password
    let refused = |key: &str, error: &toml::de::Error| {
        let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
        let origin = format!("{}:{line}:{column}", path.display());
        let message = if key == "." { error.message().into() } else { format!("{key}: {}", error.message()) };
        SettingsError::Refused { origin, message }
    };
    let deserializer = toml::Deserializer::parse(&text).map_err(|error| refused(".", &error))?;
    serde_path_to_error::deserialize::<_, Settings>(deserializer)
        .map_err(|error| refused(&error.path().to_string(), error.inner()))?;
    text.parse().map_err(|error| refused(".", &error))
}

/// Line and column of a byte, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Lays one value over the table. Variables and flags have no types: what is no text to the settings is read as the
/// file would read it.
fn lay(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let mut laid = with(table, key, Value::String(text.into()))?;
    let mut outcome = check(&laid);
    if outcome.is_err()
        && let Ok(value) = text.parse()
    {
        laid = with(table, key, value)?;
        outcome = check(&laid);
    }
    outcome?;
    *table = laid;
    Ok(())
}

/// The table with `value` at the dotted `key`.
fn with(table: &Table, key: &str, value: Value) -> Result<Table, String> {
    let mut laid = table.clone();
    let mut inner = &mut laid;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            inner.insert(part.into(), value);
            break;
        }
        let Value::Table(section) = inner.entry(part).or_insert_with(|| Value::Table(Table::new())) else {
            return Err(format!("`{part}` is no section"));
        };
        inner = section;
    }
    Ok(laid)
}

/// Reads the table as settings; a fault comes with its key.
fn check(table: &Table) -> Result<Settings, String> {
    serde_path_to_error::deserialize(table.clone().into_deserializer()).map_err(|error| {
        let key = error.path().to_string();
        let message = error.inner().message();
        if key == "." { message.into() } else { format!("{key}: {message}") }
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::Duration};

    use secrecy::ExposeSecret;
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

    fn shown(settings: &Settings) -> String {
        format!("{settings:?} {}", settings.database.expose_secret())
    }

    #[test]
    fn the_example_holds_the_defaults() {
        assert_eq!(shown(&from_file(EXAMPLE).unwrap()), shown(&Settings::default()));
    }

    /// serde's error about an unknown key lists the known ones.
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
        assert!(keys > 15, "only {keys} keys were looked for");
    }

    #[test]
    fn flags_go_before_the_environment_that_before_the_file_and_that_before_the_defaults() {
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
    fn a_variable_is_read_as_the_type_its_key_has() {
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
    fn a_fault_in_the_file_is_told_with_its_line_and_key() {
        let told = |text| from_file(text).unwrap_err();
        assert_eq!(
            told("listen = \"127.0.0.1:1\"\n[http]\nbody_limit = 5\n").split(", expected").next().unwrap(),
            "FILE:3:1: http.body_limit: unknown field `body_limit`"
        );
        assert!(told("[log]\nlevel = \"inof\"").starts_with("FILE:2:9: log.level: `inof` is neither"));
        assert!(told("[http]\nmax_connections = 0").starts_with("FILE:2:19: http.max_connections: "));
        assert!(told("[http]\nbody_limit_bytes = 0").starts_with("FILE:2:20: http.body_limit_bytes: "));
        assert!(
            told("[store]\ndefault_currency = \"EURO\"").contains("store.default_currency: `EURO` is no")
        );
        assert!(told("[store]\ndefault_country = \"de\"").contains("store.default_country: `de` is no"));
        assert!(told("a = 1\na = 2").starts_with("FILE:2:1: "));
    }

    #[test]
    fn a_fault_in_a_variable_or_flag_is_told_with_its_name_and_key() {
        let told = |name, value| from_environment(&[(name, value)]).unwrap_err();
        assert!(told("UNDERCROFT_DATABSE", "x").starts_with("UNDERCROFT_DATABSE: databse: unknown field"));
        assert!(told("UNDERCROFT_LISTEN", "8080").starts_with("UNDERCROFT_LISTEN: listen: "));
        assert!(told("UNDERCROFT_LISTEN__PORT", "1").starts_with("UNDERCROFT_LISTEN__PORT: listen: "));
        assert!(
            told("UNDERCROFT_HTTP__BODY_LIMIT_BYTES", "many").contains("http.body_limit_bytes: invalid type")
        );
        let flags = [("log.level", "loud".to_owned())];
        let error = load(Some(file("").path()), [], &flags).unwrap_err().to_string();
        assert!(error.starts_with("--log-level: log.level: `loud`"), "{error}");
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        let error = load(Some(Path::new("/no/such/file.toml")), [], &[]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /no/such/file.toml");
    }

    #[test]
    fn a_password_is_never_shown() {
        let settings = from_environment(&[("UNDERCROFT_DATABASE", "postgres://u:hush@h/d")]).unwrap();
        assert_eq!(settings.database.expose_secret(), "postgres://u:hush@h/d");
        assert!(!format!("{settings:?}").contains("hush"));
        let error = from_file("database = \"postgres://u:hush@h/d\nlisten = 1").unwrap_err();
        assert!(error.starts_with("FILE:1:") && !error.contains("hush"), "{error}");
    }
}
