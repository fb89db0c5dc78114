//! Tax rules and shipping methods.

use undercroft::domain::ids::ShippingMethodId;
use undercroft::domain::money::Currency;
use undercroft::domain::product::Texts;
use undercroft::domain::shipping::{ShippingMethod, ShippingRate};
use undercroft::domain::tax::{TaxClass, TaxRate, TaxRule};
use undercroft::infrastructure::repositories::{DatabaseError, ShippingRepository, TaxRepository};
use uuid::Uuid;

use super::{concurrently, insert};
use crate::support::Shop;

fn rule(country: &str, tax_class: &str, basis_points: u32) -> TaxRule {
    TaxRule {
        country: country.parse().unwrap(),
        tax_class: tax_class.parse().unwrap(),
        rate: TaxRate { basis_points, inclusive: country == "DE" },
    }
}

async fn replace(shop: &Shop, rules: &[TaxRule]) -> Result<(), DatabaseError> {
    shop.database.write(rules.to_vec(), async |work, rules| TaxRepository::replace(work, rules).await).await
}

async fn all(shop: &Shop) -> Vec<TaxRule> {
    TaxRepository(&mut shop.database.read().await.unwrap()).all().await.unwrap()
}

on_both_engines!(a_rate_is_found_by_country_and_class_and_the_rules_are_replaced_whole);
async fn a_rate_is_found_by_country_and_class_and_the_rules_are_replaced_whole(shop: &Shop) {
    let rules = [rule("US", "standard", 0), rule("DE", "reduced", 700), rule("DE", "standard", 1_900)];
    replace(shop, &rules).await.unwrap();
    assert_eq!(all(shop).await, [rules[1].clone(), rules[2].clone(), rules[0].clone()]);
    let find = async |country: &str, tax_class: &str| {
        let mut connection = shop.database.read().await.unwrap();
        let (country, tax_class) = (country.parse().unwrap(), tax_class.parse::<TaxClass>().unwrap());
        let rules = TaxRepository(&mut connection).for_country(country).await.unwrap();
        rules.into_iter().find(|rule| rule.tax_class == tax_class).map(|rule| rule.rate)
    };
    assert_eq!(find("DE", "reduced").await, Some(TaxRate { basis_points: 700, inclusive: true }));
    assert_eq!(find("US", "standard").await, Some(TaxRate { basis_points: 0, inclusive: false }));
    assert_eq!(find("US", "reduced").await, None);

    let twice = [rule("FR", "standard", 2_000), rule("FR", "standard", 1_000)];
    assert!(matches!(replace(shop, &twice).await, Err(DatabaseError::Taken { .. })));
    assert_eq!(all(shop).await.len(), 3, "the rules are unchanged");
    replace(shop, &twice[..1]).await.unwrap();
    assert_eq!(all(shop).await, twice[..1]);
}

on_both_engines!(of_concurrent_replacements_of_the_rules_one_is_kept_whole);
async fn of_concurrent_replacements_of_the_rules_one_is_kept_whole(shop: &Shop) {
    let countries = ["DE", "FR", "US", "JP", "GB", "PL", "ES", "BR"];
    let replaced = concurrently(shop, countries.len(), |shop, number| async move {
        let rules = [rule(countries[number], "reduced", 1), rule(countries[number], "standard", 2)];
        replace(&shop, &rules).await.is_ok()
    })
    .await;
    let left = all(shop).await;
    assert_eq!((replaced, left.len()), (countries.len(), 2));
    assert_eq!(left[0].country, left[1].country);
}

on_both_engines!(shipping_methods_are_listed_by_position);
async fn shipping_methods_are_listed_by_position(shop: &Shop) {
    let rate = |country: Option<&str>, amount, free_from| ShippingRate {
        country: country.map(|code| code.parse().unwrap()),
        currency: Currency::EUR,
        amount,
        free_from,
    };
    let method = |number: u128, code: &str, position, active| ShippingMethod {
        id: ShippingMethodId(Uuid::from_u128(number)),
        code: code.to_owned(),
        name: code.to_uppercase(),
        translations: [("de".to_owned(), Texts { name: "Eilpost".into(), description: String::new() })]
            .into(),
        tax_class: TaxClass::default(),
        position,
        active,
        rates: vec![rate(Some("DE"), 490, Some(5_000)), rate(None, 1_290, None)],
    };
    let methods = [method(1, "post", 2, true), method(2, "express", 1, true), method(3, "drone", 0, false)];
    for one in &methods {
        insert(shop, one).await.unwrap();
    }
    let mut connection = shop.database.read().await.unwrap();
    let mut shipping = ShippingRepository(&mut connection);
    assert_eq!(shipping.active().await.unwrap(), [methods[1].clone(), methods[0].clone()]);
    let by_position = [methods[2].clone(), methods[1].clone(), methods[0].clone()];
    assert_eq!(shipping.all().await.unwrap(), by_position);
    let same = method(4, "post", 0, true);
    let taken = insert(shop, &same).await.unwrap_err();
    assert!(taken.is_taken("shipping_methods_code"), "{taken}");
}
