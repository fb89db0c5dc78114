//! Every operation of the API document succeeds on resources that exist, with the response that the document describes.

mod location;
mod media_type;

use std::sync::OnceLock;

use http::Method;
use serde_json::{Value, json};
use undercroft::application::Terms;

use super::examples::{Operation, document, example, operations, resolve};
use crate::support::emails::token_to;
use crate::support::http::{cart_of, checkout_body, new_cart, order_of};
use crate::support::passwords::{PASSWORD, create_key, ensure_password, with_password};
use crate::support::store::{execute, fail_placed_orders, manual_capture, value};
use crate::support::totp::{code_at, enrol};
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, TestServer, awaited, unique};

on_both_engines!(
    every_operation_succeeds_as_it_is_documented,
    ShopOptions::default().terms(Terms { sandbox_emails: true, ..manual_capture() })
);
async fn every_operation_succeeds_as_it_is_documented(shop: &Shop) {
    let server = shop.server().await;
    let (document, admin) = (document(), server.admin().await);
    let mut faults = Vec::new();
    for operation in operations(&document) {
        let user = server.customer().await;
        let resources = Resources { shop, server, admin: &admin, user: &user, enrolled: OnceLock::new() };
        let request = resources.request(&operation, &document).await;
        let user = resources.enrolled.get().unwrap_or(&user);
        let client = if operation.is_for_administrators() { &admin } else { user };
        let response = client.send(operation.method.clone(), &request.path, request.body).await;
        faults.extend(faults_of(&operation, &document, &response));
        faults.extend(location::fault_of(&operation, client, &response).await);
        faults.extend(media_type::fault_of(&operation, &response));
        if operation.is_for_administrators() && operation.method != Method::GET {
            faults.extend(fault_of_audit_log(shop, &operation, &response).await);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The fault of a change by an administrator that is not in the audit log.
async fn fault_of_audit_log(shop: &Shop, operation: &Operation, response: &TestResponse) -> Option<String> {
    let sql = "SELECT COUNT(*) FROM audit_log WHERE action = $1 AND request_id = $2 AND user_id IS NOT NULL";
    let request_id: uuid::Uuid = response.header("x-request-id").parse().unwrap();
    let action = operation.described["operationId"].as_str().unwrap();
    let entries: i64 = value(&shop.database, sql, &[action.into(), request_id.into()]).await;
    (entries == 0).then(|| format!("{operation}: not in the audit log"))
}

/// The faults of a response: its status is no documented success, or its body differs from its schema.
fn faults_of(operation: &Operation, document: &Value, response: &TestResponse) -> Vec<String> {
    let documented = &operation.described["responses"][response.status.to_string()];
    if response.status >= 300 || documented.is_null() {
        return vec![format!("{operation}: {response}")];
    }
    let Some(schema) = documented.pointer("/content/application~1json/schema") else { return Vec::new() };
    let mut faults = Vec::new();
    compare(document, schema, &response.json(), &operation.to_string(), &mut faults);
    faults
}

/// Compares the members of an object with those of its schema, and those of the objects in it.
fn compare(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolve(document, schema);
    for choice in ["oneOf", "anyOf"] {
        let alternatives = schema[choice].as_array().into_iter().flatten();
        if let [only] = alternatives.filter(|choice| choice["type"] != "null").collect::<Vec<_>>()[..] {
            compare(document, only, value, at, faults);
        }
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for value in values {
            compare(document, items, value, &format!("{at}[]"), faults);
        }
    }
    let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            faults.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, value) in members {
        match properties.get(name) {
            Some(property) => compare(document, property, value, &format!("{at}/{name}"), faults),
            None => faults.push(format!("{at}: {name} is not documented")),
        }
    }
}

#[test]
fn a_body_that_differs_from_its_schema_is_found() {
    let document = json!({"components": {"cart": {
        "required": ["id", "lines"],
        "properties": {
            "id": {"type": "string"},
            "lines": {"items": {"required": ["sku"], "properties": {"sku": {"type": "string"}}}},
        },
    }}});
    let schema = json!({"oneOf": [{"type": "null"}, {"$ref": "#/components/cart"}]});
    let faults = |body: Value| {
        let mut faults = Vec::new();
        compare(&document, &schema, &body, "cart", &mut faults);
        faults
    };
    assert_eq!(faults(json!({"id": "1", "lines": [{"sku": "A"}]})), [""; 0]);
    assert_eq!(faults(json!({"lines": []})), ["cart: id is missing"]);
    let lines = json!({"id": "1", "lines": [{"sku": "A", "code": 1}, {}]});
    assert_eq!(faults(lines), ["cart/lines[]: code is not documented", "cart/lines[]: sku is missing"]);
}

/// A request that should succeed.
struct Request {
    path: String,
    body: Option<Value>,
}

/// Creates the resources of one operation.
struct Resources<'a> {
    shop: &'a Shop,
    server: &'a TestServer,
    admin: &'a TestClient,
    user: &'a TestClient,
    enrolled: OnceLock<TestClient>,
}

/// A job that waits for a long time.
fn job(subscriber: &str) -> Value {
    json!({"name": "retry_dead_letters", "arguments": {"subscriber": subscriber}, "due_at": "2100-01-01T00:00:00Z"})
}

impl Resources<'_> {
    async fn request(&self, operation: &Operation, document: &Value) -> Request {
        let body = operation.body().map(|schema| example(document, schema));
        let body = match self.body(operation).await {
            Some(own) => Some(own),
            None => body,
        };
        let path = match operation.path.trim_start_matches("/admin").split('/').nth(2).unwrap_or_default() {
            "3ds" => self.confirmation(operation).await,
            "carts" if operation.path.contains('{') => self.cart(operation).await,
            resource => {
                let id = if operation.path.contains('{') {
                    self.id(resource, operation).await
                } else {
                    String::new()
                };
                let path = operation.path_with(|_| id.clone());
                match resource {
                    "events" if operation.has_query("seconds") => format!("{path}?seconds=1"),
                    "files" if operation.method == Method::POST => format!("{path}?name=a.json"),
                    "emails" if path.starts_with("/sandbox") => format!("{path}?address=a@example.org"),
                    _ => path,
                }
            }
        };
        if operation.path == "/v1/me/cart" {
            new_cart(self.user).await;
        }
        Request { path, body }
    }

    /// The body of operations that need more than the example of their schema.
    async fn body(&self, operation: &Operation) -> Option<Value> {
        let price = json!({"amount": 900, "currency": "EUR"});
        let name = unique("name");
        let body = match (operation.method.as_str(), operation.path.as_str()) {
            ("POST", "/admin/v1/categories") => json!({"name": name}),
            ("POST", "/admin/v1/discounts") => discount(&name),
            ("POST" | "PUT", "/admin/v1/products" | "/admin/v1/products/{id}") => {
                json!({"name": name, "variants": [{"sku": name, "price": price, "stock": 3}]})
            }
            ("POST", "/v1/carts/{id}/checkout") => checkout_body("tok_ok"),
            ("POST", "/v1/carts/{id}/items") => {
                json!({"variant_id": self.shop.product().create().await, "quantity": 1})
            }
            ("PUT", "/v1/carts/{id}/delivery") => json!({"country": "DE", "postal_code": "10115"}),
            ("PUT", "/v1/carts/{id}/discount") => {
                self.created("discounts", discount(&name)).await;
                json!({"code": name})
            }
            (method, "/v1/me/totp" | "/v1/me/totp/confirm" | "/v1/me/totp/recovery-codes") => {
                self.one_time_password(method, &operation.path).await
            }
            ("POST", "/v1/me/api-keys") => with_password(self.server, self.user, json!({"name": name})).await,
            ("POST", "/v1/sessions") => {
                let account = json!({"email": format!("{name}@example.org"), "password": PASSWORD});
                self.server.guest().post("/v1/users", account.clone()).await.expect(201);
                account
            }
            ("POST", "/admin/v1/subscribers/{name}/replay") => json!({"type": "order.paid"}),
            ("POST", "/admin/v1/jobs") => job(&name),
            ("POST", "/admin/v1/caches/clear") => json!({"tags": ["products"]}),
            ("POST", "/admin/v1/roles") => json!({"name": name, "permissions": ["orders:read"]}),
            ("PATCH", "/admin/v1/users/{id}") => {
                execute(&self.shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
                json!({"role": "admin"})
            }
            ("POST", "/admin/v1/files") => json!("the content of a file"),
            ("POST", "/v1/users") => json!({"email": format!("{name}@example.org"), "password": PASSWORD}),
            ("POST", "/v1/email-verifications") => json!({"token": self.token("email-verification").await}),
            ("POST", "/v1/password-resets/confirm") => {
                json!({"token": self.token("password-reset").await, "password": "another horse"})
            }
            _ => return None,
        };
        Some(body)
    }

    /// Requests an e-mail to the user; returns the token in it.
    async fn token(&self, what: &str) -> String {
        let email = text(&self.user.get("/v1/me").await.expect(200)["email"]);
        if what == "password-reset" {
            self.user.post("/v1/password-resets", json!({"email": email})).await.expect(202);
        } else {
            self.user.post("/v1/me/email-verification", json!({})).await.expect(202);
        }
        token_to(self.server, &email).await
    }

    /// Creates a resource as an administrator; returns its id.
    async fn created(&self, resource: &str, body: Value) -> String {
        let created = self.admin.post(&format!("/admin/v1/{resource}"), body).await.expect(201);
        created["id"].as_str().unwrap().to_owned()
    }

    /// Creates the resource that an operation reads or changes; returns its id.
    async fn id(&self, resource: &str, operation: &Operation) -> String {
        let last = operation.path.rsplit('/').next().unwrap();
        match resource {
            "categories" => self.created("categories", json!({"name": unique("category")})).await,
            "dead-letters" => self.dead_letter().await,
            "downloads" => self.content().await,
            "emails" => self.failed_email().await,
            "events" => self.event().await,
            "files" => self.created("files?name=a.json", json!("the content of a file")).await,
            "api-keys" | "me" if operation.path.contains("api-keys") => {
                text(&create_key(self.server, self.user, json!({"name": "A"})).await.expect(201)["id"])
            }
            "me" => text(&self.user.get("/v1/me/sessions").await.expect(200)["items"][0]["id"]),
            "jobs" => text(&self.admin.post("/admin/v1/jobs", job(&unique("name"))).await.expect(202)["id"]),
            "subscribers" => "notifications".to_owned(),
            "webhook-endpoints" => self.created("webhook-endpoints", webhook_endpoint()).await,
            "webhook-deliveries" => {
                let endpoint = self.created("webhook-endpoints", webhook_endpoint()).await;
                let test = format!("/admin/v1/webhook-endpoints/{endpoint}/test");
                text(&self.admin.post(&test, json!({})).await.expect(202)["id"])
            }
            "discounts" => self.created("discounts", discount(&unique("code"))).await,
            "feature-flags" => {
                let flag = json!({"enabled": true, "public": true, "rules": [{"value": true}]});
                self.admin.put("/admin/v1/feature-flags/gift_wrap", flag).await.expect(200);
                "gift_wrap".to_owned()
            }
            "roles" => {
                let role = json!({"name": unique("role"), "permissions": ["orders:read"]});
                text(&self.admin.post("/admin/v1/roles", role).await.expect(201)["name"])
            }
            "inventory" => self.shop.product().create().await.to_string(),
            "notifications" => self.notification().await,
            "orders" => {
                let order = self.order().await;
                if ["refund", "files"].contains(&last) {
                    let capture = format!("/admin/v1/orders/{order}/capture");
                    self.admin.post(&capture, json!({})).await.expect(201);
                }
                order
            }
            "payments" => text(&self.bought().await["payment"]["id"]),
            "products" => text(&self.bought().await["items"][0]["product_id"]),
            "reviews" => {
                let product = text(&self.bought().await["items"][0]["product_id"]);
                let path = format!("/v1/products/{product}/reviews");
                text(&self.user.post(&path, json!({"rating": 5})).await.expect(201)["id"])
            }
            "subscriptions" => {
                let subscription = self.subscription().await;
                if last == "resume" {
                    let pause = format!("/v1/subscriptions/{subscription}/pause");
                    self.user.post(&pause, json!({})).await.expect(200);
                }
                subscription
            }
            "users" => text(&self.user.get("/v1/me").await.expect(200)["id"]),
            other => panic!("{other}: no resource for {operation}"),
        }
    }

    /// The path of an operation on a cart with one line, whose variant is the second parameter.
    async fn cart(&self, operation: &Operation) -> String {
        let variant = self.shop.product().create().await;
        let cart = cart_of(self.user, variant, 1).await;
        let id = cart.rsplit('/').next().unwrap();
        operation.path_with(|name| if name == "variant_id" { variant.to_string() } else { id.to_owned() })
    }

    /// The path of an operation on the confirmation page of a payment.
    async fn confirmation(&self, operation: &Operation) -> String {
        let cart = cart_of(self.user, self.shop.product().create().await, 1).await;
        let checkout = checkout_body("tok_requires_action");
        let order = self.user.post(&format!("{cart}/checkout"), checkout).await.expect(201);
        let page = text(&order["payment"]["action_url"]);
        if operation.method == Method::POST { format!("{page}?decision=approve") } else { page }
    }

    /// The body of an operation on one-time passwords.
    async fn one_time_password(&self, method: &str, path: &str) -> Value {
        ensure_password(self.server, self.user).await;
        let password = json!({"current_password": PASSWORD});
        if path.ends_with("confirm") {
            let begun = self.user.post("/v1/me/totp", password).await.expect(201);
            return json!({"one_time_password": code_at(begun["secret"].as_str().unwrap(), self.shop.now())});
        }
        if method == "POST" && path.ends_with("totp") {
            return password;
        }
        let (_, codes, token) = enrol(self.shop, self.user, PASSWORD).await;
        self.enrolled.get_or_init(|| self.user.with("authorization", &format!("Bearer {token}")));
        json!({"current_password": PASSWORD, "recovery_code": codes[0]})
    }

    /// An order of one piece, with its payment authorized.
    async fn bought(&self) -> Value {
        order_of(self.user, self.shop.product().create().await).await
    }

    async fn order(&self) -> String {
        text(&self.bought().await["id"])
    }

    async fn subscription(&self) -> String {
        order_of(self.user, self.shop.product().subscription().create().await).await;
        text(&self.user.get("/v1/subscriptions").await.expect(200)["items"][0]["id"])
    }

    /// The content of a product that the user bought; returns its id.
    async fn content(&self) -> String {
        let order = order_of(self.user, self.shop.product().with("kind", "digital").create().await).await;
        let capture = format!("/admin/v1/orders/{}/capture", text(&order["id"]));
        self.admin.post(&capture, json!({})).await.expect(201);
        let product = text(&order["items"][0]["product_id"]);
        let file = format!("files?name=a.json&product_id={product}");
        self.created(&file, json!("the content of a product")).await
    }

    /// Makes an event of an order a dead letter of the subscriber of notifications; returns its id.
    async fn dead_letter(&self) -> String {
        self.bought().await;
        fail_placed_orders(&self.shop.database).await;
        let list = self.admin.get("/admin/v1/dead-letters").await.expect(200);
        text(&list["items"][0]["id"])
    }

    /// Writes an e-mail that failed; returns its id.
    async fn failed_email(&self) -> String {
        const INSERT: &[&str] = &[
            "INSERT INTO emails SELECT id, NULL, 'order_paid', 'a@example.com', 's', 'b', 'failed', 7, NULL, 'refused', \
             created_at, created_at, NULL, NULL, NULL, NULL FROM users ORDER BY created_at LIMIT 1 ON CONFLICT (id) DO UPDATE \
             SET status = 'failed', due_at = NULL",
        ];
        execute(&self.shop.database, INSERT).await;
        let list = self.admin.get("/admin/v1/emails?status=failed").await.expect(200);
        text(&list["items"][0]["id"])
    }

    /// Publishes an event; returns its id.
    async fn event(&self) -> String {
        self.bought().await;
        let list = self.admin.get("/admin/v1/events").await.expect(200);
        text(&list["items"][0]["id"])
    }

    /// Waits for the notification of an order.
    async fn notification(&self) -> String {
        self.bought().await;
        awaited("a notification", async || {
            let list = self.user.get("/v1/notifications").await.expect(200);
            list["items"].get(0).map(|notification| text(&notification["id"]))
        })
        .await
    }
}

fn discount(code: &str) -> Value {
    json!({"code": code, "kind": {"type": "percent", "basis_points": 1_000}})
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn webhook_endpoint() -> Value {
    json!({"url": "https://hooks.example.com/orders"})
}
