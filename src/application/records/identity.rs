//! Ids that follow from the source's own keys, so that an import can be repeated or continued, and writes the same to
//! every database.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::context::Context;
use crate::domain::ids::{CategoryId, DiscountId, ProductId, ShippingMethodId, UserId, VariantId};

/// The namespace of the ids of one kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    namespace: &'static str,
}

impl Identity {
    /// Returns a namespace. Equal keys of different namespaces have different ids.
    pub(crate) const fn new(namespace: &'static str) -> Self {
        Self { namespace }
    }

    /// Returns the id of the category with this key.
    pub(crate) fn category(self, key: &str) -> CategoryId {
        self.derive("category", key).into()
    }

    /// Returns the id of the product with this key.
    pub(crate) fn product(self, key: &str) -> ProductId {
        self.derive("product", key).into()
    }

    /// Returns the id of the variant with this key.
    pub(crate) fn variant(self, key: &str) -> VariantId {
        self.derive("variant", key).into()
    }

    /// Returns the id of the customer with this key.
    pub(crate) fn customer(self, key: &str) -> UserId {
        self.derive("customer", key).into()
    }

    /// Returns the id of the shipping method with this key.
    pub(crate) fn shipping_method(self, key: &str) -> ShippingMethodId {
        self.derive("shipping_method", key).into()
    }

    /// Returns the id of the discount with this key.
    pub(crate) fn discount(self, key: &str) -> DiscountId {
        self.derive("discount", key).into()
    }

    /// Returns the id of the order with this key.
    pub(crate) fn order(self, key: &str) -> Uuid {
        self.derive("order", key)
    }

    /// Returns the id of the credit note of the cancellation with this key.
    pub(crate) fn credit_note(self, key: &str) -> Uuid {
        self.derive("credit_note", key)
    }

    /// Returns a UUID of version 8: SHA-256 over namespace, kind and key, each preceded by its length, so that no two
    /// triples have the same input.
    pub(crate) fn derive(self, kind: &str, key: &str) -> Uuid {
        let mut hash = Sha256::new();
        for part in [self.namespace, kind, key] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// Returns the context in which a record is written: its own time, and ids that follow from its id.
pub(crate) fn context_of(id: &impl ToString, at: Timestamp) -> Context {
    Context::seeded(id.to_string(), at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_has_the_same_id_for_ever() {
        // a change here would make every repeated import a second copy of the store
        let id = Identity::new("online-retail").product("85123A").to_string();
        assert_eq!(id, "408a5d9e-b19c-8c08-bdea-93f62c7553f3");
    }

    #[test]
    fn namespace_kind_case_and_key_all_count() {
        let ids = [
            Identity::new("a").derive("b", "c"),
            Identity::new("x").derive("b", "c"),
            Identity::new("a").derive("x", "c"),
            Identity::new("a").derive("b", "C"),
            Identity::new("ab").derive("", "c"),
            Identity::new("a").derive("bc", ""),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.into_iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert!(ids.iter().all(|id| id.get_version_num() == 8));
    }
}
