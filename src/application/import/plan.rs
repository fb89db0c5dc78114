//! From records to tasks: what is to be written is made up before the database is asked, so that a unit of work that is
//! run again does the same again.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::originals::{Originals, Traced};
use super::record::{ImportedCategory, ImportedCustomer, ImportedInvoice, ImportedProduct, Record};
use crate::domain::category::Category;
use crate::domain::discount::Discount;
use crate::domain::ids::{CategoryId, OrderId, UserId, VariantId};
use crate::domain::product::{Product, Variant};
use crate::domain::shipping::ShippingMethod;
use crate::domain::tax::TaxRule;
use crate::domain::user::{Preferences, Role, User};

/// Something to be written.
#[derive(Debug)]
pub(super) enum Task {
    Category(Category),
    TaxRule(TaxRule),
    ShippingMethod(ShippingMethod),
    /// A product, with the stock of its variants.
    Product(Product, BTreeMap<VariantId, i64>),
    Discount(Discount),
    Customer(User, Option<Preferences>),
    Order(Sale),
    Cancellation(Return),
}

/// An order that was placed.
#[derive(Debug)]
pub(super) struct Sale {
    pub invoice: ImportedInvoice,
    pub buyer: Buyer,
}

/// Goods that came back.
#[derive(Debug)]
pub(super) struct Return {
    pub invoice: ImportedInvoice,
    pub buyer: Buyer,
    pub traced: Traced,
}

/// What a source without addresses knows of a buyer.
#[derive(Debug, Clone)]
pub(super) struct Buyer {
    pub name: String,
    pub email: String,
}

/// Makes tasks of records, in their order.
pub(super) struct Planner {
    dated: Timestamp,
    children: HashMap<Option<CategoryId>, i64>,
    buyers: HashMap<UserId, Buyer>,
    originals: Originals,
}

impl Planner {
    /// What has no date of its own is as old as the file that tells of it.
    pub(super) fn new(dated: Timestamp) -> Self {
        Self { dated, children: HashMap::new(), buyers: HashMap::new(), originals: Originals::default() }
    }

    /// The task that a record stands for.
    pub(super) fn task(&mut self, record: Record) -> Task {
        match record {
            Record::Category(category) => Task::Category(self.category(category)),
            Record::TaxRule(rule) => Task::TaxRule(rule),
            Record::ShippingMethod(method) => Task::ShippingMethod(method),
            Record::Product(product) => self.product(product),
            Record::Discount(discount) => Task::Discount(discount.dated(self.dated)),
            Record::Customer(customer) => self.customer(customer),
            Record::Order(invoice) => Task::Order(Sale { buyer: self.buyer(&invoice), invoice }),
            Record::Cancellation(invoice) => {
                let traced = self.originals.trace(&invoice);
                Task::Cancellation(Return { buyer: self.buyer(&invoice), traced, invoice })
            }
        }
    }

    /// Remembers those lines of an order that the store has taken: cancellations are traced to them.
    pub(super) fn remember(&mut self, invoice: &ImportedInvoice, is_taken: impl Fn(usize) -> bool) {
        let Some(customer) = invoice.customer else { return };
        let taken = invoice.lines.iter().enumerate().filter(|(index, _)| is_taken(*index));
        self.originals.remember(OrderId(invoice.id), customer, taken.map(|(_, line)| line));
    }

    fn category(&mut self, category: ImportedCategory) -> Category {
        let position = self.children.entry(category.parent).or_default();
        *position += 1;
        let created_at = category.created_at.unwrap_or(self.dated);
        Category {
            id: category.id,
            slug: category.slug,
            name: category.name,
            parent_id: category.parent,
            position: *position,
            tax_class: category.tax_class,
            translations: category.translations,
            version: 1,
            created_at,
            updated_at: created_at,
        }
    }

    fn product(&self, product: ImportedProduct) -> Task {
        let created_at = product.created_at.unwrap_or(self.dated);
        let stock = product.variants.iter().map(|variant| (variant.id, variant.stock)).collect();
        let variants = product.variants.into_iter().map(|variant| Variant {
            id: variant.id,
            product_id: product.id,
            sku: variant.sku,
            options: variant.options,
            active: variant.active,
            prices: variant.prices,
        });
        let product = Product {
            id: product.id,
            slug: product.slug,
            name: product.name,
            description: product.description,
            category_id: product.category,
            kind: product.kind,
            billing_interval: product.billing_interval,
            minimum_age: product.minimum_age,
            tax_class: product.tax_class,
            active: product.active,
            options: product.options,
            translations: product.translations,
            rating_sum: 0,
            rating_count: 0,
            version: 1,
            created_at,
            updated_at: created_at,
            variants: variants.collect(),
        };
        Task::Product(product, stock)
    }

    fn customer(&mut self, customer: ImportedCustomer) -> Task {
        let created_at = customer.created_at.unwrap_or(self.dated);
        let email = customer.email.unwrap_or_else(|| nowhere(&customer.key, customer.id.0));
        self.buyers.insert(customer.id, Buyer { name: customer.name.clone(), email: email.clone() });
        let wishes = customer.wishes.map(|wishes| Preferences {
            user_id: customer.id,
            locale: wishes.locale,
            currency: wishes.currency,
            marketing_consent: wishes.marketing_consent,
            consent_at: wishes.consent_at,
            version: 1,
            updated_at: created_at,
        });
        let user = User {
            id: customer.id,
            email,
            name: customer.name,
            password_hash: None,
            role: Role::Customer,
            birth_date: customer.birth_date,
            email_verified_at: customer.email_verified_at,
            erased_at: None,
            version: 1,
            created_at,
            updated_at: created_at,
        };
        Task::Customer(user, wishes)
    }

    /// The buyer of an invoice: a customer of the file, or a guest.
    fn buyer(&self, invoice: &ImportedInvoice) -> Buyer {
        let known = invoice.customer.and_then(|id| self.buyers.get(&id));
        known.cloned().unwrap_or_else(|| Buyer {
            name: "Guest".to_owned(),
            email: nowhere(&format!("guest-{}", invoice.key), invoice.id),
        })
    }
}

/// An address that says where somebody came from and that no mail ever reaches (RFC 2606).
fn nowhere(key: &str, id: Uuid) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=64).contains(&key.len()) && key.chars().all(plain) {
        format!("{}@customers.invalid", key.to_lowercase())
    } else {
        format!("{}@customers.invalid", id.simple())
    }
}
