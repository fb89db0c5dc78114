//! What things are called, as it comes from outside: their slugs, and their texts in other languages.

use crate::domain::language::is_language_tag;
use crate::domain::product::Translations;
use crate::domain::slug::is_slug;
use crate::infrastructure::exceptions::{Failure, Fault, ValidationException};

/// Languages beside the base language at most.
const LANGUAGES: usize = 50;

/// Refuses a thing by whose slug it could not be found, or whose translations are none.
pub(crate) fn check_names(slug: &str, translations: &Translations) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    check_slug(slug, &mut faults);
    check_translations(translations, "", &mut faults);
    faults.check()
}

/// Adds the fault of the field `slug`.
pub(crate) fn check_slug(slug: &str, faults: &mut ValidationException) {
    faults.require(is_slug(slug), "/slug", Fault::Format { format: "slug".to_owned() });
}

/// Adds the faults of the field `translations` of what stands at a JSON pointer: a key that is no language, or too
/// many.
pub(crate) fn check_translations(translations: &Translations, at: &str, faults: &mut ValidationException) {
    let at = format!("{at}/translations");
    faults.require(translations.len() <= LANGUAGES, at.clone(), Fault::TooMany { max_items: LANGUAGES });
    for tag in translations.keys().filter(|tag| !is_language_tag(tag)) {
        let place = format!("{at}/{}", tag.replace('~', "~0").replace('/', "~1"));
        faults.add(place, Fault::Format { format: "language".to_owned() });
    }
}
