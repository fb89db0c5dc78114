//! Files are stored as a whole or not at all, and no file runs in a browser.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use undercroft::application::files::{FileCheck, check};
use undercroft::domain::ids::FileId;
use undercroft::domain::ports::{FileContent, Interrupted, PortFuture};
use undercroft::infrastructure::repositories::{DatabaseError, FileRepository};
use uuid::Uuid;

use crate::support::store::value;
use crate::support::{Shop, ShopOptions, TestClient, TestResponse, eventually};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n, and what follows";
const CUP: &str = "/admin/v1/files?name=cup.png";

async fn upload(admin: &TestClient, path: &str, content_type: &str, body: &[u8]) -> TestResponse {
    admin.with("content-type", content_type).raw(Method::POST, path, body.to_vec()).await
}

/// The paths below the folder of the storage: the contents, complete or not.
fn stored(shop: &Shop) -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { below(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    below(Path::new(shop.store.infrastructure.files.shown().trim_start_matches("file:")), &mut found);
    found
}

async fn count(shop: &Shop, table: &str) -> i64 {
    value(&shop.database, &format!("SELECT COUNT(*) FROM {table}"), &[]).await
}

/// Asserts that nothing of an upload remains.
async fn assert_empty(shop: &Shop, what: &str) {
    assert_eq!(stored(shop), [""; 0].map(PathBuf::from), "{what}");
    assert_eq!((count(shop, "files").await, count(shop, "unused_files").await), (0, 0), "{what}");
}

fn digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

on_both_engines!(a_file_is_uploaded_downloaded_and_deleted);
async fn a_file_is_uploaded_downloaded_and_deleted(shop: &Shop) {
    let server = shop.server().await;
    let (admin, guest) = (server.admin().await, server.guest());
    let checked = admin.with("content-digest", &digest(PNG));
    let created = upload(&checked, CUP, "image/png", PNG).await;
    let file = created.expect(201);
    let (id, url) = (file["id"].as_str().unwrap(), file["url"].as_str().unwrap());
    assert_eq!(created.header("location"), format!("/admin/v1/files/{id}"));
    assert_eq!((&file["name"], &file["content_type"]), (&"cup.png".into(), &"image/png".into()));
    assert_eq!(file["size"], PNG.len());
    assert_eq!(admin.get(&format!("/admin/v1/files/{id}")).await.expect(200), file);
    assert_eq!(admin.get("/admin/v1/files").await.expect(200)["items"][0], file);
    let event = "SELECT data FROM outbox WHERE type = 'file_upload_completed'";
    let undercroft::infrastructure::repositories::Json(event) =
        value::<undercroft::infrastructure::repositories::Json<Value>>(&shop.database, event, &[]).await;
    for (member, of_file) in [
        ("file_id", "id"),
        ("sha256", "sha256"),
        ("size", "size"),
        ("owner_id", "owner_id"),
        ("content_type", "content_type"),
    ] {
        assert_eq!(event[member], file[of_file], "{member}");
    }

    let whole = guest.get(url).await;
    assert_eq!((whole.status, &whole.body[..]), (200, PNG));
    assert_eq!(whole.header("content-type"), "image/png");
    assert_eq!(whole.header("content-disposition"), "inline; filename*=UTF-8''cup.png");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("content-length"), PNG.len().to_string());
    let tag = format!("\"{}\"", file["sha256"].as_str().unwrap());
    assert_eq!(whole.header("etag"), tag);
    assert_eq!(guest.with("if-none-match", &tag).get(url).await.status, 304);
    let part = guest.with("range", "bytes=1-3").get(url).await;
    assert_eq!((part.status, &part.body[..]), (206, &b"PNG"[..]));
    assert_eq!(part.header("content-range"), format!("bytes 1-3/{}", PNG.len()));
    let none = guest.with("range", "bytes=1000-").get(url).await;
    assert_eq!(none.problem(416), "range_not_satisfiable");
    assert_eq!(none.header("content-range"), format!("bytes */{}", PNG.len()));
    for range in ["bytes=1-3", "bytes=1000-"] {
        let head = guest.with("range", range).send(Method::HEAD, url, None).await;
        assert_eq!((head.status, head.header("content-length")), (200, &*PNG.len().to_string()), "{range}");
        assert!(!head.headers.contains_key("content-range") && head.body.is_empty(), "{head}");
    }

    let [path] = &stored(shop)[..] else { panic!("one content") };
    assert!(path.ends_with(id), "{}", path.display());
    #[cfg(unix)]
    for (path, mode) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
        let found = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
    admin.delete(&format!("/admin/v1/files/{id}")).await.expect(204);
    assert_eq!(admin.delete(&format!("/admin/v1/files/{id}")).await.problem(404), "file_not_found");
    assert_eq!(guest.get(url).await.problem(404), "file_not_found");
    assert_empty(shop, "after the deletion").await;
}

on_both_engines!(a_refused_upload_leaves_nothing);
async fn a_refused_upload_leaves_nothing(shop: &Shop) {
    let server = shop.server().await;
    let (admin, customer) = (server.admin().await, server.customer().await);
    assert_eq!(upload(&customer, CUP, "image/png", PNG).await.problem(403), "unauthorized_access");
    let large = vec![0; (1 << 20) + 1];
    for (content_type, body, status, code) in [
        ("image/png", &b""[..], 422, "validation"),
        ("image/png", b"<html><script>alert(1)</script>", 422, "validation"),
        ("application/pdf", PNG, 422, "validation"),
        ("text/plain", &large, 413, "body_too_large"),
        ("image", PNG, 400, "malformed_header"),
        ("../etc/passwd", PNG, 400, "malformed_header"),
    ] {
        assert_eq!(upload(&admin, CUP, content_type, body).await.problem(status), code, "{content_type}");
        assert_empty(shop, content_type).await;
    }
    let wrong = admin.with("content-digest", &digest(b"another"));
    let refused = upload(&wrong, CUP, "image/png", PNG).await.expect(422);
    assert_eq!(refused["errors"][0]["header"], "content-digest", "{refused}");
    let malformed = admin.with("content-digest", "sha-256");
    assert_eq!(upload(&malformed, CUP, "image/png", PNG).await.problem(400), "malformed_header");
    for name in ["", "a%00b", "a%0Ab"] {
        let path = format!("/admin/v1/files?name={name}");
        assert_eq!(upload(&admin, &path, "image/png", PNG).await.problem(422), "validation", "{name}");
    }
    assert_eq!(upload(&admin, "/admin/v1/files", "image/png", PNG).await.problem(422), "validation");
    assert_empty(shop, "at the end").await;
    for id in ["..%2f..%2fetc%2fpasswd", "..", "%2e%2e"] {
        assert!(server.guest().get(&format!("/v1/files/{id}")).await.status >= 400, "{id}");
    }
}

on_both_engines!(a_name_is_no_path_and_a_file_that_may_contain_scripts_is_saved);
async fn a_name_is_no_path_and_a_file_that_may_contain_scripts_is_saved(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for content_type in ["image/svg+xml", "text/html", "text/javascript", "application/xhtml+xml"] {
        let path = "/admin/v1/files?name=..%2F..%2Fa%22%3B%20b.svg";
        let file = upload(&admin, path, content_type, script).await.expect(201);
        assert_eq!(file["name"], "../../a\"; b.svg");
        let response = server.guest().get(file["url"].as_str().unwrap()).await;
        assert_eq!(response.header("content-type"), "application/octet-stream", "{content_type}");
        assert_eq!(
            response.header("content-disposition"),
            "attachment; filename*=UTF-8''..%2F..%2Fa%22%3B%20b.svg"
        );
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(
            response.header("content-security-policy"),
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        );
        assert_eq!(&response.body[..], script);
    }
    let names: Vec<_> = stored(shop).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert!(names.iter().all(|name| Uuid::try_parse(name.to_str().unwrap()).is_ok()), "{names:?}");
}

on_both_engines!(of_a_client_that_disconnects_nothing_remains);
async fn of_a_client_that_disconnects_nothing_remains(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    for framing in ["content-length: 5000", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST {CUP} HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\ncontent-type: image/png\r\n{framing}\r\n\r\n",
            admin.header("authorization")
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = if framing.ends_with("chunked") { "100\r\n" } else { "" };
        stream.write_all(chunk.as_bytes()).await.unwrap();
        stream.write_all(&PNG[..20]).await.unwrap();
        let is_begun = async || count(shop, "unused_files").await == 1 && stored(shop).len() == 1;
        eventually("a part of a content", is_begun).await;
        let [part] = &stored(shop)[..] else { panic!("one content") };
        assert_eq!(part.extension().unwrap(), "part");
        drop(stream);
        eventually("its removal", async || count(shop, "unused_files").await == 0).await;
        assert_empty(shop, framing).await;
    }
}

on_both_engines!(two_uploads_with_one_key_are_one_file);
async fn two_uploads_with_one_key_are_one_file(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await.with("idempotency-key", "key");
    let (first, second) =
        tokio::join!(upload(&admin, CUP, "image/png", PNG), upload(&admin, CUP, "image/png", PNG));
    assert_eq!(first.expect(201), second.expect(201));
    assert_eq!(upload(&admin, CUP, "image/png", PNG).await.expect(201), first.json());
    let other = upload(&admin, CUP, "image/png", b"\x89PNG\r\n\x1a\n, and another").await;
    assert_eq!(other.problem(422), "idempotency_key_reused");
    let typed = upload(&admin, CUP, "text/plain", PNG).await;
    assert_eq!(typed.problem(422), "idempotency_key_reused");
    assert_eq!((count(shop, "files").await, count(shop, "unused_files").await), (1, 0));
    assert_eq!(stored(shop).len(), 1);
}

on_both_engines!(a_product_has_images_whose_files_are_kept);
async fn a_product_has_images_whose_files_are_kept(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let file = upload(&admin, CUP, "image/png", PNG).await.expect(201);
    let text = upload(&admin, "/admin/v1/files?name=a.txt", "text/plain", b"a").await.expect(201);
    let price = json!({"amount": 900, "currency": "EUR"});
    let draft = |images: Value| {
        let variants = json!([{"sku": "CUP", "price": price, "stock": 3}]);
        json!({"name": "Cup", "images": images, "variants": variants})
    };
    let image = json!({"file_id": file["id"], "alternative_text": "A red cup"});
    let missing = json!({"file_id": Uuid::nil()});
    let faulty = draft(json!([image, missing, image, {"file_id": text["id"]}]));
    let faults = admin.post("/admin/v1/products", faulty).await.faults();
    let at = |number: usize| format!("/images/{number}/file_id");
    let code = |code: &str| code.to_owned();
    assert_eq!(faults, [(at(1), code("not_found")), (at(2), code("duplicate")), (at(3), code("invalid"))]);

    let product = admin.post("/admin/v1/products", draft(json!([image]))).await.expect(201);
    let path = format!("/admin/v1/products/{}", product["id"].as_str().unwrap());
    let shown =
        server.guest().get(&format!("/v1/products/{}", product["id"].as_str().unwrap())).await.expect(200);
    let link = json!({"file_id": file["id"], "url": file["url"], "alternative_text": "A red cup"});
    assert_eq!((&shown["images"], &product["images"]), (&json!([link]), &json!([link])));
    assert_eq!(server.guest().get(link["url"].as_str().unwrap()).await.body, PNG);
    let listed = server.guest().get("/v1/products").await.expect(200);
    assert_eq!(listed["items"][0]["images"], json!([link]));

    // a file in use is kept
    let delete = format!("/admin/v1/files/{}", file["id"].as_str().unwrap());
    let refused = admin.delete(&delete).await;
    assert_eq!(refused.problem(409), "in_use");
    assert_eq!(refused.json()["what"], "file");
    let mut without = draft(json!([]));
    without.as_object_mut().unwrap().remove("images");
    let same = admin.put(&path, without).await.expect(200);
    assert_eq!(same["images"], json!([link]), "images that are omitted stay");
    assert_eq!(admin.delete(&delete).await.problem(409), "in_use");
    assert_eq!(admin.put(&path, draft(json!([]))).await.expect(200)["images"], json!([]));
    admin.delete(&delete).await.expect(204);
}

/// A content of some bytes.
struct Bytes(Option<&'static [u8]>);

impl FileContent for Bytes {
    fn next(&mut self) -> PortFuture<'_, Option<bytes::Bytes>, Interrupted> {
        Box::pin(std::future::ready(Ok(self.0.take().map(bytes::Bytes::from_static))))
    }
}

on_both_engines!(contents_that_no_file_uses_are_removed, ShopOptions::manual_clock());
async fn contents_that_no_file_uses_are_removed(shop: &Shop) {
    let server = shop.server().await;
    let storage = shop.store.infrastructure.files.storage();
    let [complete, part, recent] = [(); 3].map(|()| FileId(shop.database.context().ids.uuid()));
    let used = upload(&server.admin().await, CUP, "image/png", PNG).await.expect(201);
    for id in [complete, part] {
        storage.put(id, &mut Bytes(Some(PNG))).await.unwrap();
        record(shop, id).await;
    }
    // as after a crash
    let path = stored(shop).into_iter().find(|path| path.ends_with(part.to_string())).unwrap();
    std::fs::rename(&path, path.with_extension("part")).unwrap();
    shop.clock().advance(SignedDuration::from_mins(61));
    storage.put(recent, &mut Bytes(Some(PNG))).await.unwrap();
    record(shop, recent).await;
    undercroft::application::jobs::job_queue(&shop.store).run("clean_files", json!({}), None).await.unwrap();
    eventually("an unused file", async || count(shop, "unused_files").await == 1).await;
    let mut names: Vec<_> =
        stored(shop).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    let mut expected = [used["id"].as_str().unwrap().to_owned(), recent.to_string()];
    expected.sort_unstable();
    assert_eq!(names, expected);
}

async fn record(shop: &Shop, id: FileId) -> Timestamp {
    let write = shop.database.write(id, async |work, id| FileRepository::add_unused(work, *id).await);
    let written: Result<Timestamp, DatabaseError> = write.await;
    written.unwrap()
}

on_both_engines!(a_content_that_is_being_removed_is_not_used, ShopOptions::manual_clock());
async fn a_content_that_is_being_removed_is_not_used(shop: &Shop) {
    let [removed, used] = [(); 2].map(|()| FileId(shop.database.context().ids.uuid()));
    let (removed_since, used_since) = (record(shop, removed).await, record(shop, used).await);
    shop.clock().advance(SignedDuration::from_mins(61));
    let claim = async |id| {
        let given = (id, shop.now());
        let claim = shop
            .database
            .write(given, async |work, &(id, before)| FileRepository::claim_unused(work, id, before).await);
        claim.await.unwrap() as bool
    };
    let receive = async |id, since| {
        let receive = shop.database.write((id, since), async |work, &(id, since)| {
            FileRepository::use_received(work, id, since).await
        });
        receive.await.unwrap() as bool
    };
    assert!(claim(removed).await && !receive(removed, removed_since).await);
    assert!(receive(used, used_since).await && !claim(used).await);
}

on_both_engines!(missing_and_damaged_contents_are_found);
async fn missing_and_damaged_contents_are_found(shop: &Shop) {
    let server = shop.server().await;
    let admin = server.admin().await;
    let mut urls = Vec::new();
    for _ in 0..3 {
        let file = upload(&admin, CUP, "image/png", PNG).await.expect(201);
        urls.push(file["url"].as_str().unwrap().to_owned());
    }
    assert_eq!(check(&shop.store).await.unwrap(), FileCheck { files: 3, missing: 0, damaged: 0 });
    let path_of = |url: &str| {
        let id = url.rsplit('/').next().unwrap();
        stored(shop).into_iter().find(|path| path.ends_with(id)).unwrap()
    };
    std::fs::remove_file(path_of(&urls[0])).unwrap();
    std::fs::write(path_of(&urls[1]), b"short").unwrap();
    assert_eq!(check(&shop.store).await.unwrap(), FileCheck { files: 3, missing: 1, damaged: 1 });
    assert_eq!(server.guest().get(&urls[0]).await.problem(500), "internal");
}
