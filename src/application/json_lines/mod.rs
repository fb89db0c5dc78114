//! The lines of the store's own files, one JSON object each: `export` writes them and `import` reads them.
//!
//! The names of the members are a contract with every file that was ever written. An `id` is a UUID or, in a file that
//! was written by hand, any other text, from which a UUID is derived. A conversion from a line fails with a text that
//! begins with the JSON pointer of the faulty member.

mod catalogue;
mod customer;
mod discount;
mod product;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(super) use self::catalogue::{CategoryLine, ShippingMethodLine, TaxRuleLine};
pub(super) use self::customer::CustomerLine;
pub(super) use self::discount::DiscountLine;
pub(super) use self::product::ProductLine;

use super::records::identity::Identity;
use crate::domain::language::Language;
use crate::domain::product::{Texts, Translations};
use crate::domain::slug::slug;

const IDENTITY: Identity = Identity::new("json-lines");

/// The type of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LineType {
    Category,
    TaxRule,
    ShippingMethod,
    Product,
    Discount,
    Customer,
    Order,
    Invoice,
    Review,
    Subscription,
}

impl LineType {
    /// Returns the value of `type` in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Category => "category",
            Self::TaxRule => "tax_rule",
            Self::ShippingMethod => "shipping_method",
            Self::Product => "product",
            Self::Discount => "discount",
            Self::Customer => "customer",
            Self::Order => "order",
            Self::Invoice => "invoice",
            Self::Review => "review",
            Self::Subscription => "subscription",
        }
    }
}

/// Returns the message of an error with its column; to the JSON parser, each line is the first.
pub(super) fn described(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    format!("{message} (column {})", error.column())
}

/// Returns the id of a text: a hyphenated UUID is the id itself, from any other text one is derived.
fn id<T: From<Uuid>>(text: &str, pointer: &str, derive: fn(Identity, &str) -> T) -> Result<T, String> {
    const HYPHENATED: usize = 36;
    match Uuid::parse_str(text) {
        Ok(id) if text.len() == HYPHENATED => Ok(id.into()),
        _ if text.trim().is_empty() => Err(format!("{pointer}: empty")),
        _ => Ok(derive(IDENTITY, text)),
    }
}

/// The texts of a line, as a store has them.
#[derive(Debug, PartialEq)]
struct Rebased {
    /// The base texts.
    texts: Texts,
    translations: Translations,
    /// Those of the line in the base language, empty where it has none; `None` if all base texts are these.
    in_base_language: Option<Texts>,
}

/// Returns base texts in a language, and their translations, as a store with the base language `base` has them. Texts
/// in another language become a translation, and those of the translation into the base language take their place, if
/// there is one. A translation into their own language, which shoppers were shown in place of them, remains.
fn rebased(
    texts: Texts,
    mut translations: Translations,
    language: Option<Language>,
    base: Language,
) -> Rebased {
    let Some(language) = language.filter(|&language| language != base) else {
        return Rebased { texts, translations, in_base_language: None };
    };
    let tag = translations.keys().find(|tag| base.is(tag)).cloned();
    let found = tag.and_then(|tag| translations.remove(&tag));
    let mut base_texts = found.as_ref().unwrap_or(&texts).clone();
    if base_texts.description.is_empty() {
        base_texts.description.clone_from(&texts.description);
    }
    if let Some(own) = translations.iter_mut().find_map(|(tag, own)| language.is(tag).then_some(own)) {
        // without a description, it was shown with that of the base texts, which are others now
        if found.is_some() && own.description.is_empty() {
            own.description = texts.description;
        }
    } else {
        translations.insert(language.tag().to_owned(), texts);
    }
    let in_base_language = Some(found.unwrap_or_default()).filter(|found| *found != base_texts);
    Rebased { texts: base_texts, translations, in_base_language }
}

/// Refuses an empty text.
fn required(text: String, pointer: &str) -> Result<String, String> {
    if text.is_empty() { Err(format!("{pointer}: empty")) } else { Ok(text) }
}

/// Returns the given slug, or else one derived from the name.
fn slug_or_derived(given: Option<String>, name: &str) -> Result<String, String> {
    required(given.unwrap_or_else(|| slug(name)), "/slug")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(name: &str, description: &str) -> Texts {
        Texts { name: name.into(), description: description.into() }
    }

    fn translations<const N: usize>(texts: [(&str, Texts); N]) -> Translations {
        texts.map(|(tag, texts)| (tag.to_owned(), texts)).into()
    }

    #[test]
    fn texts_in_another_language_than_that_of_the_store_become_a_translation() {
        let [en, de]: [Language; 2] = ["en", "de"].map(|tag| tag.parse().unwrap());
        let (tea, tee) = (texts("Tea", "Hot"), texts("Tee", ""));
        let with_german = || translations([("DE", tee.clone()), ("fr", texts("Thé", ""))]);
        let as_they_are =
            || Rebased { texts: tea.clone(), translations: with_german(), in_base_language: None };
        assert_eq!(rebased(tea.clone(), with_german(), Some(en), en), as_they_are());
        assert_eq!(
            rebased(tea.clone(), with_german(), None, de),
            as_they_are(),
            "they are in the language of the store"
        );

        // a translation without a description shows that of the base texts
        let exchanged = Rebased {
            texts: texts("Tee", "Hot"),
            translations: translations([("en", tea.clone()), ("fr", texts("Thé", ""))]),
            in_base_language: Some(tee.clone()),
        };
        assert_eq!(rebased(tea.clone(), with_german(), Some(en), de), exchanged);
        let all = rebased(tea.clone(), translations([("de", texts("Tee", "Heiß"))]), Some(en), de);
        assert_eq!((all.texts, all.in_base_language), (texts("Tee", "Heiß"), None));

        // with translations into the base language and into their own
        let both = |description| {
            let black = texts("Black tea", description);
            rebased(tea.clone(), translations([("de", tee.clone()), ("EN", black)]), Some(en), de)
        };
        for (description, shown) in [("", "Hot"), ("Strong", "Strong")] {
            let Rebased { texts: base_texts, translations: others, .. } = both(description);
            assert_eq!(base_texts, texts("Tee", "Hot"));
            assert_eq!(others, translations([("EN", texts("Black tea", shown))]));
        }

        // without a translation into the base language, and with one into their own
        let own = translations([("en", texts("Black tea", ""))]);
        for (given, expected) in
            [(Translations::new(), translations([("en", tea.clone())])), (own.clone(), own)]
        {
            let kept =
                Rebased { texts: tea.clone(), translations: expected, in_base_language: Some(texts("", "")) };
            assert_eq!(rebased(tea.clone(), given, Some(en), de), kept);
        }
    }
}
