//! The sandbox: its tokens, and its confirmation page.

use serde_json::{Value, json};
use undercroft::application::Store;
use undercroft::infrastructure::Infrastructure;
use undercroft::infrastructure::adapters::{AdapterSettings, CertificateAuthorities};
use undercroft::settings::{PaymentSettings, Sandbox, Settings};

use crate::support::http::{cart_of, checkout_body};
use crate::support::store::{limits, terms};
use crate::support::{Shop, TestServer};

on_both_engines!(an_unknown_token_is_refused_with_the_known_ones);
async fn an_unknown_token_is_refused_with_the_known_ones(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(100).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let refused = guest.post(&format!("{cart}/checkout"), checkout_body("tok_visa")).await;
    assert_eq!(refused.faults(), [("/payment/token".to_owned(), "not_allowed".to_owned())]);
    let allowed = &refused.json()["errors"][0]["allowed"];
    for token in ["tok_ok", "tok_declined", "tok_requires_action", "tok_duplicate_webhooks"] {
        assert!(allowed.as_array().unwrap().contains(&Value::from(token)), "{allowed}");
    }
    guest.post(&format!("{cart}/checkout"), checkout_body("tok_ok")).await.expect(201);
}

on_both_engines!(the_confirmation_page_has_the_public_url_of_the_store);
async fn the_confirmation_page_has_the_public_url_of_the_store(shop: &Shop) {
    let public_url = "https://shop.example.com".to_owned();
    let adapters = AdapterSettings {
        calls: limits(),
        sandbox: true,
        public_url,
        mail: None,
        files: shop.store.infrastructure.files.clone(),
        private_webhooks: false,
        authorities: CertificateAuthorities::default(),
    };
    let store = Store::new(Infrastructure::new(shop.database.clone(), adapters), terms());
    let server = shop.server_of(store).await;
    let variant = shop.product().price(500).stock(100).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let order =
        guest.post(&format!("{cart}/checkout"), checkout_body("tok_requires_action")).await.expect(201);
    assert_eq!(order["payment"]["status"], json!("requires_action"));
    let url = order["payment"]["action_url"].as_str().unwrap();
    let path = url.strip_prefix("https://shop.example.com").expect(url);
    assert_eq!(guest.get(path).await.status, 200);
}

on_both_engines!(the_page_of_a_local_sandbox_is_for_this_machine_alone);
async fn the_page_of_a_local_sandbox_is_for_this_machine_alone(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(100).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 1).await;
    let order =
        guest.post(&format!("{cart}/checkout"), checkout_body("tok_requires_action")).await.expect(201);
    let page = order["payment"]["action_url"].as_str().unwrap();
    let approve = format!("{page}?decision=approve");

    let elsewhere = guest.with("host", "shop.example:8080");
    for response in [elsewhere.get(page).await, elsewhere.post(&approve, json!({})).await] {
        assert_eq!(response.problem(403), "unauthorized_access");
        assert_eq!(response.json()["reason"], "foreign_origin");
    }
    let enabled = PaymentSettings { sandbox: Sandbox::Enabled, ..PaymentSettings::default() };
    let settings = Settings { payments: enabled, ..Settings::default() };
    let public = TestServer::start_with_all(shop.store.clone(), settings).await;
    assert_eq!(public.guest().with("host", "shop.example:8080").get(page).await.status, 200);
    let own = guest.with("host", "localhost").with("x-forwarded-for", "127.0.0.1");
    assert_eq!(own.post(&approve, json!({})).await.status, 200);
}
