//! Product catalogues of Shopify, WooCommerce and JSON Lines.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use undercroft::application::import::readers::Options;
use undercroft::application::records::ImportedStock::{Given, Missing, NotCounted};
use undercroft::application::records::Record;
use undercroft::domain::money::Currency;
use undercroft::domain::product::ProductKind;
use undercroft::domain::tax::TaxClass;

use super::{SHOPIFY_NEW, read, with_currency};
use crate::support::import::{DEMO, SHOPIFY, WOOCOMMERCE};

#[test]
fn shopify_lines_become_products_with_options_and_variants() {
    let read = read(SHOPIFY, &with_currency(Currency::EUR));
    let apron = read.product("Linen Apron");
    let description = "Stone-washed linen.\nOne pocket\nTies at the back";
    assert_eq!((apron.slug.as_str(), apron.description.as_str()), ("linen-apron", description));
    assert_eq!(apron.options, ["Colour", "Size"]);
    let variants: Vec<_> = apron
        .variants
        .iter()
        .map(|variant| {
            (
                variant.sku.as_str(),
                variant.options.join("/"),
                variant.prices[&Currency::EUR],
                read.stock(variant),
            )
        })
        .collect();
    assert_eq!(
        variants,
        [
            ("APR-SAND-M", "Sand/M".to_owned(), 3990, Given(12)),
            ("APR-SAND-L", "Sand/L".to_owned(), 3990, Given(0)),
            ("APR-INK-M", "Ink/M".to_owned(), 4200, NotCounted),
        ]
    );

    let guide = read.product("The Knife Guide, 2nd edition");
    assert_eq!((guide.kind, guide.options.len()), (ProductKind::Digital, 0));
    assert_eq!((guide.variants[0].sku.as_str(), read.stock(&guide.variants[0])), ("knife-guide", NotCounted));
    let whisk = read.product("Whisk");
    assert_eq!(
        (whisk.active, whisk.kind, read.stock(&whisk.variants[0])),
        (false, ProductKind::Physical, Given(31))
    );

    assert_eq!(
        read.categories(),
        [
            "home-garden",
            "home-garden--linens-bedding",
            "home-garden--linens-bedding--aprons",
            "e-book",
            "home-garden--kitchen",
        ]
    );
    assert_eq!(
        read.reasons(),
        [
            (6, "product_rejected"),
            (7, "missing_option"),
            (8, "duplicate_variant"),
            (10, "bad_price"),
            (11, "product_rejected"),
            (12, "no_price"),
            (14, "scattered_product"),
            (15, "unsupported_type"),
            (16, "product_rejected"),
            (17, "no_key"),
        ]
    );
    assert_eq!((read.totals.lines, read.totals.accepted.lines), (16, 6));
}

#[test]
fn shopify_is_recognized_by_its_newer_columns_too() {
    let read = read(SHOPIFY_NEW, &with_currency(Currency::GBP));
    assert_eq!(read.product("Egg Cup").slug, "egg-cup");
    let towel = read.product("Tea Towel");
    let skus: Vec<_> =
        towel.variants.iter().map(|variant| (variant.sku.as_str(), read.stock(variant))).collect();
    assert_eq!(skus, [("tea-towel-blue", NotCounted), ("tea-towel-red", NotCounted)]);
    assert_eq!((read.totals.accepted.lines, read.totals.rejected.lines), (3, 0));
}

#[test]
fn what_the_store_does_not_use_of_a_shopify_file_is_metadata() {
    let read = read(SHOPIFY, &with_currency(Currency::EUR));
    let apron = read.product("Linen Apron");
    let expected = json!({
        "Vendor": "Hall Textiles", "Type": "Apron", "Tags": "linen, kitchen",
        "Image Src": "https://cdn.example/apron-1.jpg\nhttps://cdn.example/apron-2.jpg", "Image Position": "1\n2",
        "Image Alt Text": "Apron in sand"
    });
    let kept = json!(apron.metadata);
    for (name, value) in expected.as_object().unwrap() {
        assert!(kept[name].as_str().unwrap().starts_with(value.as_str().unwrap()), "{name}: {kept}");
    }
    assert_eq!(kept.get("Variant Barcode"), None, "{kept}");
    let expected = json!({
        "Variant Grams": "310", "Variant Fulfillment Service": "manual", "Variant Compare At Price": "49.90",
        "Variant Barcode": "4006381333931", "Variant Weight Unit": "g", "Cost per item": "18.00"
    });
    assert_eq!(json!(apron.variants[0].metadata), expected);
    assert_eq!(read.unused.not_kept, BTreeMap::new());
    assert!(read.unused.kept["Cost per item"] >= 2, "{:?}", read.unused);

    let long = "x".repeat(5_001);
    let file = format!("Handle,Title,Note,Variant Price,\na,A,{long},1.00,y\na,,n,,\n");
    let read = super::read(&file, &with_currency(Currency::EUR));
    assert_eq!(json!(read.product("A").metadata), json!({ "column 5": "y" }));
    assert_eq!(read.unused.not_kept, BTreeMap::from([("Note".to_owned(), 2)]));
}

#[test]
fn what_the_store_does_not_use_of_a_woocommerce_file_is_metadata() {
    let file = "ID,Type,SKU,Name,Sale price,Regular price,Categories,Weight (kg),Parent,Attribute 1 name,\
                Attribute 1 value(s),Meta: _ean\n\
                1,simple,A,Cup,2,3,\"Cups, Sale\",0.2,,Glaze,Matt,\n\
                2,variable,B,Jug,,,Jugs,,,Size,\"S, L\",\n\
                3,variation,B-S,Jug,,4,,0.4,B,Size,S,4006\n";
    let read = read(file, &with_currency(Currency::EUR));
    let kept = |name: &str| json!(read.product(name).metadata);
    let cup = json!({
        "Sale price": "2", "Regular price": "3", "Categories": "Cups, Sale", "Weight (kg)": "0.2",
        "Attribute 1 name": "Glaze", "Attribute 1 value(s)": "Matt"
    });
    assert_eq!(kept("Cup"), cup);
    assert_eq!(kept("Jug"), json!({ "Attribute 1 name": "Size", "Attribute 1 value(s)": "S, L" }));
    let small = &read.product("Jug").variants[0];
    assert_eq!(json!(small.metadata), json!({ "Weight (kg)": "0.4", "Meta: _ean": "4006" }));
}

#[test]
fn the_tax_class_of_the_other_shop_is_that_of_the_product() {
    let woocommerce = "ID,Type,SKU,Name,Tax status,Tax class,Regular price,Parent\n\
                       1,simple,A,A,taxable,,1,\n2,simple,B,B,taxable,reduced-rate,1,\n3,simple,C,C,none,,1,\n\
                       4,simple,D,D,taxable,Zero rate,1,\n5,simple,E,E,taxable,Bücher 7 %,1,\n\
                       6,variable,F,F,taxable,reduced-rate,,\n7,variation,F-1,F,taxable,parent,1,F\n\
                       8,variation,F-2,F,taxable,zero-rate,1,F\n9,simple,G,G,taxable,an-endless-class-of-taxes-of-this-shop,1,\n";
    let shopify = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Variant Taxable\n\
                   a,A,,,1,TRUE\nb,B,,,1,FALSE\nc,C,Size,S,1,FALSE\nc,,,M,1,TRUE\n";
    for (text, classes, reasons) in [
        (
            woocommerce,
            vec![None, Some("reduced"), Some("zero"), Some("zero"), Some("bucher-7")],
            vec![
                (7, "product_rejected"),
                (8, "product_rejected"),
                (9, "bad_tax_class"),
                (10, "bad_tax_class"),
            ],
        ),
        (shopify, vec![None, Some("zero")], vec![(4, "product_rejected"), (5, "bad_tax_class")]),
    ] {
        let read = read(text, &with_currency(Currency::EUR));
        let products = read.products();
        let found = products.iter().map(|product| product.tax_class.as_ref().map(TaxClass::as_str));
        assert_eq!((found.collect::<Vec<_>>(), read.reasons()), (classes, reasons));
    }
}

#[test]
fn woocommerce_variations_may_come_before_their_parent() {
    let read = read(WOOCOMMERCE, &with_currency(Currency::EUR));
    let jug = read.product("Milk Jug");
    assert_eq!(jug.slug, "milk-jug-44");
    assert_eq!(jug.description, "Thrown by hand.\nFirst line.\nSecond line with a \\n in it.");
    assert_eq!(jug.options, ["Colour"], "an attribute without a value in any variation is not an option");
    let variants: Vec<_> = jug
        .variants
        .iter()
        .map(|variant| {
            let price = variant.prices[&Currency::EUR];
            (variant.sku.as_str(), variant.options.join("/"), price, read.stock(variant), variant.active)
        })
        .collect();
    assert_eq!(
        variants,
        [
            ("JUG-BLU-S", "Blue".to_owned(), 1850, Given(4), true),
            ("JUG-GRN", "Green".to_owned(), 1900, Given(3), false),
            ("woocommerce-64", "any".to_owned(), 1700, Given(3), true),
        ],
        "the seven pieces of the parent are divided"
    );
    assert_eq!(read.categories(), ["kitchen", "kitchen--jugs-pots", "books"]);

    let recipes = read.product("Glaze Recipes");
    assert_eq!((recipes.kind, recipes.variants[0].prices[&Currency::EUR]), (ProductKind::Digital, 400));
    let bowl = read.product("Summer Bowl");
    assert_eq!(bowl.variants[0].sku, "=SUM-1", "the apostrophe before a formula is not part of the value");
    assert_eq!((read.stock(&bowl.variants[0]), bowl.active), (Given(0), false));
    assert_eq!(
        bowl.variants[0].prices[&Currency::EUR],
        1400,
        "a sale that is limited in time does not set the price"
    );

    assert_eq!(
        read.reasons(),
        [
            (8, "unsupported_type"),
            (9, "bad_price"),
            (10, "unknown_parent"),
            (11, "no_name"),
            (12, "no_variant"),
        ]
    );
}

#[test]
fn stock_is_counted_only_where_the_other_shop_counts_it_and_stops_at_zero() {
    let shopify = "Handle,Title,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price\n\
                   a,A,shopify,-3,continue,1.00\nb,B,shopify,5,deny,1.00\nc,C,,7,deny,1.00\n\
                   d,D,shopify,,deny,1.00\ne,E,shopify,-3,deny,1.00\n";
    let woocommerce = "ID,Type,SKU,Name,In stock?,Stock,Backorders allowed?,Regular price\n\
                       1,simple,A,A,1,-3,notify,1\n2,simple,B,B,1,5,0,1\n3,simple,C,C,1,,0,1\n4,simple,D,D,0,,0,1\n";
    let without_quantities = "Handle,Title,Variant Price\na,A,1.00\n";
    for (text, expected) in [
        (shopify, vec![NotCounted, Given(5), NotCounted, Missing, Given(0)]),
        (woocommerce, vec![NotCounted, Given(5), NotCounted, Given(0)]),
        (without_quantities, vec![NotCounted]),
    ] {
        let read = read(text, &with_currency(Currency::EUR));
        let stock: Vec<_> = read.products().iter().map(|product| read.stock(&product.variants[0])).collect();
        assert_eq!(stock, expected);
    }
}

#[test]
fn the_fault_of_a_json_line_names_its_json_pointer() {
    let read = read(
        concat!(
            r#"{"type":"category","id":"tea","name":"Tea","translations":{"de":{"name":"Tee"}}}"#,
            "\n\n",
            r#"{"type":"product","id":"0196f3b0-0000-7000-8000-000000000001","name":"Sencha","category":"tea","#,
            r#""options":["size"],"variants":[{"sku":"SEN-100","options":["100 g"],"stock":5,"#,
            r#""prices":[{"amount":990,"currency":"EUR"},{"amount":1090,"currency":"USD"}]}]}"#,
            "\r\n",
            r#"{"type":"customer","id":"c1","name":"Ada","wishes":{"locale":"fr"},"email":"ada@example.com"}"#,
            "\n",
            r#"{"type":"product","id":"p","name":"P","colour":"red","variants":[]}"#,
            "\n",
            r#"{"type":"product","id":"p","name":"P","variants":[{"sku":"M","stock":1,"metadata":{"a/b":"c\u0001"},"prices":[{"amount":9,"currency":"EUR"}]}]}"#,
            "\n",
            r#"{"type":"product","id":"p","name":"P","variants":[{"sku":"A","stock":1,"prices":[{"amount":"9","currency":"EUR"}]}]}"#,
            "\n",
            r#"{"type":"product","id":"p","name":"P","variants":[{"sku":"A","stock":-1,"prices":[]}]}"#,
            "\n",
            r#"{"type":"product","id":"p","name":"a\u0000b","variants":[]}"#,
            "\n",
            r#"{"type":"invoice","id":"p"}"#,
            "\n",
            r#"{"type":"customer","id":"c","name":"#,
            "\n",
            r#"{"type":"poem","id":"p"}"#,
            "\n",
            r#"{"type":"customer","id":"c","name":"Ada","email":"ada at example.com"}"#,
        ),
        &Options::default(),
    );
    let sencha = read.product("Sencha");
    assert_eq!(sencha.id.to_string(), "0196f3b0-0000-7000-8000-000000000001");
    assert_eq!(sencha.variants[0].prices[&Currency::USD], 1090);
    let Record::Category(tea) = &read.records[0] else { panic!("categories come first") };
    assert_eq!((sencha.category_id, tea.translations["de"].name.as_str()), (Some(tea.id), "Tee"));
    assert_eq!((read.totals.lines, read.totals.accepted.lines), (12, 3));

    let details: Vec<_> =
        read.rejected.iter().map(|rejection| (rejection.line.number, rejection.detail.as_str())).collect();
    for (index, (line, start)) in [
        (5, "/colour: unknown field `colour`"),
        (6, "/variants/0/metadata/a~1b: a control character"),
        (7, "/variants/0/prices/0/amount: invalid type: string \"9\", expected i64 (column 94)"),
        (8, "/variants/0/stock: negative"),
        (9, ": \\u0000 is a character"),
        (10, ""),
        (11, "/name: EOF while parsing a value (column 35)"),
        (12, "/type: unknown variant `poem`, expected one of `category`, `tax_rule`"),
        (13, "/email: not an e-mail address"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(details[index].0, line);
        assert!(details[index].1.starts_with(start), "{:?}", details[index]);
    }
}

#[test]
fn the_demo_catalogue_is_read_without_rejections() {
    let read = read(DEMO, &Options::default());
    assert_eq!(read.reasons(), []);
    let products = read.products();
    assert!((38..=45).contains(&products.len()), "about 40 products, not {}", products.len());

    let mut parents = HashMap::new();
    for record in &read.records {
        match record {
            Record::Category(category) => {
                assert!(
                    category.parent_id.is_none_or(|parent| parents.contains_key(&parent)),
                    "{}",
                    category.slug
                );
                assert!(["de", "fr"].iter().all(|locale| category.translations.contains_key(*locale)));
                parents.insert(category.id, category.parent_id);
            }
            Record::Product(imported) => {
                let product = &imported.product;
                assert!(parents.contains_key(&product.category_id.unwrap()), "{}", product.slug);
            }
            other => panic!("{other:?} does not belong to a catalogue"),
        }
    }
    let depth = |mut node| {
        let mut depth = 0;
        while let Some(id) = node {
            (node, depth) = (parents[&id], depth + 1);
        }
        depth
    };
    assert_eq!(products.iter().map(|product| depth(product.category_id)).max(), Some(3));
    for product in &products {
        for locale in ["de", "fr"] {
            let texts = &product.translations[locale];
            assert!(!texts.name.is_empty() && !texts.description.is_empty(), "{} in {locale}", product.slug);
        }
        for variant in &product.variants {
            assert!([Currency::EUR, Currency::USD].iter().all(|currency| variant.prices[currency] > 0));
        }
    }
    let skus: std::collections::BTreeSet<_> =
        products.iter().flat_map(|product| &product.variants).map(|variant| &variant.sku).collect();
    assert_eq!(skus.len(), products.iter().map(|product| product.variants.len()).sum::<usize>());
    assert_eq!(products.iter().filter(|product| product.minimum_age == Some(18)).count(), 1);
    assert_eq!(products.iter().filter(|product| product.kind == ProductKind::Subscription).count(), 1);
    assert_eq!(products.iter().filter(|product| product.kind == ProductKind::Digital).count(), 1);
}
