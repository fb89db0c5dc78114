//! The time-out of calls to payment providers, and the signal of each.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::ports::{
    Authorization, Charge, ConfirmationPage, GatewayError, PaymentGateway, PortFuture,
};
use crate::infrastructure::events::{CallOutcome, EventBus, ThirdPartyApiResponseEvent};
use crate::infrastructure::repositories::current_trace;

/// A payment provider whose calls fail if there is no response in time. What a call did at the provider is unknown
/// then, as after any lost response.
pub(super) struct TimedGateway {
    provider: Arc<dyn PaymentGateway>,
    limit: Duration,
    bus: EventBus,
}

impl TimedGateway {
    /// Limits the time of each call to a provider, and emits its outcome.
    pub(super) fn new(provider: Arc<dyn PaymentGateway>, limit: Duration, bus: EventBus) -> Self {
        Self { provider, limit, bus }
    }

    fn timed<'a, T: Send + 'a>(
        &self,
        operation: &'static str,
        call: PortFuture<'a, T, GatewayError>,
    ) -> PortFuture<'a, T, GatewayError> {
        let (limit, bus, vendor) = (self.limit, self.bus.clone(), self.provider.name());
        Box::pin(async move {
            let began = Instant::now();
            let late = |_| Err(GatewayError::NoResponse(format!("not within {limit:?}")));
            let response = timeout(limit, call).await.unwrap_or_else(late);
            let outcome = match &response {
                Ok(_) => CallOutcome::Succeeded,
                Err(GatewayError::Refused(_)) => CallOutcome::Refused,
                Err(GatewayError::Unavailable(_)) => CallOutcome::Unavailable,
                Err(GatewayError::NoResponse(_)) => CallOutcome::NoResponse,
            };
            let latency = began.elapsed();
            bus.emit(&ThirdPartyApiResponseEvent {
                vendor,
                operation,
                status: None,
                outcome,
                latency,
                attempt: 1,
                trace: current_trace(),
            });
            response
        })
    }
}

impl PaymentGateway for TimedGateway {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError> {
        self.timed("authorize", self.provider.authorize(request))
    }

    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.timed("capture", self.provider.capture(reference, amount, key))
    }

    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.timed("refund", self.provider.refund(reference, amount, key))
    }

    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        self.timed("void", self.provider.void(reference, key))
    }

    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError> {
        self.timed("look_up", self.provider.look_up(payment_id))
    }

    fn tokens(&self) -> Option<&'static [&'static str]> {
        self.provider.tokens()
    }

    fn confirmation_page(&self) -> Option<&dyn ConfirmationPage> {
        self.provider.confirmation_page()
    }
}
