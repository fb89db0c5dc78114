//! Checkouts over HTTP, and their orders, payments, invoices and subscriptions.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::http::{cart_of, checkout_body, faults};
use crate::support::store::{manual_capture, terms};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse};

async fn check_out(client: &TestClient, cart: &str, token: &str) -> TestResponse {
    client.post(&format!("{cart}/checkout"), checkout_body(token)).await
}

/// Buys some pieces of a variant; returns the order.
async fn order(client: &TestClient, variant: impl ToString, quantity: i64) -> Value {
    check_out(client, &cart_of(client, variant, quantity).await, "tok_ok").await.expect(201)
}

fn path(order: &Value) -> String {
    format!("/v1/orders/{}", order["id"].as_str().unwrap())
}

fn admin_path(order: &Value) -> String {
    format!("/admin{}", path(order))
}

on_both_engines!(a_guest_reads_an_order_with_its_token_only);
async fn a_guest_reads_an_order_with_its_token_only(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_299).stock(10).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 2).await;
    let response = check_out(&guest, &cart, "tok_ok").await;
    let order = response.expect(201);
    assert_eq!(response.header("location"), path(&order));
    assert_eq!((&order["status"], &order["number"]), (&json!("paid"), &json!(1)));
    assert_eq!(order["payment"]["status"], "captured");
    assert_eq!(order["totals"]["total"], json!({"amount": 2 * 1_299, "currency": "EUR"}));
    assert_eq!(order["payment"]["captured"], order["totals"]["total"]);
    assert_eq!(order["items"][0]["unit_price"]["amount"], 1_299);

    let token = order["token"].as_str().unwrap();
    let holder = guest.with("order-token", token);
    let payment = format!("/v1/payments/{}", order["payment"]["id"].as_str().unwrap());
    let invoice = format!("{}/invoice", path(&order));
    assert_eq!(holder.get(&path(&order)).await.expect(200)["number"], 1);
    assert_eq!(guest.get(&format!("{}?token={token}", path(&order))).await.expect(200)["number"], 1);
    assert_eq!(holder.get(&payment).await.expect(200)["status"], "captured");
    let shown = holder.get(&invoice).await.expect(200);
    assert_eq!((&shown["kind"], &shown["number"]), (&json!("invoice"), &json!("R1")));
    let admin = server.admin().await;
    assert_eq!(admin.get(&format!("{}/invoice", admin_path(&order))).await.expect(200), shown);
    assert_eq!(shown["seller"], terms().name);
    assert_eq!(shown["total"], order["totals"]["total"]);
    let another: String = token.chars().rev().collect();
    let stranger = server.customer().await.with("order-token", &another);
    for client in [&guest, &stranger] {
        assert_eq!(client.get(&path(&order)).await.problem(404), "order_not_found");
        assert_eq!(client.get(&payment).await.problem(404), "payment_not_found");
        assert_eq!(client.get(&invoice).await.problem(404), "order_not_found");
        assert_eq!(
            client.post(&format!("{}/cancel", path(&order)), json!({})).await.problem(404),
            "order_not_found"
        );
    }

    assert_eq!(guest.get(&cart).await.expect(200)["order_id"], order["id"]);
    assert_eq!(check_out(&guest, &cart, "tok_ok").await.problem(409), "order_processing");
    assert_eq!(guest.delete(&format!("{cart}/items/{variant}")).await.problem(409), "order_processing");
}

on_both_engines!(the_faults_of_a_request_for_an_order_are_listed_together_for_who_may_see_it);
async fn the_faults_of_a_request_for_an_order_are_listed_together_for_who_may_see_it(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(10).create().await;
    let guest = server.guest();
    let order = order(&guest, variant, 1).await;
    let token = order["token"].as_str().unwrap();
    let cancel = format!("{}/cancel?size=1", path(&order));
    let faulty = json!({"reason": 5});
    assert_eq!(guest.post(&cancel, faulty.clone()).await.problem(404), "order_not_found");
    let holder = guest.with("order-token", token);
    let both = ["/reason", "size"].map(|at| (at.to_owned(), "unknown".to_owned()));
    assert_eq!(holder.post(&cancel, faulty.clone()).await.faults(), both);
    assert_eq!(guest.post(&format!("{cancel}&token={token}"), faulty).await.faults(), both);

    let no_order = guest.get("/v1/orders/none?size=1").await;
    assert_eq!(no_order.faults().iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), ["id", "size"]);
}

on_both_engines!(users_see_only_their_own_orders);
async fn users_see_only_their_own_orders(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(100).create().await;
    let (ann, ben) = (server.customer().await, server.customer().await);
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.push(order(&ann, variant, 1).await);
        order(&ben, variant, 1).await;
    }
    assert_eq!(orders[0].get("token"), None, "the token is for guests");
    let (mut seen, mut next) = (Vec::new(), "/v1/orders?limit=2".to_owned());
    loop {
        let page = ann.get(&next).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        assert_eq!(page["items"].as_array().unwrap().len(), 2);
        assert_eq!(ben.get(&format!("/v1/orders?cursor={cursor}")).await.problem(422), "validation");
        next = format!("/v1/orders?limit=2&cursor={cursor}");
    }
    orders.reverse();
    assert_eq!(seen, orders, "newest first, with their payments");
    assert_eq!(ann.get("/v1/orders?status=cancelled").await.expect(200)["items"], json!([]));
    assert_eq!(ben.get(&path(&orders[0])).await.problem(404), "order_not_found");
    assert_eq!(server.guest().get("/v1/orders").await.problem(401), "unauthorized_access");
    let found = ann.get(&path(&orders[0])).await;
    assert_eq!(ann.with("if-none-match", found.header("etag")).get(&path(&orders[0])).await.status, 304);

    let all = server.admin().await.get("/admin/v1/orders?limit=100").await.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 10);
    let numbered = server.admin().await.get("/admin/v1/orders?number=3").await.expect(200);
    assert_eq!(numbered["items"].as_array().unwrap().len(), 1);
    assert_eq!(numbered["items"][0]["number"], 3);
    assert_eq!(ann.get("/admin/v1/orders").await.problem(403), "unauthorized_access");
}

on_both_engines!(a_declined_payment_leaves_cart_and_stock_unchanged);
async fn a_declined_payment_leaves_cart_and_stock_unchanged(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(3).create().await;
    let guest = server.guest();
    let cart = cart_of(&guest, variant, 3).await;
    for (token, reason) in [("tok_declined", "declined"), ("tok_insufficient_funds", "insufficient_funds")] {
        let response = check_out(&guest, &cart, token).await;
        assert_eq!(response.problem(402), "payment_failed");
        assert_eq!(response.json()["reason"], reason);
        let cart = guest.get(&cart).await.expect(200);
        assert_eq!((&cart["status"], &cart["items"][0]["available"]), (&json!("open"), &json!(3)));
    }
    check_out(&guest, &cart, "tok_ok").await.expect(201);
    let late = cart_of(&guest, variant, 1).await;
    let response = check_out(&guest, &late, "tok_ok").await;
    assert_eq!(response.problem(409), "product_out_of_stock");
    assert_eq!((&response.json()["available"], &response.json()["requested"]), (&json!(0), &json!(1)));
}

on_both_engines!(a_repeated_checkout_is_one_order_and_the_same_response);
async fn a_repeated_checkout_is_one_order_and_the_same_response(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(100).create().await;
    let guest = server.guest();
    let path = cart_of(&guest, variant, 1).await;
    let keyed = guest.with("idempotency-key", &Uuid::from_u128(1).to_string());
    let sent = (0..20).map(|_| {
        let (keyed, path) = (keyed.clone(), path.clone());
        tokio::spawn(async move { check_out(&keyed, &path, "tok_ok").await })
    });
    let mut responses = Vec::new();
    for response in sent.collect::<Vec<_>>() {
        let response = response.await.unwrap();
        if response.status == 409 {
            assert_eq!(response.problem(409), "idempotency_in_progress");
        } else {
            responses.push(response);
        }
    }
    let again = check_out(&keyed, &path, "tok_ok").await;
    again.expect(201);
    assert!(!responses.is_empty());
    for response in responses {
        assert_eq!((response.status, &response.body), (201, &again.body));
        assert_eq!(response.header("location"), again.header("location"));
    }
    let declined = cart_of(&guest, variant, 1).await;
    let refused = check_out(&keyed, &declined, "tok_declined").await;
    assert_eq!(refused.problem(402), "payment_failed");
    assert_eq!(check_out(&keyed, &declined, "tok_declined").await.body, refused.body);
    assert_eq!(check_out(&keyed, &declined, "tok_ok").await.problem(422), "idempotency_key_reused");
    let orders = server.admin().await.get("/admin/v1/orders?status=paid").await.expect(200);
    assert_eq!(orders["items"].as_array().unwrap().len(), 1);
}

on_both_engines!(a_payment_that_requires_action_is_confirmed_on_its_page);
async fn a_payment_that_requires_action_is_confirmed_on_its_page(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(500).stock(100).create().await;
    let guest = server.guest();
    for (decision, status, payment_status) in
        [("approve", "paid", "captured"), ("decline", "cancelled", "failed")]
    {
        let order =
            check_out(&guest, &cart_of(&guest, variant, 1).await, "tok_requires_action").await.expect(201);
        assert_eq!(
            (&order["status"], &order["payment"]["status"]),
            (&json!("pending"), &json!("requires_action"))
        );
        let url = order["payment"]["action_url"].as_str().unwrap();
        let page = guest.get(url).await;
        assert!(page.header("content-type").starts_with("text/html"), "{page}");
        assert!(page.to_string().contains("Confirm a payment of 5.00 EUR?"), "{page}");
        // with `no-referrer`, browsers send the form with the origin `null`, which is refused
        assert_eq!(page.header("referrer-policy"), "same-origin");
        assert_eq!(guest.post(&format!("{url}?decision=maybe"), json!({})).await.problem(422), "validation");
        let acted = guest.raw(http::Method::POST, &format!("{url}?decision={decision}"), "").await;
        assert_eq!(acted.status, 200, "{acted}");
        let holder = guest.with("order-token", order["token"].as_str().unwrap());
        let after = holder.get(&path(&order)).await.expect(200);
        assert_eq!((&after["status"], &after["payment"]["status"]), (&json!(status), &json!(payment_status)));
        assert!(!guest.get(url).await.to_string().contains("Approve"));
    }
    assert_eq!(guest.get("/sandbox/3ds/sandbox_x").await.problem(404), "payment_not_found");
    let misspelt = guest.get("/sandbox/3ds/sandbox_x?desicion=approve").await;
    assert_eq!(misspelt.faults(), faults([("desicion", "unknown")]));
}

on_both_engines!(an_administrator_refunds_at_most_the_captured_amount);
async fn an_administrator_refunds_at_most_the_captured_amount(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(10_000).stock(10).create().await;
    let (buyer, admin) = (server.customer().await, server.admin().await);
    let order = order(&buyer, variant, 1).await;
    let refund = format!("{}/refund", admin_path(&order));
    assert_eq!(buyer.post(&refund, json!({})).await.problem(403), "unauthorized_access");
    for (amount, pointer, code) in [
        (json!(0), "/amount", "minimum"),
        (json!(10_001), "/amount", "maximum"),
        (json!({"amount": 0, "currency": "EUR"}), "/amount/amount", "minimum"),
        (json!({"amount": 10_001, "currency": "EUR"}), "/amount/amount", "maximum"),
        (json!({"amount": 100, "currency": "USD"}), "/amount/currency", "wrong_currency"),
    ] {
        let response = admin.post(&refund, json!({"amount": amount})).await;
        assert_eq!(response.faults(), faults([(pointer, code)]));
    }
    let sent = (0..32).map(|_| {
        let (admin, refund) = (admin.clone(), refund.clone());
        let body = json!({"amount": {"amount": 6_000, "currency": "EUR"}, "reason": "dented"});
        tokio::spawn(async move { admin.post(&refund, body).await })
    });
    let mut refunds = Vec::new();
    for response in sent.collect::<Vec<_>>() {
        let response = response.await.unwrap();
        match response.status {
            201 => refunds.push(response.json()),
            _ => assert_eq!(response.problem(422), "validation"),
        }
    }
    assert_eq!(refunds.len(), 1);
    assert_eq!((&refunds[0]["kind"], &refunds[0]["status"]), (&json!("refund"), &json!("succeeded")));
    assert_eq!(refunds[0]["amount"], json!({"amount": 6_000, "currency": "EUR"}));

    let rest = admin.post(&refund, json!({})).await.expect(201);
    assert_eq!(rest["amount"]["amount"], 4_000);
    assert_eq!(admin.post(&refund, json!({})).await.problem(409), "order_processing");
    let record = admin.get(&admin_path(&order)).await.expect(200);
    assert_eq!((&record["status"], &record["payment"]["status"]), (&json!("refunded"), &json!("refunded")));
    let kinds: Vec<_> =
        record["payment_operations"].as_array().unwrap().iter().map(|operation| &operation["kind"]).collect();
    assert_eq!(kinds, ["authorize", "refund", "refund"]);
    let invoice = buyer.get(&format!("{}/invoice", path(&order))).await.expect(200);
    let notes = invoice["credit_notes"].as_array().unwrap();
    assert_eq!(notes[0]["seller"], terms().name);
    assert_eq!(notes.iter().map(|note| note["total"]["amount"].as_i64().unwrap()).sum::<i64>(), 10_000);
}

on_both_engines!(
    an_authorized_payment_is_captured_and_the_order_fulfilled,
    ShopOptions::default().terms(manual_capture())
);
async fn an_authorized_payment_is_captured_and_the_order_fulfilled(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_000).stock(10).create().await;
    let (buyer, admin) = (server.customer().await, server.admin().await);
    let order = order(&buyer, variant, 1).await;
    assert_eq!((&order["status"], &order["payment"]["status"]), (&json!("paid"), &json!("authorized")));
    let capture = format!("{}/capture", admin_path(&order));
    assert_eq!(admin.post(&capture, json!({"amount": 400})).await.expect(201)["kind"], "capture");
    let keyed = admin.with("idempotency-key", "capture-1");
    let first = keyed.post(&capture, json!({"amount": 300})).await;
    first.expect(201);
    assert_eq!(keyed.post(&capture, json!({"amount": 300})).await.body, first.body);
    assert_eq!(admin.post(&capture, json!({"amount": 301})).await.problem(422), "validation");
    let record = admin.get(&admin_path(&order)).await.expect(200);
    assert_eq!(record["payment"]["captured"]["amount"], 700);

    let fulfil = format!("{}/fulfil", admin_path(&order));
    let sent = admin.post(&fulfil, json!({"tracking_code": "T-1"})).await.expect(200);
    assert_eq!((&sent["status"], &sent["tracking_code"]), (&json!("fulfilled"), &json!("T-1")));
    assert_eq!(admin.post(&fulfil, json!({})).await.problem(409), "order_processing");
    assert_eq!(
        buyer.post(&format!("{}/cancel", path(&order)), json!({})).await.problem(409),
        "order_processing"
    );

    // a payment that is confirmed later is only authorized too
    let confirmed = check_out(&buyer, &cart_of(&buyer, variant, 1).await, "tok_requires_action").await;
    let confirmed = confirmed.expect(201);
    let bank = confirmed["payment"]["action_url"].as_str().unwrap();
    let approve = format!("{bank}?decision=approve");
    let other_site = buyer.with("sec-fetch-site", "cross-site").raw(http::Method::POST, &approve, "").await;
    assert_eq!(other_site.problem(403), "unauthorized_access");
    buyer.raw(http::Method::POST, &approve, "").await;
    let confirmed = buyer.get(&path(&confirmed)).await.expect(200);
    assert_eq!(
        (&confirmed["status"], &confirmed["payment"]["status"]),
        (&json!("paid"), &json!("authorized"))
    );
}

on_both_engines!(a_cancelled_order_is_restocked_and_refunded);
async fn a_cancelled_order_is_restocked_and_refunded(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_000).stock(4).create().await;
    let (buyer, admin) = (server.customer().await, server.admin().await);
    let (first, second) = (order(&buyer, variant, 2).await, order(&buyer, variant, 2).await);
    let cancel = |order: &Value| format!("{}/cancel", path(order));
    let keyed = buyer.with("idempotency-key", "cancel-1");
    let response = keyed.raw(http::Method::POST, &cancel(&first), "").await;
    assert_eq!(response.expect(200)["status"], "cancelled");
    assert_eq!(keyed.raw(http::Method::POST, &cancel(&first), "").await.body, response.body);
    assert_eq!(buyer.post(&cancel(&first), json!({})).await.problem(409), "order_processing");
    let by_admin = admin.post(&format!("{}/cancel", admin_path(&second)), json!({})).await;
    assert_eq!(by_admin.expect(200)["status"], "cancelled");
    let cart = cart_of(&buyer, variant, 1).await;
    assert_eq!(buyer.get(&cart).await.json()["items"][0]["available"], 4);
    for _ in 0..100 {
        let money = buyer.get(&path(&first)).await.json()["payment"]["refunded"]["amount"].clone();
        if money == 2_000 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the order is not refunded");
}

on_both_engines!(the_refund_of_a_part_restocks_nothing_and_says_what_to_do);
async fn the_refund_of_a_part_restocks_nothing_and_says_what_to_do(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(1_000).stock(4).create().await;
    let (buyer, admin) = (server.customer().await, server.admin().await);
    let order = order(&buyer, variant, 2).await;
    let refund = format!("{}/refund", admin_path(&order));
    let part = |restock: bool| json!({"amount": {"amount": 1_000, "currency": "EUR"}, "restock": restock});
    let refused = admin.post(&refund, part(true)).await;
    assert_eq!(refused.faults(), faults([("/restock", "not_restockable")]));
    let detail = refused.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("without `restock`, and set the stock"), "{detail}");
    admin.post(&refund, part(false)).await.expect(201);

    let stock = format!("/admin/v1/inventory/{variant}");
    let read = admin.get(&stock).await;
    let pieces = read.expect(200)["stock"].as_i64().unwrap();
    let returned = admin.with("if-match", read.header("etag"));
    let body = returned.put(&stock, json!({"stock": pieces + 1})).await.expect(200);
    assert_eq!((pieces, &body["stock"]), (2, &json!(3)));
    assert_eq!(returned.put(&stock, json!({"stock": 9})).await.problem(412), "precondition_failed");
}

on_both_engines!(a_subscription_begins_with_an_order_and_belongs_to_its_buyer);
async fn a_subscription_begins_with_an_order_and_belongs_to_its_buyer(shop: &Shop) {
    let server = shop.server().await;
    let variant = shop.product().price(900).stock(100).subscription().create().await;
    let (ann, ben, admin) = (server.customer().await, server.customer().await, server.admin().await);
    let order = order(&ann, variant, 1).await;
    let list = ann.get("/v1/subscriptions").await.expect(200);
    let subscription = &list["items"][0];
    assert_eq!((&subscription["status"], &subscription["interval"]), (&json!("active"), &json!("month")));
    assert_eq!(subscription.get("token"), None);
    let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    let shown = ann.get(&path).await.expect(200);
    assert_eq!(shown["periods"][0]["order_id"], order["id"]);
    assert_eq!(ben.get("/v1/subscriptions").await.expect(200)["items"], json!([]));
    for (step, status) in [("pause", "paused"), ("resume", "active"), ("cancel", "cancelled")] {
        let stranger = ben.post(&format!("{path}/{step}"), json!({})).await;
        assert_eq!(stranger.problem(404), "subscription_not_found");
        assert_eq!(ann.post(&format!("{path}/{step}"), json!({})).await.expect(200)["status"], status);
    }
    assert_eq!(ann.post(&format!("{path}/resume"), json!({})).await.problem(409), "forbidden_transition");
    let all = admin.get("/admin/v1/subscriptions?status=cancelled").await.expect(200);
    assert_eq!(all["items"][0]["id"], subscription["id"]);
    let again = admin.post(&format!("/admin{path}"), json!({"action": "pause"})).await;
    assert_eq!(again.problem(409), "forbidden_transition");
    let refund = |action: &str| json!({"action": action, "refund": true});
    let paused = admin.post(&format!("/admin{path}"), refund("pause")).await;
    assert_eq!(
        (paused.problem(422), &paused.json()["errors"][0]["pointer"]),
        ("validation".into(), &json!("/refund"))
    );
    let second = self::order(&ann, variant, 1).await;
    let list = ann.get("/v1/subscriptions?status=active").await.expect(200);
    let path = format!("/admin/v1/subscriptions/{}", list["items"][0]["id"].as_str().unwrap());
    let ended = admin.post(&path, refund("cancel")).await.expect(200);
    assert_eq!((&ended["status"], &ended["next_charge_at"]), (&json!("cancelled"), &Value::Null));
    let payment = ann.get(&self::path(&second)).await.expect(200)["payment"].clone();
    assert_eq!(payment["captured"]["amount"], 900);
    let guests = cart_of(&server.guest(), variant, 1).await;
    assert_eq!(check_out(&server.guest(), &guests, "tok_ok").await.problem(401), "unauthorized_access");
}
