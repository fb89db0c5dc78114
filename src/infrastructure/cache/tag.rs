//! Tags: names under which entries are dropped together.

use crate::infrastructure::repositories::CacheTag;

/// A tag, as the hash of its text. Two texts with one hash drop more than they need to, and nothing too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(u64);

impl Tag {
    /// Returns the tag with this text, such as `product:ID`; the same on every machine (FNV-1a, 64 bits).
    pub fn of(text: &str) -> Self {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        Self(text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl From<CacheTag> for Tag {
    fn from(tag: CacheTag) -> Self {
        Self::of(&tag.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_its_authors() {
        // test vectors of Fowler, Noll and Vo: http://www.isthe.com/chongo/src/fnv/test_fnv.c
        assert_eq!(Tag::of("").to_bits(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Tag::of("a").to_bits(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Tag::of("foobar").to_bits(), 0x8594_4171_f739_67e8);
    }
}
