//! The flows of a second customer, of a guest, and of a user of the issuer.

use serde_json::{Value, json};
use undercroft::domain::context::Context;

use super::watched::Watched;
use super::{
    ADMIN_EMAIL, ADMIN_PASSWORD, CONTENT, EMAIL, IDENTITY_EMAIL, NAME, PASSWORD, REVIEW, SECOND_EMAIL,
    SUBJECT, cart, checkout, escaped,
};
use crate::support::issuer::Issuer;

/// The headers of a request.
type Headers<'a> = [(&'a str, &'a str)];

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Buys a piece of the first product that a search finds; returns the order.
fn buy(watched: &Watched, headers: &Headers<'_>, search: &str, token: &str) -> Value {
    let cart = cart(watched, headers, search);
    let mut purchase = checkout(token);
    purchase["email"] = SECOND_EMAIL.into();
    watched.post(&format!("{cart}/checkout"), headers, purchase).expect(201)
}

/// Confirms the payment of a guest on the page of the sandbox. The token of the order is a canary then.
fn confirm_payment(watched: &mut Watched) {
    let order = buy(watched, &[], "coffee", "tok_requires_action");
    let token = text(&order["token"]).to_owned();
    watched.canaries.insert("token of an order to confirm", token.clone());
    let page = text(&order["payment"]["action_url"]);
    for (method, path, status) in [
        ("GET", page.to_owned(), 200),
        ("POST", format!("{page}?decision={token}"), 422),
        ("POST", format!("{page}?decision=approve"), 200),
        ("GET", format!("/sandbox/3ds/{token}"), 404),
    ] {
        let reply = watched.request(method, &path, &[], "");
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
    }
}

/// Subscribes, changes the subscription, and reads the notifications.
fn subscribe(watched: &Watched, own: &Headers<'_>) {
    buy(watched, own, "monthly%20sack", "tok_ok");
    let subscriptions = watched.request("GET", "/v1/subscriptions", own, "").expect(200);
    let id = text(&subscriptions["items"][0]["id"]);
    for change in ["pause", "resume", "cancel"] {
        watched.post(&format!("/v1/subscriptions/{id}/{change}"), own, json!({})).expect(200);
    }
    watched.request("GET", "/v1/notifications", own, "").expect(200);
    watched.request("POST", "/v1/notifications/read-all", own, "").expect(204);
}

/// Uploads the content of a product, which its buyers download: a customer, and a guest with the token of the order in
/// the query, which is a canary then. The customer reviews the product.
fn download_and_review(watched: &mut Watched, own: &Headers<'_>, admin: &Headers<'_>) {
    let order = buy(watched, own, "vault%20kitchen", "tok_ok");
    let product = text(&order["items"][0]["product_id"]);
    let upload = format!("/admin/v1/files?name=letter.json&product_id={product}");
    let file = watched.post(&upload, admin, json!(CONTENT)).expect(201);
    let url = text(&file["url"]);
    let whole = watched.request("GET", url, own, "");
    assert!(whole.status == 200 && whole.text.contains(CONTENT), "{}", whole.text);

    let bought = buy(watched, &[], "vault%20kitchen", "tok_ok");
    let (id, token) = (text(&bought["id"]), text(&bought["token"]).to_owned());
    watched.canaries.insert("token of an order with a download", token.clone());
    for (path, status) in [
        (format!("{url}?order_id={id}&token={token}"), 200),
        (format!("{url}?order_id={id}&token=x{token}"), 404),
        (format!("/v1/orders/{id}/files?token={token}"), 200),
        (format!("/v1/orders/{id}?token={token}x"), 404),
        (format!("/v1/orders/{id}?tokens={token}"), 404),
    ] {
        let reply = watched.request("GET", &path, &[], "");
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
    }

    let reviews = format!("/v1/products/{product}/reviews");
    let review = |rating: u8| json!({"rating": rating, "title": NAME, "body": REVIEW});
    assert_eq!(watched.post(&reviews, own, review(9)).status, 422);
    let written = watched.post(&reviews, own, review(4)).expect(201);
    assert!(watched.post(&reviews, own, review(5)).status >= 400);
    let approve = format!("/admin/v1/reviews/{}/approve", text(&written["id"]));
    watched.post(&approve, admin, json!({})).expect(200);
}

/// Makes the customer an administrator with a role, who is refused what the role does not allow; that is refused if no
/// e-mail verified the address.
fn give_role(watched: &mut Watched, admin: &Headers<'_>, id: &str, is_verified: bool) {
    let role = json!({"name": "reader", "permissions": ["products:read"]});
    watched.post("/admin/v1/roles", admin, role).expect(201);
    let given = json!({"role": "admin", "staff_role": "reader"}).to_string();
    let reply = watched.request("PATCH", &format!("/admin/v1/users/{id}"), admin, &given);
    if !is_verified {
        assert_eq!(reply.status, 409, "{}", reply.text);
        return;
    }
    reply.expect(200);
    let staff = watched.log_in("session of the staff", SECOND_EMAIL, PASSWORD);
    let staff = [("authorization", staff.as_str())];
    watched.request("GET", "/admin/v1/products", &staff, "").expect(200);
    let search = format!("/admin/v1/users?q={}", escaped(EMAIL));
    assert_eq!(watched.request("GET", &search, &staff, "").status, 403);
}

/// Sends tokens of the issuer, which are canaries then: one that makes its subject a user, and some that are refused.
fn use_tokens_of_the_issuer(watched: &mut Watched, issuer: &Issuer) {
    let now = Context::system().clock.now().as_second();
    let claims = |audience: &str| {
        json!({"iss": issuer.url, "aud": audience, "sub": SUBJECT, "iat": now - 1, "exp": now + 3600,
               "email": IDENTITY_EMAIL, "email_verified": true, "name": NAME})
    };
    let [valid, foreign] =
        ["shop", "another"].map(|audience| issuer.signer.sign("JWT", &claims(audience)).unwrap());
    watched.canaries.insert("token of the issuer", valid.clone());
    watched.canaries.insert("token of the issuer for another service", foreign.clone());
    let signature = valid.rsplit('.').next().unwrap().to_owned();
    watched.canaries.insert("signature of the token of the issuer", signature);
    for (token, path, status) in [
        (foreign, "/v1/me", 401),
        (valid.clone(), "/v1/me", 200),
        (format!("{valid}x"), "/v1/me", 401),
        (valid.clone(), "/v1/me/sessions", 403),
        (valid, "/admin/v1/orders", 403),
    ] {
        let bearer = format!("Bearer {token}");
        let reply = watched.request("GET", path, &[("authorization", &bearer)], "");
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert!(watched.request("GET", &format!("/v1/orders/{token}"), &[], "").status >= 400);
    }
}

/// Sends canaries through the flows of a second customer, of guests, and of a user of the issuer.
pub(super) fn sell_to_others(watched: &mut Watched, issuer: &Issuer, has_emails: bool) {
    let root = watched.log_in("administrator's first session", ADMIN_EMAIL, ADMIN_PASSWORD);
    let admin = [("authorization", root.as_str())];
    let account = json!({"email": SECOND_EMAIL, "password": PASSWORD, "name": NAME});
    let created = watched.post("/v1/users", &[], account);
    assert!(created.status < 300, "{}", created.text);
    let user = watched.log_in("session of the second customer", SECOND_EMAIL, PASSWORD);
    let own = [("authorization", user.as_str())];
    let account = watched.request("GET", "/v1/me", &own, "").expect(200);
    if has_emails {
        let token = watched.token_of("token of the second customer", &root, SECOND_EMAIL, 0);
        watched.post("/v1/email-verifications", &[], json!({"token": token})).expect(204);
    }
    confirm_payment(watched);
    subscribe(watched, &own);
    download_and_review(watched, &own, &admin);
    give_role(watched, &admin, text(&account["id"]), has_emails);
    use_tokens_of_the_issuer(watched, issuer);
}
