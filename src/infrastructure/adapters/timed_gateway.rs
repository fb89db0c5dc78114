//! The time-out of calls to payment providers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use uuid::Uuid;

use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::ports::{
    Authorization, Charge, ConfirmationPage, GatewayError, PaymentGateway, PortFuture,
};

/// A payment provider whose calls fail if there is no response in time. What a call did at the provider is unknown
/// then, as after any lost response.
pub(super) struct TimedGateway {
    provider: Arc<dyn PaymentGateway>,
    limit: Duration,
}

impl TimedGateway {
    /// Limits the time of each call to a provider.
    pub(super) fn new(provider: Arc<dyn PaymentGateway>, limit: Duration) -> Self {
        Self { provider, limit }
    }

    fn timed<'a, T: Send + 'a>(
        &self,
        call: PortFuture<'a, T, GatewayError>,
    ) -> PortFuture<'a, T, GatewayError> {
        let limit = self.limit;
        Box::pin(async move {
            let late = |_| Err(GatewayError::NoResponse(format!("not within {limit:?}")));
            timeout(limit, call).await.unwrap_or_else(late)
        })
    }
}

impl PaymentGateway for TimedGateway {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError> {
        self.timed(self.provider.authorize(request))
    }

    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.timed(self.provider.capture(reference, amount, key))
    }

    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.timed(self.provider.refund(reference, amount, key))
    }

    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.timed(self.provider.void(reference, key))
    }

    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError> {
        self.timed(self.provider.look_up(payment_id))
    }

    fn tokens(&self) -> Option<&'static [&'static str]> {
        self.provider.tokens()
    }

    fn confirmation_page(&self) -> Option<&dyn ConfirmationPage> {
        self.provider.confirmation_page()
    }
}
