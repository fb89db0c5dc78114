//! One charge a period, and what follows when it fails.

use super::*;

async fn shopper(database: &Database) -> UserId {
    let made: Result<UserId, StoreError> = database
        .write(|unit_of_work| {
            Box::pin(async move {
                let now = unit_of_work.now();
                let id: UserId = unit_of_work.id();
                let user = User {
                    id,
                    email: format!("{id}@example.com"),
                    name: "Ann".into(),
                    password_hash: None,
                    role: Role::Customer,
                    birth_date: None,
                    email_verified_at: None,
                    erased_at: None,
                    version: 1,
                    created_at: now,
                    updated_at: now,
                };
                unit_of_work.insert(&user).await?;
                Ok(id)
            })
        })
        .await;
    made.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_of_a_subscription_is_charged_once_by_32_workers() {
    let (context, clock) = manual();
    on_each_engine_at(context, |test| {
        let clock = Arc::clone(&clock);
        async move {
            let (store, _notices) = store(&test.database, policy());
            let variant = product_of_kind(&test.database, 1500, 100, "subscription").await;
            let user_id = shopper(&test.database).await;
            let cart = cart(&store, Some(user_id), &[(variant, 1)]).await;
            let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
            assert_eq!(told(&checkout(&store, request, None, Arc::new(Plain)).await).0, 201);
            let id: SubscriptionId = value(&test.database, "SELECT id FROM subscriptions", &[]).await;
            assert!(!renew(&store, id).await.unwrap(), "not due yet");
            clock.advance(SignedDuration::from_hours(24 * 32));
            let workers = (0..32).map(|_| {
                let store = store.clone();
                tokio::spawn(async move { renew(&store, id).await.unwrap() })
            });
            let mut charged = 0;
            for worker in workers.collect::<Vec<_>>() {
                charged += i64::from(worker.await.unwrap());
            }
            assert_eq!(charged, 1);
            assert_eq!(value::<i64>(&test.database, "SELECT COUNT(*) FROM orders", &[]).await, 2);
            let until: Timestamp = value(&test.database, "SELECT paid_until FROM subscriptions", &[]).await;
            assert!(until > test.database.context().clock.now());
            check(&test.database).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_charges_fail_expires_after_four() {
    let (context, clock) = manual();
    on_each_engine_at(context, |test| {
        let clock = Arc::clone(&clock);
        async move {
            let (store, _notices) = store(&test.database, policy());
            let variant = product_of_kind(&test.database, 1500, 100, "subscription").await;
            let user_id = shopper(&test.database).await;
            let cart = cart(&store, Some(user_id), &[(variant, 1)]).await;
            let request = Checkout { user_id: Some(user_id), ..purchase(cart, "tok_ok") };
            assert_eq!(told(&checkout(&store, request, None, Arc::new(Plain)).await).0, 201);
            crate::support::store::execute(
                &test.database,
                &["UPDATE subscriptions SET token = 'tok_declined'"],
            )
            .await;
            let mut states = Vec::new();
            for _ in 0..5 {
                clock.advance(SignedDuration::from_hours(24 * 32));
                renew_subscriptions(&store, test.database.context().clock.now()).await.unwrap();
                states.push(value::<String>(&test.database, "SELECT status FROM subscriptions", &[]).await);
            }
            assert_eq!(states, ["past_due", "past_due", "past_due", "expired", "expired"]);
            assert_eq!(stock(&test.database, variant).await, (99, 0));
            check(&test.database).await;
        }
    })
    .await;
}
