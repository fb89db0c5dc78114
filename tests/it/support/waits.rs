//! Waits that end: a test fails instead of hanging, and says what it waited for.

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The longest wait.
const PATIENCE: Duration = Duration::from_mins(2);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until a condition holds; `what` names it.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    awaited(what, async || condition().await.then_some(())).await;
}

/// Waits until there is a value, and returns it; `what` names it.
pub async fn awaited<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    // boxed: the futures of tests are large
    let looking = Box::pin(async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            sleep(PAUSE).await;
        }
    });
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for: {what}"))
}
