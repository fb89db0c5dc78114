//! Numbers from the beginnings of digests.

/// Returns the first eight bytes of a digest as a number, most significant byte first.
pub(crate) fn first_u64(digest: &[u8; 32]) -> u64 {
    u64::from_be_bytes(first(digest))
}

/// Returns the first sixteen bytes of a digest as a number, most significant byte first.
pub(crate) fn first_u128(digest: &[u8; 32]) -> u128 {
    u128::from_be_bytes(first(digest))
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|place| digest[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_is_the_most_significant_one() {
        let mut digest = [0; 32];
        for (place, byte) in digest.iter_mut().zip(0_u8..) {
            *place = byte;
        }
        assert_eq!(first_u64(&digest), 0x0001_0203_0405_0607);
        assert_eq!(first_u128(&digest), 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
    }
}
