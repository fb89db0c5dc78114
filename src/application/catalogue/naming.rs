//! Checks the slugs and translations of requests and imported records.

use std::collections::BTreeSet;

use crate::application::schema::pointer::escaped;
use crate::domain::language::is_language_tag;
use crate::domain::product::Translations;
use crate::domain::slug::is_slug;
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};

/// The most languages in addition to the base language.
const MAX_LANGUAGES: usize = 50;

/// Fails if the slug or the translations of a name are invalid.
pub(crate) fn check_names(slug: &str, translations: &Translations) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    check_slug(slug, &mut faults);
    check_translated_names(translations, "", &mut faults);
    faults.check()
}

/// Adds a fault if the member `slug` is invalid.
pub(crate) fn check_slug(slug: &str, faults: &mut ValidationException) {
    let fault = Fault::Format { format: "slug".to_owned(), example: "red-shoes" };
    faults.require(is_slug(slug), "/slug", fault);
}

/// Adds the faults of the member `translations` of an object that has a name and no description: those of
/// [`check_translations`], and each description. An empty one is none: responses have it.
pub(crate) fn check_translated_names(
    translations: &Translations,
    at: &str,
    faults: &mut ValidationException,
) {
    check_translations(translations, at, faults);
    for (tag, _) in translations.iter().filter(|(_, texts)| !texts.description.is_empty()) {
        faults.add(format!("{at}/translations/{}/description", escaped(tag)), Fault::Unknown);
    }
}

/// Adds the faults of the member `translations` of the object at a JSON pointer: a key that is not a language tag, one
/// that differs from another only in case (RFC 5646 section 2.1.1), or too many languages.
pub(crate) fn check_translations(translations: &Translations, at: &str, faults: &mut ValidationException) {
    let at = format!("{at}/translations");
    faults.require(
        translations.len() <= MAX_LANGUAGES,
        at.clone(),
        Fault::TooMany { max_items: MAX_LANGUAGES },
    );
    let pointer = |tag: &str| format!("{at}/{}", escaped(tag));
    for tag in translations.keys().filter(|tag| !is_language_tag(tag)) {
        faults.add(pointer(tag), Fault::Format { format: "language".to_owned(), example: "pt-BR" });
    }
    let mut languages = BTreeSet::new();
    for tag in translations.keys().filter(|tag| !languages.insert(tag.to_ascii_lowercase())) {
        faults.add(pointer(tag), Fault::Duplicate);
    }
}
