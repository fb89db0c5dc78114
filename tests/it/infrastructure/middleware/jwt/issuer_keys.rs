//! The keys of an issuer: when they are fetched again, and that strangers keep no new key out.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;
use undercroft::infrastructure::middleware::jwt::{InvalidToken, TokenSigner};

use super::{NOW, at};
use crate::support::eventually;
use crate::support::issuer::Issuer;

fn signer(kid: &str, seed: u8) -> TokenSigner {
    TokenSigner::new(kid.to_owned(), &[seed; 32]).unwrap()
}

/// The claims of a token for the store, which is valid for an hour.
fn claims(issuer: &Issuer) -> Value {
    json!({"iss": issuer.url, "aud": "shop", "sub": "ann", "iat": NOW, "exp": NOW + 3600})
}

fn signed(issuer: &Issuer, signer: &TokenSigner) -> String {
    signer.sign("JWT", &claims(issuer)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_with_unknown_keys_cause_one_request_and_keep_no_new_key_out() {
    let issuer = Issuer::start().await;
    let trusted = issuer.trusted();
    trusted.verify(&signed(&issuer, &issuer.signer), at(NOW)).await.unwrap();
    let mut strangers = JoinSet::new();
    for number in 0..50 {
        let (trusted, token) = (trusted.clone(), signed(&issuer, &signer(&format!("s{number}"), 9)));
        strangers.spawn(async move { trusted.verify(&token, at(NOW)).await.map(drop) });
    }
    for refused in strangers.join_all().await {
        assert_eq!(refused, Err(InvalidToken::UnknownKey));
    }
    assert_eq!(issuer.fetched(), 2, "all strangers waited for one request");

    // the time of the last request is that of the strangers
    let next = signer("k2", 2);
    *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk(), next.jwk()]);
    let valid = signed(&issuer, &next);
    let mut requests = JoinSet::new();
    for number in 0..20 {
        let is_stranger = number % 2 == 0;
        let stranger = signed(&issuer, &signer(&format!("t{number}"), 9));
        let (trusted, token) = (trusted.clone(), if is_stranger { stranger } else { valid.clone() });
        requests.spawn(async move { (is_stranger, trusted.verify(&token, at(NOW)).await.is_err()) });
    }
    for (is_stranger, is_refused) in requests.join_all().await {
        assert_eq!(is_refused, is_stranger);
    }
    assert_eq!(issuer.fetched(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_disconnects_does_not_end_the_request_that_others_wait_for() {
    let issuer = Issuer::start().await;
    let trusted = issuer.trusted();
    trusted.verify(&signed(&issuer, &issuer.signer), at(NOW)).await.unwrap();
    let made_up = signed(&issuer, &signer("k9", 9));
    let verifying = timeout(Duration::from_millis(100), trusted.verify(&made_up, at(NOW)));
    assert!(verifying.await.is_err(), "it waits for the next request");
    eventually("the request that it waited for", async || issuer.fetched() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_arrives_during_a_request_waits_for_the_keys_of_the_next_one() {
    let issuer = Issuer::start().await;
    let trusted = issuer.trusted();
    trusted.verify(&signed(&issuer, &issuer.signer), at(NOW)).await.unwrap();
    let held = issuer.held.lock().await;
    let (others, made_up) = (trusted.clone(), signed(&issuer, &signer("k9", 9)));
    let stranger = tokio::spawn(async move { others.verify(&made_up, at(NOW + 10)).await.map(drop) });
    eventually("a request in progress", async || issuer.fetched() == 2).await;

    // after its keys were read
    let next = signer("k2", 2);
    *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk(), next.jwk()]);
    let valid = signed(&issuer, &next);
    let mut verifying = Box::pin(trusted.verify(&valid, at(NOW + 12)));
    assert!(timeout(Duration::from_millis(100), &mut verifying).await.is_err(), "it waits for its end");
    drop(held);
    assert_eq!(stranger.await.unwrap(), Err(InvalidToken::UnknownKey));
    verifying.await.unwrap();
    assert_eq!(issuer.fetched(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_are_not_requested_for_a_token_that_is_refused_with_any_key() {
    let issuer = Issuer::start().await;
    let trusted = issuer.trusted();
    trusted.verify(&signed(&issuer, &issuer.signer), at(NOW)).await.unwrap();
    let stranger = signer("k9", 9);
    for (claim, value, reason) in [
        ("exp", json!(NOW - 3600), InvalidToken::Time),
        ("nbf", json!(NOW + 3600), InvalidToken::Time),
        ("aud", json!("another"), InvalidToken::Audience),
        ("iss", json!("https://another.example"), InvalidToken::Issuer),
        ("sub", json!(""), InvalidToken::Subject),
    ] {
        let mut claims = claims(&issuer);
        claims[claim] = value;
        let token = stranger.sign("JWT", &claims).unwrap();
        assert_eq!(trusted.verify(&token, at(NOW)).await.unwrap_err(), reason, "{claim}");
    }
    let long = signed(&issuer, &signer(&"k".repeat(256), 9));
    assert_eq!(trusted.verify(&long, at(NOW)).await.unwrap_err(), InvalidToken::KeyId);
    assert_eq!(issuer.fetched(), 1, "none of them waited for keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_are_requested_again_every_ten_minutes_before_a_new_one_signs() {
    let issuer = Issuer::start().await;
    let (trusted, own) = (issuer.trusted(), signed(&issuer, &issuer.signer));
    let next = signer("k2", 2);
    for (second, requests) in [(0, 1), (599, 1), (600, 2), (1199, 2), (1200, 3)] {
        trusted.verify(&own, at(NOW + second)).await.unwrap();
        assert_eq!(issuer.fetched(), requests, "after {second} seconds");
        *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk(), next.jwk()]);
    }
    trusted.verify(&signed(&issuer, &next), at(NOW + 1201)).await.unwrap();
    assert_eq!(issuer.fetched(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_waits_for_an_issuer_that_is_away() {
    let issuer = Issuer::start().await;
    let trusted = issuer.trusted();
    let (own, next) = (signed(&issuer, &issuer.signer), signed(&issuer, &signer("k2", 2)));
    let refused = async |token: &str, now: Timestamp| {
        assert_eq!(trusted.verify(token, now).await.unwrap_err(), InvalidToken::UnknownKey);
    };
    *issuer.published.lock().unwrap() = None;
    for _ in 0..5 {
        refused(&own, at(NOW)).await;
    }
    assert_eq!(issuer.fetched(), 1);
    *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk()]);
    refused(&own, at(NOW + 7)).await;
    trusted.verify(&own, at(NOW + 10)).await.unwrap();
    *issuer.published.lock().unwrap() = None;
    refused(&next, at(NOW + 20)).await;
    for _ in 0..5 {
        refused(&next, at(NOW + 20)).await;
        trusted.verify(&own, at(NOW + 20)).await.unwrap();
    }
    assert_eq!(issuer.fetched(), 3, "none of them waited for a further request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_does_not_delay_the_next_request() {
    let issuer = Issuer::start().await;
    let trusted = issuer.trusted();
    let own = signed(&issuer, &issuer.signer);
    *issuer.published.lock().unwrap() = None;
    assert_eq!(trusted.verify(&own, at(NOW + 3000)).await.unwrap_err(), InvalidToken::UnknownKey);
    *issuer.published.lock().unwrap() = Some(vec![issuer.signer.jwk()]);
    assert_eq!(trusted.verify(&own, at(NOW + 3000)).await.unwrap_err(), InvalidToken::UnknownKey);
    assert_eq!(issuer.fetched(), 1, "the last request was in vain a moment ago");
    trusted.verify(&own, at(NOW)).await.unwrap();
    assert_eq!(issuer.fetched(), 2);
}
