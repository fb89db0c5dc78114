//! The queue of payment notices between an adapter or a use case and the task of the process that looks them up.

use std::future::pending;

use tokio::sync::{Mutex, mpsc};

use crate::domain::ids::PaymentId;
use crate::domain::ports::PaymentNotices;

/// The most notices that wait. Further ones are dropped: the recovery looks up their payments later.
const CAPACITY: usize = 1024;

/// A bounded queue of the payment notices of one provider, in memory.
pub struct NoticeQueue {
    sender: mpsc::Sender<PaymentId>,
    receiver: Mutex<mpsc::Receiver<PaymentId>>,
}

impl Default for NoticeQueue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl NoticeQueue {
    /// Waits for the next notice and returns its payment. Dropping the future loses no notice.
    pub async fn next(&self) -> PaymentId {
        let received = self.receiver.lock().await.recv().await;
        match received {
            Some(payment_id) => payment_id,
            // the queue has a sender itself, so the channel is never closed
            None => pending().await,
        }
    }
}

impl PaymentNotices for NoticeQueue {
    fn payment_changed(&self, payment_id: PaymentId) {
        if self.sender.try_send(payment_id).is_err() {
            tracing::debug!(payment = %payment_id, "the notice queue is full, a notice was dropped");
        }
    }
}
