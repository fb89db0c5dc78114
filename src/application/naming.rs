//! Texts in other languages, as they come from outside.

use crate::domain::language::is_language_tag;
use crate::domain::product::Translations;
use crate::infrastructure::exceptions::{Fault, ValidationException};

/// Languages beside the base language at most.
const LANGUAGES: usize = 50;

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
