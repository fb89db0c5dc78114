//! Passwords that are guessed first: common ones of breaches, and what everyone knows of the user.

use std::sync::LazyLock;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;

use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};

/// The common passwords, each as [`fold`] returns it. A text beside the file names their source.
static COMMON: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("../../../data/common_passwords.txt").lines().collect());

/// Refuses a password that is common, repeats one character, or is the user's own address or name, in any letter
/// case.
///
/// # Errors
///
/// [`Fault::PasswordTooCommon`].
pub fn check_password(password: &SecretString, email: &str, name: &str) -> Result<(), Failure> {
    if is_guessed_first(password.expose_secret(), email, name) {
        return Err(ValidationException::one("/password", Fault::PasswordTooCommon).into());
    }
    Ok(())
}

fn is_guessed_first(password: &str, email: &str, name: &str) -> bool {
    let (password, email, name) = (fold(password), fold(email), fold(name));
    let mut characters = password.chars();
    let first = characters.next();
    let (local, _) = email.split_once('@').unwrap_or((&email, ""));
    characters.all(|next| Some(next) == first)
        || COMMON.binary_search(&&*password).is_ok()
        || [email.as_str(), local, &name].contains(&password.as_str())
        || without_spaces(&password) == without_spaces(&name)
}

/// Returns a text in the form in which texts are compared: NFKC, lower case, without spaces around it.
fn fold(text: &str) -> String {
    text.trim().nfkc().collect::<String>().to_lowercase()
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::SHORTEST_PASSWORD;

    #[test]
    fn the_list_is_sorted_folded_and_has_no_password_that_is_too_short() {
        assert!(COMMON.len() > 8_000, "{}", COMMON.len());
        assert!(COMMON.is_sorted(), "a binary search needs the order of bytes");
        for password in COMMON.iter() {
            assert_eq!(fold(password), **password);
            assert!(password.chars().count() >= SHORTEST_PASSWORD, "{password}");
        }
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for password in [
            "password1",
            "PassWord1",
            "12345678",
            "qwertyuiop",
            "ｐａｓｓｗｏｒｄ",
            "        ",
            "zzzzzzzzz",
            "Ann.Smith@Example.org",
            "ann.smith",
            "ANN B. SMITH",
            "annb.smith",
            "",
        ] {
            assert!(is_guessed_first(password, "ann.smith@example.org", "Ann B. Smith"), "{password}");
        }
        for password in ["correct horse", "zzzzzzzzy", "ann.smithy", "tr0ub4dor&3x"] {
            assert!(!is_guessed_first(password, "ann.smith@example.org", "Ann B. Smith"), "{password}");
        }
        assert!(!is_guessed_first("correct horse", "ann@example.org", ""), "no name");
    }
}
