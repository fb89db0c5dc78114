//! A generated catalogue: the same products for the same size.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use undercroft::domain::category::Category;
use undercroft::domain::ids::{CategoryId, ProductId, VariantId};
use undercroft::domain::money::Currency;
use undercroft::domain::product::{Product, Variant};
use undercroft::infrastructure::repositories::{
    Database, DatabaseError, ProductRepository, SaveError, UnitOfWork,
};
use uuid::Uuid;

/// The products inserted in one unit of work.
const BATCH: usize = 500;
/// The categories; one in eleven has no parent.
const CATEGORIES: u64 = 110;
/// The words of descriptions; the first ones are the most frequent.
const VOCABULARY: u64 = 30_000;

/// Generates products, and the queries that find them.
pub(crate) struct GeneratedCatalogue {
    size: usize,
    random: Random,
}

impl GeneratedCatalogue {
    /// Fills the database up to `size` products.
    pub(crate) async fn load(database: &Database, size: usize) -> Self {
        let mut catalogue = Self { size, random: Random(42) };
        let sql = "SELECT COUNT(*) FROM products";
        let mut connection = database.read().await.expect("a connection");
        let there = connection.one::<i64>(sql, &[]).await.expect("a count");
        drop(connection);
        let there = usize::try_from(there).unwrap_or(0);
        if there == 0 {
            let added: Result<(), DatabaseError> =
                database.write((), async |work, ()| add_categories(work).await).await;
            added.expect("categories");
        }
        let begun = std::time::Instant::now();
        let progress = std::io::stderr().is_terminal();
        for from in (there..size).step_by(BATCH) {
            let products: Vec<_> = (from..size.min(from + BATCH)).map(with_stock).collect();
            let saved: Result<(), SaveError> = database
                .write(products, async |work, products| {
                    let mut products = products.clone();
                    for (product, _) in &mut products {
                        product.created_at = work.now();
                    }
                    let products: Vec<_> = products.iter().map(|(product, stock)| (product, stock)).collect();
                    ProductRepository::insert_all(work, &products).await
                })
                .await;
            saved.expect("products");
            if progress {
                eprint!("\r{from} of {size} products");
                std::io::stderr().flush().expect("a terminal");
            }
        }
        if size > there {
            eprintln!("\r{} products loaded in {:.1} s", size - there, begun.elapsed().as_secs_f64());
        }
        catalogue.random = Random(7);
        catalogue
    }

    /// A category without a parent.
    pub(crate) fn category(&mut self) -> CategoryId {
        category_id(self.random.below(CATEGORIES / 11))
    }

    /// A word that twenty products contain.
    pub(crate) fn rare_word(&mut self) -> String {
        format!("batch{}", self.random.below(self.size as u64 / 20))
    }
}

async fn add_categories(work: &mut UnitOfWork) -> Result<(), DatabaseError> {
    let tops = CATEGORIES / 11;
    for number in 0..CATEGORIES {
        let now = work.now();
        let category = Category {
            id: category_id(number),
            slug: format!("category-{number}"),
            name: format!("Category {number}"),
            parent_id: (number >= tops).then(|| category_id(number % tops)),
            position: 0,
            tax_class: None,
            translations: BTreeMap::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        work.insert(&category).await?;
    }
    Ok(())
}

fn category_id(number: u64) -> CategoryId {
    CategoryId(Uuid::from_u64_pair(0xca7e_9041_0000_7000, 0x8000_0000_0000_0000 | number))
}

/// The product of a number: half are common, half even, one in 20 uncommon, another in 20 scarce.
fn product(number: usize) -> Product {
    let n = number as u64;
    let mut random = Random(n);
    let id = ProductId(Uuid::from_u64_pair(0x0190_0000_0000_7000 + (n << 16), 0x8000_0000_0000_0000 | n));
    let mut name = format!("{} {}", random.word(), random.word());
    for (holds, word) in [
        (random.below(2) == 0, "common"),
        (n.is_multiple_of(2), "even"),
        (!n.is_multiple_of(2), "odd"),
        (random.below(20) == 0, "uncommon"),
        (random.below(20) == 0, "scarce"),
    ] {
        if holds {
            name = format!("{name} {word}");
        }
    }
    let words: Vec<_> = (0..25).map(|_| random.word()).collect();
    let price = 99 + i64::try_from(random.below(100)).unwrap_or(0).pow(2);
    let variant = |size: u64| {
        let variant_id =
            Uuid::from_u64_pair(0x0190_0000_0000_7000 + (n << 16), 0x9000_0000_0000_0000 | n << 4 | size);
        let prices = BTreeMap::from([(Currency::EUR, price), (Currency::USD, price + price / 10)]);
        Variant {
            options: vec![format!("{}0 cm", size + 1)],
            ..Variant::new(VariantId(variant_id), id, format!("SKU{n}-{size}"), prices)
        }
    };
    Product {
        description: format!("From batch{}: {}.", n / 20, words.join(" ")),
        category_id: Some(category_id(CATEGORIES / 11 + random.below(CATEGORIES - CATEGORIES / 11))),
        options: vec!["size".into()],
        variants: (0..2).map(variant).collect(),
        ..Product::new(id, format!("product-{n}"), name, jiff::Timestamp::UNIX_EPOCH)
    }
}

fn with_stock(number: usize) -> (Product, BTreeMap<VariantId, Option<i64>>) {
    let product = product(number);
    let stock = product.variants.iter().map(|variant| (variant.id, Some(100))).collect();
    (product, stock)
}

/// `SplitMix64`: fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A word of the vocabulary; the product of two draws makes the first ones common, as in a language.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 32] = [
            "ba", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu", "wa", "xe", "yi", "zo", "du", "fa",
            "ge", "hi", "jo", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "zu", "da", "fe",
        ];
        let mut number = self.below(VOCABULARY) * self.below(VOCABULARY) / VOCABULARY + 1;
        let mut word = String::new();
        while number > 0 {
            word += SYLLABLES[usize::try_from(number % 32).unwrap_or(0)];
            number /= 32;
        }
        word
    }
}
