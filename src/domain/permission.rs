//! Permissions: what an administrator may do with each kind of resource. A role of the staff and an API key have a set
//! of them.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::state::{State, states};

states! {
    /// What an operation of administrators is about: the first segment of its path below `/admin/v1/`, or what is
    /// stated for the operation.
    Resource, "resource", {
        /// API keys of all users.
        ApiKeys = "api-keys" -> [],
        /// The audit log.
        AuditLog = "audit-log" -> [],
        /// The caches of what shoppers read.
        Caches = "caches" -> [],
        /// The category tree.
        Categories = "categories" -> [],
        /// Events that a subscriber could not handle.
        DeadLetters = "dead-letters" -> [],
        /// Discounts and their codes.
        Discounts = "discounts" -> [],
        /// E-mails that the store sends.
        Emails = "emails" -> [],
        /// The log of events.
        Events = "events" -> [],
        /// Feature flags.
        FeatureFlags = "feature-flags" -> [],
        /// Files of products.
        Files = "files" -> [],
        /// The stock of variants.
        Inventory = "inventory" -> [],
        /// Jobs and schedules.
        Jobs = "jobs" -> [],
        /// Orders with their payments and invoices.
        Orders = "orders" -> [],
        /// Products with their variants.
        Products = "products" -> [],
        /// Refunds of orders.
        Refunds = "refunds" -> [],
        /// Reviews of products.
        Reviews = "reviews" -> [],
        /// Roles, and which users have them.
        Roles = "roles" -> [],
        /// Shipping methods.
        ShippingMethods = "shipping-methods" -> [],
        /// Subscribers of events.
        Subscribers = "subscribers" -> [],
        /// Subscriptions of customers.
        Subscriptions = "subscriptions" -> [],
        /// Tax rules.
        Taxes = "taxes" -> [],
        /// Users and their accounts.
        Users = "users" -> [],
        /// Deliveries to webhook endpoints.
        WebhookDeliveries = "webhook-deliveries" -> [],
        /// Webhook endpoints.
        WebhookEndpoints = "webhook-endpoints" -> [],
    }
}

states! {
    /// What an operation does with its resource.
    Action, "action", {
        /// It only reads.
        Read = "read" -> [],
        /// It changes something.
        Write = "write" -> [],
    }
}

/// A permission: to read or to write one kind of resource. Its name is `<resource>:<action>`, such as
/// `products:write`. The permission to write does not include the one to read: it shows no list and nothing by its id,
/// but the response to a change shows the whole of what was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// The resource.
    pub resource: Resource,
    /// The action.
    pub action: Action,
}

/// The permissions that no operation requires: nothing changes the audit log or the log of events, and refunds are read
/// with their orders. They are not offered; roles and API keys that were stored with one of them do not have it.
const UNUSED: [Permission; 3] = [
    Permission::write(Resource::AuditLog),
    Permission::write(Resource::Events),
    Permission::read(Resource::Refunds),
];

/// A set of permissions. Its operations are those of an integer.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u128);

/// The error for a text that is not the name of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a permission, such as products:write")]
pub struct UnknownPermission;

impl Permission {
    /// Returns the permission to read a resource.
    pub const fn read(resource: Resource) -> Self {
        Self { resource, action: Action::Read }
    }

    /// Returns the permission to write a resource.
    pub const fn write(resource: Resource) -> Self {
        Self { resource, action: Action::Write }
    }

    /// Returns all permissions that an operation requires, in the order of the resources.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = |&resource: &Resource| [Self::read(resource), Self::write(resource)];
        Resource::ALL.iter().flat_map(both).filter(|permission| permission.is_used())
    }

    /// Returns whether an operation requires the permission.
    pub fn is_used(self) -> bool {
        !UNUSED.contains(&self)
    }

    /// Returns the number of the permission, by which a set has it. It is never stored.
    const fn bit(self) -> u32 {
        self.resource as u32 * 2 + self.action as u32
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource.name(), self.action.name())
    }
}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(name: &str) -> Result<Self, UnknownPermission> {
        let (resource, action) = name.split_once(':').ok_or(UnknownPermission)?;
        let resource = Resource::parse(resource).ok_or(UnknownPermission)?;
        let permission = Self { resource, action: Action::parse(action).ok_or(UnknownPermission)? };
        Some(permission).filter(|permission| permission.is_used()).ok_or(UnknownPermission)
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl PartialSchema for Permission {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A permission: a resource of `/admin/v1` and `read` or `write`."))
            .enum_values(Some(Self::all().map(|permission| permission.to_string())))
            .into()
    }
}

impl ToSchema for Permission {}

// A set has room for all permissions.
const _: () = assert!(Resource::ALL.len() * Action::ALL.len() <= u128::BITS as usize);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);
    /// All permissions, also those of later versions of the program: it is never stored.
    pub const ALL: Self = Self(u128::MAX);

    /// Returns whether the set has a permission.
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission.bit()) != 0
    }

    /// Returns whether the set has all permissions of another one.
    pub const fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Returns the permissions that both sets have.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the permissions, in the order of the resources.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::all().filter(move |&permission| self.contains(permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | 1 << permission.bit()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|permission| permission.to_string())).finish()
    }
}

/// A list of names.
impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Reads a stored list. Names that this version of the program does not know give no permission.
impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_has_a_name_and_a_bit_of_its_own() {
        let all: Vec<_> = Permission::all().collect();
        assert_eq!(all.len(), Resource::ALL.len() * 2 - UNUSED.len());
        for (index, &permission) in all.iter().enumerate() {
            assert_eq!(permission.to_string().parse(), Ok(permission));
            let alone: Permissions = [permission].into_iter().collect();
            let found: Vec<_> = all
                .iter()
                .enumerate()
                .filter(|(_, other)| alone.contains(**other))
                .map(|(at, _)| at)
                .collect();
            assert_eq!(found, [index]);
        }
        let unused = UNUSED.map(|permission| permission.to_string());
        let unused = unused.iter().map(String::as_str);
        let others = ["", "products", "products:", "products:delete", "Products:read", "sheep:read"];
        for unknown in others.into_iter().chain(unused) {
            assert_eq!(unknown.parse::<Permission>(), Err(UnknownPermission), "{unknown}");
        }
    }

    #[test]
    fn sets_are_compared_and_intersected() {
        let set =
            |names: &[&str]| -> Permissions { names.iter().map(|name| name.parse().unwrap()).collect() };
        let (both, one) = (set(&["orders:read", "orders:write"]), set(&["orders:read", "users:read"]));
        assert!(Permissions::ALL.includes(both) && both.includes(Permissions::NONE));
        assert!(!both.includes(one) && !both.includes(Permissions::ALL));
        assert_eq!(both.intersection(one), set(&["orders:read"]));
        assert_eq!(Permissions::ALL.intersection(one), one);
        assert_eq!(one.iter().map(|one| one.to_string()).collect::<Vec<_>>(), ["orders:read", "users:read"]);
        assert_eq!(Permissions::ALL.iter().count(), Permission::all().count());
    }

    #[test]
    fn a_stored_list_may_have_names_of_other_versions() {
        let read: Permissions =
            serde_json::from_str(r#"["taxes:read", "sheep:shear", "events:write"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["taxes:read"]"#);
        assert!(serde_json::from_str::<Permission>(r#""sheep:shear""#).is_err());
    }
}
