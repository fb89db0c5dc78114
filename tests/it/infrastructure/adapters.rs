//! Servers of others that the store calls over HTTPS.

use std::path::Path;

use jiff::Timestamp;
use undercroft::infrastructure::Infrastructure;
use undercroft::infrastructure::adapters::{
    AdapterSettings, CertificateAuthorities, KeySetClient, OtlpExporter, WebhookMessage,
};
use uuid::Uuid;

use crate::support::issuer::Issuer;
use crate::support::store::{files, limits};
use crate::support::{Shop, ShopOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_certificate_of_a_private_authority_is_reached_if_that_is_trusted() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let server = Issuer::start_with_tls().await;
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/authority.pem");
    let private = CertificateAuthorities::with_file(Path::new(authority)).unwrap();
    for (authorities, is_trusted) in [(CertificateAuthorities::default(), false), (private, true)] {
        let keys = KeySetClient::new(&authorities).fetch(&server.url).await;
        assert_eq!(keys.is_ok(), is_trusted, "{keys:?}");
        let exporter = OtlpExporter::new(server.url.parse().unwrap(), &authorities);
        let connected = exporter.check().await;
        assert_eq!(connected.is_ok(), is_trusted, "{connected:?}");
        let adapters = AdapterSettings {
            calls: limits(),
            sandbox: false,
            public_url: String::new(),
            mail: None,
            files: files(Path::new("/nonexistent")),
            private_webhooks: true,
            authorities,
        };
        let message = WebhookMessage {
            url: &server.url,
            id: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            media_type: "application/json",
            body: "{}",
            trace: None,
        };
        let webhooks = Infrastructure::new(shop.database.clone(), adapters).webhooks;
        let sent = webhooks.send(&message, std::iter::empty()).await;
        assert_eq!(sent.is_ok(), is_trusted, "{sent:?}");
    }
}
