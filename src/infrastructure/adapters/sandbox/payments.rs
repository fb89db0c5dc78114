//! A payment provider in the store's own database.
//!
//! The payment method token decides its behaviour: it declines, requires 3-D Secure, responds late or not at all, or
//! repeats its notices. Its charges survive a crash of the store, as those of a real provider do.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::charges::{self, Operation, find_charge, payment_of, reference_of};
use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::ports::{
    Authorization, Charge, ChargeStatus, ConfirmationPage, GatewayError, PaymentGateway, PaymentNotices,
    PortFuture,
};
use crate::infrastructure::repositories::{Database, DatabaseError};

/// The delay of `tok_slow`.
const DELAY: Duration = Duration::from_secs(2);
/// The number of notices that `tok_duplicate_webhooks` sends.
const DUPLICATES: usize = 3;

/// The payment provider `sandbox`.
pub(in crate::infrastructure::adapters) struct SandboxPayments {
    database: Database,
    notices: Arc<dyn PaymentNotices>,
    public_url: String,
}

impl SandboxPayments {
    /// Returns a provider that stores its charges in `database` and reports to `notices`. Its confirmation page is at
    /// `public_url`.
    pub(in crate::infrastructure::adapters) fn new(
        database: Database,
        notices: Arc<dyn PaymentNotices>,
        public_url: String,
    ) -> Self {
        Self { database, notices, public_url }
    }

    /// Makes the URL of the confirmation page absolute, if the store has a public URL.
    fn with_public_url(&self, mut charge: Charge) -> Charge {
        if let ChargeStatus::RequiresAction { url } = &mut charge.status {
            url.insert_str(0, &self.public_url);
        }
        charge
    }

    async fn charge(&self, request: Authorization) -> Result<Charge, GatewayError> {
        let (payment_id, token) = (request.payment_id, request.token.clone());
        if token == "tok_slow" {
            tokio::time::sleep(DELAY).await;
        }
        let charge = charges::authorize(&self.database, &request).await?;
        let charge = charge.ok_or_else(|| GatewayError::NoResponse("the charge was not stored".into()))?;
        let charge = self.with_public_url(charge);

        match token.as_str() {
            "tok_timeout_after_charge" => {
                return Err(GatewayError::NoResponse("the response was lost, as the token requests".into()));
            }
            "tok_duplicate_webhooks" => {
                (0..DUPLICATES).for_each(|_| self.notices.payment_changed(payment_id));
            }
            _ => {}
        }
        Ok(charge)
    }

    /// Applies an operation to a charge, once per key.
    async fn operate(
        &self,
        reference: String,
        operation: Operation,
        amount: i64,
        key: Uuid,
    ) -> Result<Charge, GatewayError> {
        let outcome: Result<Charge, String> = self
            .database
            .write((reference, operation, amount, key), async |work, (reference, operation, amount, key)| {
                Ok::<_, GatewayError>(charges::operate(work, reference, *operation, *amount, *key).await?)
            })
            .await?;
        outcome.map_err(GatewayError::Refused)
    }
}

impl PaymentGateway for SandboxPayments {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn authorize(&self, request: Authorization) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.charge(request))
    }

    fn capture(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.operate(reference, Operation::Capture, amount.amount, key))
    }

    fn refund(&self, reference: String, amount: Money, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.operate(reference, Operation::Refund, amount.amount, key))
    }

    fn void(&self, reference: String, key: Uuid) -> PortFuture<'_, Charge, GatewayError> {
        Box::pin(self.operate(reference, Operation::Void, 0, key))
    }

    fn look_up(&self, payment_id: PaymentId) -> PortFuture<'_, Option<Charge>, GatewayError> {
        Box::pin(async move {
            let mut connection = self.database.read().await?;
            let charge = find_charge(&mut connection, &reference_of(payment_id)).await?;
            Ok(charge.map(|charge| self.with_public_url(charge)))
        })
    }

    fn tokens(&self) -> Option<&'static [&'static str]> {
        Some(&charges::TOKENS)
    }

    fn confirmation_page(&self) -> Option<&dyn ConfirmationPage> {
        Some(self)
    }
}

impl ConfirmationPage for SandboxPayments {
    fn payment(&self, reference: &str) -> Option<PaymentId> {
        payment_of(reference)
    }

    fn decide(&self, payment_id: PaymentId, approve: bool) -> PortFuture<'_, bool, GatewayError> {
        Box::pin(async move {
            let waited = self
                .database
                .write((payment_id, approve), async |work, (payment_id, approve)| {
                    Ok::<_, GatewayError>(charges::decide(work, *payment_id, *approve).await?)
                })
                .await?;
            self.notices.payment_changed(payment_id);
            Ok(waited)
        })
    }
}

impl From<DatabaseError> for GatewayError {
    fn from(error: DatabaseError) -> Self {
        Self::NoResponse(error.to_string())
    }
}
