//! A payment provider that does not respond to some of its calls until a test releases them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use undercroft::application::{Store, Terms};
use undercroft::domain::ids::PaymentId;
use undercroft::domain::money::Money;
use undercroft::domain::ports::{Authorization, Charge, GatewayError, PaymentGateway, PortFuture};
use undercroft::infrastructure::Infrastructure;
use undercroft::infrastructure::adapters::{
    AdapterSettings, CallLimits, CertificateAuthorities, Gateways, NoticeQueue,
};
use undercroft::infrastructure::repositories::Database;
use uuid::Uuid;

use super::store::files;

/// A call of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Authorize,
    Capture,
    Refund,
    Void,
    LookUp,
}

/// The payment provider `slow`: the sandbox, whose responses a test can hold.
pub struct SlowGateway {
    sandbox: Arc<dyn PaymentGateway>,
    held: watch::Sender<&'static [Call]>,
    waiting: AtomicUsize,
}

impl SlowGateway {
    /// A store on this database with the payment providers `sandbox` and `slow`.
    pub fn store(database: &Database, terms: Terms, limits: CallLimits) -> (Store, Arc<Self>) {
        let infrastructure = Infrastructure::new(
            database.clone(),
            AdapterSettings {
                calls: limits,
                sandbox: true,
                public_url: String::new(),
                mail: None,
                files: files(Path::new("/nonexistent")),
                private_webhooks: true,
                authorities: CertificateAuthorities::default(),
            },
        );
        let sandbox = Arc::clone(infrastructure.gateways.get("sandbox").unwrap());
        let (held, waiting) = (watch::Sender::new(&[][..]), AtomicUsize::new(0));
        let slow = Arc::new(Self { sandbox: Arc::clone(&sandbox), held, waiting });
        let gateways: [Arc<dyn PaymentGateway>; 2] = [sandbox, Arc::<Self>::clone(&slow)];
        let gateways = gateways.map(|gateway| (gateway, Arc::new(NoticeQueue::default())));
        let gateways = Gateways::new(gateways, limits, &infrastructure.bus);
        (Store::new(Infrastructure { gateways, ..infrastructure }, terms), slow)
    }

    /// Holds the responses to these calls, and to no others.
    pub fn hold(&self, calls: &'static [Call]) {
        self.held.send_replace(calls);
    }

    /// The number of calls that wait for their response.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Waits while the call is held, and then makes it.
    fn respond<'a, T: Send + 'a>(
        &'a self,
        call: Call,
        response: PortFuture<'a, T, GatewayError>,
    ) -> PortFuture<'a, T, GatewayError> {
        Box::pin(async move {
            let waiting = Waiting::new(&self.waiting);
            self.held.subscribe().wait_for(|held| !held.contains(&call)).await.unwrap();
            drop(waiting);
            response.await
        })
    }
}

/// Counts a waiting call until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PaymentGateway for SlowGateway {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError> {
        self.respond(Call::Authorize, self.sandbox.authorize(request))
    }

    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.respond(Call::Capture, self.sandbox.capture(reference, amount, key))
    }

    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.respond(Call::Refund, self.sandbox.refund(reference, amount, key))
    }

    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.respond(Call::Void, self.sandbox.void(reference, key))
    }

    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError> {
        self.respond(Call::LookUp, self.sandbox.look_up(payment_id))
    }
}
