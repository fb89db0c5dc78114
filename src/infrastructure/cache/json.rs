//! JSON as the shape of values that processes share.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shared_tier::Shape;

/// Appends a value; nothing if it cannot be written, since an incomplete text is not read.
pub(super) fn write(value: &impl Serialize, out: &mut Vec<u8>) {
    let length = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(length);
    }
}

/// Reads a value; `None` if the bytes are none.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// A value whose clones share it.
impl<T: Serialize + DeserializeOwned> Shape for Arc<T> {
    fn write(&self, out: &mut Vec<u8>) {
        write(&**self, out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        read(bytes).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_and_an_incomplete_text_is_none() {
        let (value, mut bytes) = (Arc::new(vec![1, 2]), b"before".to_vec());
        value.write(&mut bytes);
        assert_eq!(bytes, b"before[1,2]");
        assert_eq!(<Arc<Vec<i32>> as Shape>::read(b"[1,2]"), Some(value));
        assert_eq!(<Arc<Vec<i32>> as Shape>::read(b"[1,"), None);
        assert_eq!(<Arc<Vec<i32>> as Shape>::read(b""), None);
    }
}
