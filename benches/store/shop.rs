//! The store that is measured: a thousand products of three variants each, a tax rule and a shipping method.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use undercroft::application::{AccountPages, AccountTerms, IdentityTerms, Store, Terms, VerifiedEmail};
use undercroft::domain::address::Address;
use undercroft::domain::category::Category;
use undercroft::domain::context::Context;
use undercroft::domain::ids::{CategoryId, ProductId, VariantId};
use undercroft::domain::language::Language;
use undercroft::domain::money::Currency;
use undercroft::domain::product::{Product, Variant};
use undercroft::domain::shipping::{ShippingMethod, ShippingRate};
use undercroft::domain::tax::{TaxClass, TaxRate, TaxRule};
use undercroft::infrastructure::Infrastructure;
use undercroft::infrastructure::adapters::{
    AdapterSettings, CallLimits, CertificateAuthorities, Files, FilesUrl,
};
use undercroft::infrastructure::repositories::{
    Database, DatabaseError, ProductRepository, SaveError, Setup, TaxRepository, UnitOfWork,
};

use crate::Outcome;

/// The products of the catalogue.
const PRODUCTS: usize = 1_000;
/// The variants of a product.
const VARIANTS: usize = 3;
/// The categories; each product is in one of them.
const CATEGORIES: usize = 20;
/// The products inserted in one unit of work.
const BATCH: usize = 100;
/// The pieces of each variant: more than all measurements buy.
const STOCK: i64 = 100_000_000;

/// A store with its products.
pub(crate) struct Shop {
    /// The store.
    pub store: Store,
    /// The products.
    pub products: Vec<ProductId>,
    /// The variants of the products.
    pub variants: Vec<VariantId>,
}

impl Shop {
    /// Opens the store at `url`, and fills it if its database is empty.
    pub(crate) async fn open(url: &str) -> Outcome<Self> {
        let database = Database::open(&url.parse()?, Context::system(), Setup::IfEmpty).await?;
        let products: Vec<ProductId> =
            database.read().await?.all("SELECT id FROM products ORDER BY id", &[]).await?;
        if products.is_empty() {
            fill(&database).await?;
        }
        let mut connection = database.read().await?;
        let products = connection.all("SELECT id FROM products ORDER BY id", &[]).await?;
        let variants = connection.all("SELECT id FROM variants ORDER BY id", &[]).await?;
        drop(connection);
        let calls = CallLimits { timeout: Duration::from_secs(20), concurrency: 16 };
        let adapters = AdapterSettings {
            calls,
            sandbox: true,
            public_url: String::new(),
            mail: None,
            files: Files::new(&FilesUrl::Folder("files".into()), Path::new("/nonexistent"), 0),
            private_webhooks: true,
            authorities: CertificateAuthorities::default(),
        };
        let store = Store::new(Infrastructure::new(database, adapters), terms()?);
        Ok(Self { store, products, variants })
    }
}

/// A folder for the databases, on the disk of the build; removed when it is dropped.
pub(crate) fn folder() -> Outcome<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// Copies a database file that has no open connections.
pub(crate) fn copy(template: &Path, name: &str) -> Outcome<PathBuf> {
    let file = template.with_file_name(name);
    let _ = std::fs::remove_file(&file);
    let connection = rusqlite::Connection::open(template)?;
    connection.execute("VACUUM INTO $1", [file.display().to_string()])?;
    Ok(file)
}

/// The address of all orders.
pub(crate) fn address() -> Outcome<Address> {
    Ok(Address {
        name: "Ann Buyer".into(),
        line1: "Marktplatz 1".into(),
        line2: None,
        city: "Bremen".into(),
        region: None,
        postal_code: "28195".into(),
        country: "DE".parse()?,
    })
}

fn terms() -> Outcome<Terms> {
    Ok(Terms {
        name: "Bench".into(),
        identities: IdentityTerms::default(),
        issuer: "https://shop.example".into(),
        access_token_audiences: Vec::new(),
        base_language: Language::EN,
        default_currency: Currency::EUR,
        default_country: "DE".parse()?,
        session: SignedDuration::from_hours(24),
        session_idle: SignedDuration::from_hours(24),
        cart: SignedDuration::from_hours(24),
        reservation: SignedDuration::from_mins(30),
        guest_reservation: SignedDuration::from_mins(30),
        holds: None,
        cancellation: SignedDuration::from_hours(24),
        idempotency: SignedDuration::from_hours(24),
        capture_at_checkout: true,
        cart_bounds: Arc::default(),
        age_rules: Arc::new([]),
        verified_email: VerifiedEmail::default(),
        accounts: AccountTerms::default(),
        pages: AccountPages::default(),
        sandbox_emails: false,
    })
}

async fn fill(database: &Database) -> Outcome<()> {
    let standard = TaxClass::default();
    let rule = TaxRule {
        country: "DE".parse()?,
        tax_class: standard.clone(),
        rate: TaxRate { basis_points: 1900, inclusive: true },
    };
    let categories: Vec<CategoryId> = database
        .write((rule, standard), async |work, (rule, standard)| {
            TaxRepository::replace(work, std::slice::from_ref(rule)).await?;
            let parcel = parcel(work.id(), standard.clone());
            work.insert(&parcel).await?;
            let mut categories = Vec::new();
            for number in 0..CATEGORIES {
                let category = category(work, number, standard);
                work.insert(&category).await?;
                categories.push(category.id);
            }
            Ok::<_, DatabaseError>(categories)
        })
        .await?;
    for first in (0..PRODUCTS).step_by(BATCH) {
        let categories = categories.clone();
        database
            .write((first, categories), async |work, (first, categories)| {
                for number in *first..first + BATCH {
                    let product = product(work, number, categories[number % CATEGORIES]);
                    let stock = product.variants.iter().map(|variant| (variant.id, Some(STOCK))).collect();
                    ProductRepository::insert(work, &product, &stock).await?;
                }
                Ok::<_, SaveError>(())
            })
            .await?;
    }
    Ok(())
}

fn parcel(id: undercroft::domain::ids::ShippingMethodId, tax_class: TaxClass) -> ShippingMethod {
    ShippingMethod {
        id,
        code: "parcel".into(),
        name: "Parcel".into(),
        translations: BTreeMap::new(),
        tax_class,
        position: 1,
        active: true,
        rates: vec![ShippingRate { country: None, currency: Currency::EUR, amount: 490, free_from: None }],
    }
}

fn category(work: &UnitOfWork, number: usize, tax_class: &TaxClass) -> Category {
    Category {
        id: work.id(),
        slug: format!("category-{number}"),
        name: format!("Category {number}"),
        parent_id: None,
        position: 0,
        tax_class: Some(tax_class.clone()),
        translations: BTreeMap::new(),
        version: 1,
        created_at: work.now(),
        updated_at: work.now(),
    }
}

fn product(work: &UnitOfWork, number: usize, category_id: CategoryId) -> Product {
    let id = work.id();
    let variant = |size: usize| {
        let prices = BTreeMap::from([(Currency::EUR, 1_990), (Currency::USD, 2_190)]);
        Variant {
            options: vec![["small", "medium", "large"][size % 3].to_owned()],
            ..Variant::new(work.id(), id, format!("SKU-{number}-{size}"), prices)
        }
    };
    let name = format!("Oak chair number {number}");
    Product {
        description: "Solid oak, oiled by hand, with a seat that is comfortable for a whole evening. \
                      It comes in three sizes, with felt glides for any floor."
            .into(),
        category_id: Some(category_id),
        options: vec!["size".into()],
        variants: (0..VARIANTS).map(variant).collect(),
        ..Product::new(id, format!("product-{number}"), name, work.now())
    }
}
