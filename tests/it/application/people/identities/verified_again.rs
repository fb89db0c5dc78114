//! A token of an identity provider is verified again while a request takes long: it expires, and its link ends.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::SignedDuration;
use undercroft::application::people::authentication;
use undercroft::infrastructure::guards::Credentials;

use super::bearer;
use crate::support::Shop;
use crate::support::issuer::{Issuer, options};
use crate::support::store::execute;

/// Links the subject `root` of an issuer to all administrators, of whom there is one.
async fn link_administrator(shop: &Shop, issuer: &Issuer) {
    let write = shop.database.write(issuer.url.clone(), async |work, url| {
        let sql = "INSERT INTO user_identities (provider, subject, user_id, created_at) \
                   SELECT $1, 'root', id, created_at FROM users WHERE role = 'admin'";
        work.execute(sql, &[url.as_str().into()]).await
    });
    write.await.unwrap();
}

on_both_engines!(a_token_of_the_issuer_is_verified_again_with_its_time_and_its_link, options(false, false));
async fn a_token_of_the_issuer_is_verified_again_with_its_time_and_its_link(shop: &Shop) {
    let issuer = Issuer::start().await;
    let mut store = shop.store.clone();
    store.infrastructure.issuer = Some(issuer.trusted());
    shop.server().await.admin().await;
    link_administrator(shop, &issuer).await;
    let token = issuer.token(shop, "root", "", false);
    let Credentials::Valid(principal) = authentication::credentials(&store, &token).await.unwrap() else {
        panic!("the token is valid");
    };
    let again = async || authentication::reload(&store, &principal).await.unwrap();
    assert!(matches!(again().await, Credentials::Valid(_)));
    execute(&shop.database, &["DELETE FROM user_identities"]).await;
    assert_eq!(again().await, Credentials::Invalid, "the link was removed");
    link_administrator(shop, &issuer).await;
    // the clocks may differ by half a minute
    shop.clock().advance(SignedDuration::from_secs(629));
    assert!(matches!(again().await, Credentials::Valid(_)));
    shop.clock().advance(SignedDuration::from_secs(1));
    assert_eq!(again().await, Credentials::Invalid, "the token has expired");
    shop.clock().advance(SignedDuration::from_secs(-10));
    assert!(matches!(again().await, Credentials::Valid(_)));
    execute(&shop.database, &["UPDATE user_identities SET subject = 'other'"]).await;
    assert_eq!(again().await, Credentials::Invalid, "another subject is linked");
}

on_both_engines!(a_stream_ends_with_the_token_of_the_issuer_and_with_its_link, options(false, false));
async fn a_stream_ends_with_the_token_of_the_issuer_and_with_its_link(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    server.admin().await;
    link_administrator(shop, &issuer).await;
    let open = async || {
        let client = bearer(&server, &issuer.token(shop, "root", "", false));
        client.open("/admin/v1/events/stream").await
    };
    let ends = async |body: Incoming| {
        let rest = tokio::time::timeout(Duration::from_mins(1), body.collect()).await;
        assert!(rest.expect("the stream ends").is_ok());
    };
    let body = open().await;
    execute(&shop.database, &["DELETE FROM user_identities"]).await;
    ends(body).await;
    link_administrator(shop, &issuer).await;
    let body = open().await;
    shop.clock().advance(SignedDuration::from_secs(630));
    ends(body).await;
}
