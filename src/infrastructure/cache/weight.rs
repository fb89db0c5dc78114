//! The bytes of values, for the bounds of their caches: the sizes of their types and texts.

use std::collections::BTreeMap;

use crate::domain::address::Address;
use crate::domain::product::Translations;
use crate::domain::tax::TaxClass;

/// What the allocator keeps for a text beside its bytes, about.
const ALLOCATION: usize = 16;
/// The most entries of a node of a map, which are allocated together.
const NODE: usize = 11;

/// Returns the bytes of texts.
pub(super) fn texts<const N: usize>(texts: [&String; N]) -> usize {
    texts.into_iter().map(text).sum()
}

/// Returns the bytes of texts, as far as there are any.
pub(super) fn optional<const N: usize>(texts: [&Option<String>; N]) -> usize {
    texts.into_iter().flatten().map(text).sum()
}

/// Returns the bytes of a list of texts.
pub(super) fn list(texts: &[String]) -> usize {
    size_of_val(texts) + texts.iter().map(text).sum::<usize>()
}

/// Returns the bytes of the texts of an address.
pub(super) fn address(address: &Address) -> usize {
    let Address { name, line1, line2, city, region, postal_code, country: _ } = address;
    texts([name, line1, city, postal_code]) + optional([line2, region])
}

/// Returns the bytes of translations.
pub(super) fn translations(translations: &Translations) -> usize {
    let of_texts = translations.iter().map(|(tag, of)| texts([tag, &of.name, &of.description]));
    nodes(translations) + of_texts.sum::<usize>()
}

/// Returns the bytes of a tax class, if there is one.
pub(super) fn tax_class(class: Option<&TaxClass>) -> usize {
    class.map_or(0, |class| ALLOCATION + class.as_str().len())
}

/// Returns the bytes of the nodes of a map, about: they are half full at least. What the keys and values have outside
/// of them is not included.
pub(super) fn nodes<K, V>(map: &BTreeMap<K, V>) -> usize {
    let node = ALLOCATION + NODE * (size_of::<K>() + size_of::<V>());
    node * map.len().div_ceil(NODE.div_ceil(2))
}

/// Returns a weight as an entry has it.
pub(super) fn capped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn text(text: &String) -> usize {
    ALLOCATION + text.capacity()
}
