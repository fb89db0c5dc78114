//! The names of `WooCommerce`'s columns in other languages than English: an export has those of the shop's language.
//!
//! `headers/` has a file for each language. The names are those that `class-wc-product-csv-exporter.php` takes from
//! `WooCommerce`'s translations (`woocommerce-de_DE.po` and the like, of <https://translate.wordpress.org>), in
//! releases between 2020 and 2026: de, es, fr, it, nl, pl and pt from 2021 on, pl also of 2025, it and ru also of 2026.
//! A name that was changed stands after the newer one. `pt` has the names of Portugal and of Brazil.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::application::import::line::Fields;

/// The files of the languages.
const LANGUAGES: [&str; 15] = [
    include_str!("headers/da.toml"),
    include_str!("headers/de.toml"),
    include_str!("headers/el.toml"),
    include_str!("headers/es.toml"),
    include_str!("headers/fi.toml"),
    include_str!("headers/fr.toml"),
    include_str!("headers/it.toml"),
    include_str!("headers/nb.toml"),
    include_str!("headers/nl.toml"),
    include_str!("headers/pl.toml"),
    include_str!("headers/pt.toml"),
    include_str!("headers/ru.toml"),
    include_str!("headers/sv.toml"),
    include_str!("headers/tr.toml"),
    include_str!("headers/uk.toml"),
];

/// The names of columns in a language, normalized, by their English names.
struct Language(BTreeMap<String, Vec<String>>);

/// The languages of the files.
static OTHERS: LazyLock<Vec<Language>> =
    LazyLock::new(|| LANGUAGES.iter().filter_map(|file| Language::parse(file).ok()).collect());

/// The English names, those of all languages.
static ENGLISH: LazyLock<Language> = LazyLock::new(|| {
    let names = OTHERS.iter().flat_map(|Language(names)| names.keys());
    Language::of(names.map(|name| (name.clone(), vec![name.clone()])).collect())
});

impl Language {
    /// Reads the file of a language. A test reads all files.
    fn parse(file: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(file).map(Self::of)
    }

    fn of(mut names: BTreeMap<String, Vec<String>>) -> Self {
        for name in names.values_mut().flatten() {
            *name = normalized(name);
        }
        Self(names)
    }

    /// Returns the English name of a column, if it is known in this language.
    fn english(&self, column: &str) -> Option<String> {
        let column = normalized(column);
        self.0.iter().find_map(|(english, names)| {
            let found = names.iter().find_map(|name| placeholder_of(&column, name))?;
            Some(english.replace("%d", found).replace("%s", found))
        })
    }

    /// Returns the number of columns of a header that are known in this language.
    fn known(&self, header: &Fields) -> usize {
        header.iter().filter(|column| self.english(column).is_some()).count()
    }
}

/// Returns a header with the English names of its columns, if more of them are known in another language than in
/// English. Columns that are not known keep their names.
pub(in super::super) fn in_english(header: &Fields) -> Fields {
    let mut best = (&*ENGLISH, ENGLISH.known(header));
    for language in &*OTHERS {
        let known = language.known(header);
        if known > best.1 {
            best = (language, known);
        }
    }
    let names: Vec<_> =
        header.iter().map(|column| best.0.english(column).unwrap_or_else(|| column.to_owned())).collect();
    names.iter().map(String::as_str).collect()
}

/// Returns the part of a column's name that stands for `%d` or `%s` in a known name; it is empty for a known name
/// without either. Both names are normalized.
fn placeholder_of<'a>(column: &'a str, known: &str) -> Option<&'a str> {
    let Some((before, after)) = known.split_once("%d").or_else(|| known.split_once("%s")) else {
        return (column == known).then_some("");
    };
    let part = column.strip_prefix(before)?.strip_suffix(after)?;
    let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number || known.contains("%s")).then_some(part)
}

/// Returns a name in lower case, with single spaces and straight apostrophes.
fn normalized(name: &str) -> String {
    let words: Vec<_> = name.split_whitespace().collect();
    words.join(" ").replace('’', "'").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_names_the_columns_that_are_read_each_by_another_name() {
        for file in LANGUAGES {
            let language = Language::parse(file).unwrap();
            let names = |english: &str| language.0.get(english).expect(english);
            for english in [
                "ID",
                "Type",
                "SKU",
                "Name",
                "Published",
                "Stock",
                "Regular price",
                "Parent",
                "Attribute %d name",
            ] {
                assert!(!names(english).is_empty());
            }
            let mut all: Vec<_> = language.0.values().flatten().collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{}", file.lines().next().unwrap_or_default());
        }
    }

    #[test]
    fn an_english_header_stays_as_it_is() {
        let header: Fields = ["ID", "Type", "SKU", "Name", "Tag", "Attribute 1 name"].into_iter().collect();
        assert_eq!(in_english(&header), header);
    }

    #[test]
    fn numbers_and_texts_in_a_name_are_kept() {
        let french = ["UGS", "Nom", "NOM  de l'attribut 12", "Poids (kg)", "Méta : _color", "Ma colonne"];
        let english = ["SKU", "Name", "Attribute 12 name", "Weight (kg)", "Meta: _color", "Ma colonne"];
        assert_eq!(in_english(&french.into_iter().collect()), english.into_iter().collect());
    }
}
