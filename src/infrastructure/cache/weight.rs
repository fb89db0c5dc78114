//! The bytes of values of shoppers, for the bounds of their caches: the sizes of their types and texts.

use crate::domain::address::Address;

/// What the allocator keeps for a text beside its bytes, about.
const ALLOCATION: usize = 16;

/// Returns the bytes of texts.
pub(super) fn texts<const N: usize>(texts: [&String; N]) -> usize {
    texts.iter().map(|text| ALLOCATION + text.capacity()).sum()
}

/// Returns the bytes of texts, as far as there are any.
pub(super) fn optional<const N: usize>(texts: [&Option<String>; N]) -> usize {
    texts.iter().copied().flatten().map(|text| ALLOCATION + text.capacity()).sum()
}

/// Returns the bytes of the texts of an address.
pub(super) fn address(address: &Address) -> usize {
    let Address { name, line1, line2, city, region, postal_code, country: _ } = address;
    texts([name, line1, city, postal_code]) + optional([line2, region])
}

/// Returns a weight as an entry has it.
pub(super) fn capped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
