//! E-mails, as the sandbox shows them.

use super::{TestServer, awaited};

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
