//! Tests of the messages about a value of another type, as files and variables show them.

use std::io::Write;

use toml::Table;

use crate::settings::{EXAMPLE, load};

/// Returns the error of a settings file with this text.
fn error(text: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let error = load(Some(file.path()), [], &[]).unwrap_err().to_string();
    error.replace(&file.path().display().to_string(), "FILE")
}

#[test]
fn a_value_of_another_type_is_refused_with_what_is_expected_and_its_variable() {
    assert_eq!(
        error("caches = \"redis://:hush@cache\""),
        "FILE:1:10: caches: it is a text, and a section is expected, with the keys `limit_bytes`, `verify` (as a \
         variable: UNDERCROFT_CACHES__VERIFY)"
    );
    let texts = [
        ("payments.sandbox = true", "one of `local`, `enabled`, `disabled` is expected", "PAYMENTS__SANDBOX"),
        ("rate_limits.general = 100", "a text such as \"6000/minute\" is expected", "RATE_LIMITS__GENERAL"),
        (
            "rate_limits = 5",
            "it is a whole number, and a section is expected, with the keys `",
            "RATE_LIMITS__USER",
        ),
        ("database = 5", "it is a whole number, and a text such as \"sqlite:undercroft.db\"", "DATABASE"),
        ("http.max_connections = \"many\"", "a whole number such as 10000 is", "HTTP__MAX_CONNECTIONS"),
        ("http.allowed_origins = \"a\"", "a list such as [\"one\", \"another\"]", "HTTP__ALLOWED_ORIGINS"),
        ("store.demo = 1", "a truth value (true or false) is expected", "STORE__DEMO"),
        ("telemetry.sampled = \"all\"", "a number with a fraction such as 1.0 is", "TELEMETRY__SAMPLED"),
        ("public_url = 5", "it is a whole number, and a text is expected", "PUBLIC_URL"),
    ];
    for (text, expected, name) in texts {
        let error = error(text);
        let key = text.split(' ').next().unwrap();
        assert!(error.contains(&format!(" {key}: it is ")) && error.contains(expected), "{error}");
        assert!(error.ends_with(&format!("(as a variable: UNDERCROFT_{name})")), "{error}");
    }
}

#[test]
fn a_list_is_no_section() {
    let example: Table = EXAMPLE.parse().unwrap();
    let sections: Vec<_> =
        example.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name).collect();
    assert!(sections.len() > 10, "{sections:?}");
    for name in sections {
        let expected = format!("{name}: it is a list, and a section is expected, with the keys `");
        let text = error(&format!("{name} = []"));
        assert!(text.starts_with(&format!("FILE:1:{}: {expected}", name.len() + 4)), "{text}");
        let text = error(&format!("[[{name}]]"));
        assert!(text.starts_with("FILE:1:") && text.contains(&expected), "{text}");
    }
    let variables = [("UNDERCROFT_RATE_LIMITS".into(), "[]".into())];
    let error = load(Some(std::path::Path::new("/dev/null")), variables, &[]).unwrap_err().to_string();
    let expected = "UNDERCROFT_RATE_LIMITS: rate_limits: it is a list, and a section is expected";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_variable_of_another_type_is_refused_without_its_value() {
    let error = |name: &str, value: &str| {
        let variables = [(name.into(), value.into())];
        load(Some(std::path::Path::new("/dev/null")), variables, &[]).unwrap_err().to_string()
    };
    let text = error("UNDERCROFT_CACHES", "redis://:hush@cache");
    assert!(text.starts_with("UNDERCROFT_CACHES: caches: it is a text, and a section is expected"), "{text}");
    assert!(!text.contains("hush"), "{text}");
    let text = error("UNDERCROFT_RATE_LIMITS__GENERAL", "100");
    assert!(text.contains("it is a whole number, and a text such as \"6000/minute\" is expected"), "{text}");
}

#[test]
fn a_number_that_is_too_small_or_too_large_is_refused_with_its_range() {
    for (text, expected, variable) in [
        (
            "http.max_connections = -1",
            "it is -1, and a whole number from 1 to 4294967295",
            "HTTP__MAX_CONNECTIONS",
        ),
        (
            "http.max_connections = 0",
            "it is 0, and a whole number from 1 to 4294967295",
            "HTTP__MAX_CONNECTIONS",
        ),
        (
            "store.cart_days = 5000000000",
            "it is 5000000000, and a whole number from 1 to ",
            "STORE__CART_DAYS",
        ),
        (
            "store.cancellation_days = -1",
            "it is -1, and a whole number from 0 to 4294967295",
            "STORE__CANCELLATION_DAYS",
        ),
        (
            "http.body_timeout_seconds = -5",
            "it is -5, and a whole number from 1 to 4294967295",
            "HTTP__BODY_TIMEOUT_SECONDS",
        ),
        (
            "caches.limit_bytes.product = -1",
            "it is -1, and a whole number from 0 is expected",
            "CACHES__LIMIT_BYTES__PRODUCT",
        ),
    ] {
        let error = error(text);
        let key = text.split(' ').next().unwrap();
        assert!(error.contains(&format!(": {key}: {expected}")), "{error}");
        assert!(error.ends_with(&format!(" is expected (as a variable: UNDERCROFT_{variable})")), "{error}");
    }
}

#[test]
fn a_level_of_a_module_that_is_none_is_named() {
    for (level, expected) in [
        ("info,undercroft=loud", "`loud` is no level (off, error, warn, info, debug, trace)"),
        ("undercroft=info=debug", "`info=debug` is no level (off, error, warn, info, debug, trace)"),
        ("loud", "`loud` is neither a level (off, error, warn, info, debug, trace) nor target=level"),
    ] {
        let error = error(&format!("log.level = \"{level}\""));
        assert_eq!(error, format!("FILE:1:13: log.level: {expected}"));
    }
    let variables = [("UNDERCROFT_LOG__LEVEL".into(), "info, undercroft=debug".into())];
    assert!(load(Some(std::path::Path::new("/dev/null")), variables, &[]).is_ok());
}

#[test]
fn a_path_of_a_url_of_redis_that_is_no_number_is_refused_with_what_it_is() {
    for name in ["cache", "sessions"] {
        let error = error(&format!("{name} = \"redis://:hush@cache.internal/store\""));
        assert!(
            error.contains(": the text is neither `") && error.ends_with("as in redis://HOST/1"),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
}
