//! A token of an identity provider is verified again while a request takes long: it expires, and its link ends. An
//! administrator who is linked does nothing of administrators by it.

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

on_both_engines!(
    an_administrator_does_nothing_of_administrators_by_a_token_of_the_issuer,
    options(false, false)
);
async fn an_administrator_does_nothing_of_administrators_by_a_token_of_the_issuer(shop: &Shop) {
    let issuer = Issuer::start().await;
    let server = issuer.server_of(shop).await;
    let session = server.admin().await;
    link_administrator(shop, &issuer).await;
    let client = bearer(&server, &issuer.token(shop, "root", "", false));
    assert_eq!(client.get("/v1/me").await.expect(200)["role"], "admin");
    for path in ["/admin/v1/orders", "/admin/v1/events/stream", "/admin/v1/api-keys"] {
        let refused = client.get(path).await;
        assert_eq!(refused.problem(403), "unauthorized_access", "{path}");
        assert_eq!(refused.json()["reason"], "session_or_api_key_required", "{path}");
    }
    session.get("/admin/v1/orders").await.expect(200);
}
