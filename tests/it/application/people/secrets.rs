//! Where the secrets of users come from: none is made of anything but the bytes of the injected source, which are those
//! of the operating system in a store.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use undercroft::domain::context::{IdSource, SystemClock, SystemIds};
use uuid::Uuid;

use super::{PASSWORD, newcomer};
use crate::support::store::value;
use crate::support::totp::enrol;
use crate::support::{Shop, ShopOptions};

/// A source that keeps what was drawn from it.
#[derive(Debug)]
struct Recorded {
    source: SystemIds,
    drawn: Mutex<Vec<Vec<u8>>>,
}

impl Recorded {
    /// Asserts that a secret of so many bytes was drawn at once.
    #[track_caller]
    fn assert_drawn(&self, secret: &[u8], length: usize) {
        assert_eq!(secret.len(), length);
        assert!(self.drawn.lock().unwrap().iter().any(|drawn| drawn == secret), "{secret:?}");
    }
}

impl IdSource for Recorded {
    fn secret(&self, out: &mut [u8]) {
        self.source.secret(out);
        self.drawn.lock().unwrap().push(out.to_vec());
    }

    fn uuid(&self) -> Uuid {
        self.source.uuid()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_seeds_and_recovery_codes_are_bytes_of_the_source_of_secrets() {
    let source = SystemIds::new(Arc::new(SystemClock));
    let recorded = Arc::new(Recorded { source, drawn: Mutex::default() });
    let ids: Arc<dyn IdSource> = Arc::<Recorded>::clone(&recorded);
    let test = async |shop: &Shop| {
        let ann = newcomer(shop.server().await, "ann@example.org").await;
        let token = ann.header("authorization").strip_prefix("Bearer ").unwrap();
        // a tag follows
        recorded.assert_drawn(&URL_SAFE_NO_PAD.decode(token).unwrap()[..32], 32);

        let (seed, codes, _) = enrol(shop, &ann, PASSWORD).await;
        recorded.assert_drawn(&BASE32_NOPAD.decode(seed.as_bytes()).unwrap(), 20);
        for code in codes {
            let text = code.replace('-', "").to_uppercase();
            recorded.assert_drawn(&BASE32_NOPAD.decode(text.as_bytes()).unwrap(), 15);
        }

        // it signs the tokens of orders and of e-mails
        let sql = "SELECT value FROM store_settings WHERE key = 'secret'";
        let secret: String = value(&shop.database, sql, &[]).await;
        recorded.assert_drawn(&URL_SAFE_NO_PAD.decode(secret).unwrap(), 32);
    };
    Shop::on_sqlite(ShopOptions::default().ids(ids)).await.run(test).await;
}
