//! E-mails, as the sandbox shows them, and stores that send them.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use undercroft::application::Store;
use undercroft::application::jobs::worker::work;
use undercroft::infrastructure::adapters::Mail;

use super::store::value;
use super::{Shop, TestServer, awaited};

/// A store that sends e-mails by the mailer of this URL.
pub fn with_mail(shop: &Shop, url: &str) -> Store {
    let mut store = shop.store.clone();
    let sender = "Shop <shop@example.com>".parse().unwrap();
    let mail = Mail::new(&url.parse().unwrap(), &sender).unwrap();
    store.infrastructure.mail = Some(mail);
    store
}

/// Works until a statement returns 0.
pub async fn work_until_none(store: &Store, count: &str) {
    let stop = CancellationToken::new();
    let working = tokio::spawn(work(store.clone(), stop.clone()));
    for _ in 0..1200 {
        if value::<i64>(store.database(), count, &[]).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    working.await.unwrap();
    assert_eq!(value::<i64>(store.database(), count, &[]).await, 0, "{count}");
}

/// The last e-mails to an address, newest first: the kind and the text of each.
pub async fn emails_to(server: &TestServer, address: &str) -> Vec<(String, String)> {
    let path = format!("/sandbox/emails?address={address}");
    let list = server.guest().get(&path).await.expect(200);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|email| (text(&email["kind"]), text(&email["body"])))
        .collect()
}

/// Waits for an e-mail with a token; returns the token of the newest.
pub async fn token_to(server: &TestServer, address: &str) -> String {
    awaited("an e-mail with a token", async || {
        let emails = emails_to(server, address).await;
        emails.iter().find_map(|(_, body)| token_in(body))
    })
    .await
}

/// The token in the text of an e-mail.
pub fn token_in(body: &str) -> Option<String> {
    body.lines().find_map(|line| line.strip_prefix("Token: ")).map(str::to_owned)
}
