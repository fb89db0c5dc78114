//! E-mails are written with their events, and handed to a mail server until it accepts or refuses them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use undercroft::application::Store;
use undercroft::application::emails::{email, emails, retry};
use undercroft::application::jobs::event_log::{ReplayRequest, replay};
use undercroft::application::jobs::job_queue;
use undercroft::application::jobs::worker::work;
use undercroft::application::payments::gateway_calls::refresh;
use undercroft::application::people::email_addresses::{VerifyEmail, send_verification, verify};
use undercroft::application::selling::checkout::Checkout;
use undercroft::domain::email::{Email, EmailStatus};
use undercroft::domain::ids::{EmailId, UserId, VariantId};
use undercroft::domain::user::Role;
use undercroft::infrastructure::adapters::Mail;
use undercroft::infrastructure::repositories::{DatabaseError, EmailFilter};
use uuid::Uuid;

use crate::support::builders::user;
use crate::support::emails::{with_mail, work_until_none};
use crate::support::orders::{Sale, check_out, checkout_request, submit};
use crate::support::store::{cart, confirm_payment, execute, value};
use crate::support::{Lines, Shop, ShopOptions};

/// An e-mail that was not sent yet.
fn unsent(id: EmailId, recipient: &str, created_at: Timestamp) -> Email {
    Email {
        id,
        user_id: None,
        event_id: None,
        kind: "order_paid".into(),
        recipient: recipient.to_owned(),
        subject: "Gr\u{fc}\u{df}e".into(),
        body: "Line one\n.\nLine three \u{2713}".into(),
        status: EmailStatus::Pending,
        attempts: 0,
        due_at: None,
        error: None,
        created_at,
        ended_at: None,
        token_id: None,
        trace: None,
        limit_key: None,
    }
}

/// Writes an e-mail that is due; returns its id.
async fn pending(store: &Store, recipient: &str, user_id: Option<UserId>) -> EmailId {
    pending_for(store, recipient, user_id, SignedDuration::ZERO).await
}

/// Writes an e-mail that has been due for some time; returns its id.
async fn pending_for(
    store: &Store,
    recipient: &str,
    user_id: Option<UserId>,
    age: SignedDuration,
) -> EmailId {
    let given = (recipient.to_owned(), user_id, age);
    let write = store.database().write(given, async |work, (recipient, user_id, age)| {
        let due_at = Some(work.now() - *age);
        let email = Email { user_id: *user_id, due_at, ..unsent(work.id(), recipient, work.now()) };
        work.insert(&email).await?;
        Ok(email.id)
    });
    let written: Result<EmailId, DatabaseError> = write.await;
    written.unwrap()
}

on_both_engines!(a_customer_gets_e_mails_about_orders_since_the_store_sends_them);
async fn a_customer_gets_e_mails_about_orders_since_the_store_sends_them(shop: &Shop) {
    Sale::begin(shop, 5, "tok_ok").await;
    let store = with_mail(shop, "local:");
    user(&store, Role::Admin).await;
    work_until_none(&store, "SELECT 1 - COUNT(*) FROM store_settings WHERE key = 'emails_since'").await;
    let sale = Sale::begin(shop, 5, "tok_ok").await;
    // the response says that the payment was declined
    let declined = cart(&store, None, &[(sale.variant, 1)]).await;
    assert_eq!(check_out(&store, declined, "tok_declined").await.0, 402);
    job_queue(&store).run("send_digest", serde_json::json!({}), None).await.unwrap();
    work_until_none(&store, "SELECT 2 - COUNT(*) FROM emails WHERE status = 'sent'").await;

    let all = emails(&store, &EmailFilter::default(), 10, None).await.unwrap().items;
    let kinds: Vec<_> = all.iter().map(|email| email.kind.as_str()).collect();
    assert!(kinds.contains(&"digest") && kinds.contains(&"order_paid"), "{kinds:?}");
    assert!(!kinds.contains(&"order_cancelled"), "{kinds:?}");
    for email in all {
        assert!(!email.subject.contains(['{', '\n']) && !email.body.contains('{'), "{}", email.body);
        if email.kind == "order_paid" {
            let number = "SELECT number FROM orders WHERE id = $1";
            let number: i64 = value(&shop.database, number, &[sale.id.into()]).await;
            assert!(email.subject.ends_with(&format!("your order {number}")), "{}", email.subject);
            assert!(email.body.contains("Total: "), "{}", email.body);
        }
    }
    let events = "SELECT COUNT(*) FROM outbox WHERE type = 'email_delivery'";
    assert_eq!(value::<i64>(&shop.database, events, &[]).await, 2);

    // a replay writes none again
    let replayed = replay(&store, "emails", ReplayRequest::default()).await.unwrap();
    assert!(replayed > 0);
    work_until_none(&store, "SELECT COUNT(*) FROM postponed_events WHERE subscriber = 'emails'").await;
    assert_eq!(value::<i64>(&shop.database, "SELECT COUNT(*) FROM emails", &[]).await, 2);
}

/// Checks out one piece with an e-mail address, and cancels the order.
async fn order_and_cancel(store: &Store, variant: VariantId, by: (Option<UserId>, &str), token: &str) {
    let (user_id, email) = (by.0, Some(by.1.to_owned()));
    let cart_id = cart(store, user_id, &[(variant, 1)]).await;
    let request = Checkout { user_id, email, ..checkout_request(cart_id, token) };
    let (status, body) = submit(store, request, None).await;
    assert_eq!(status, 201, "{body}");
    let id = body.split(' ').next().unwrap().parse().unwrap();
    Sale { store: store.clone(), variant, id }.cancel().await;
}

on_both_engines!(
    an_address_gets_few_e_mails_about_orders_that_strangers_place_and_do_not_pay,
    ShopOptions::at("2026-01-01T00:00:00Z")
);
async fn an_address_gets_few_e_mails_about_orders_that_strangers_place_and_do_not_pay(shop: &Shop) {
    const LIMITED: &str = "SELECT COUNT(*) FROM emails WHERE limit_key IS NOT NULL";
    let store = with_mail(shop, "local:");
    work_until_none(&store, "SELECT 1 - COUNT(*) FROM store_settings WHERE key = 'emails_since'").await;
    let (customer, variant) = (shop.customer().await, shop.product().stock(20).create().await);
    execute(&shop.database, &["UPDATE users SET email_verified_at = created_at"]).await;
    let email: String =
        value(&shop.database, "SELECT email FROM users WHERE id = $1", &[customer.into()]).await;

    for number in 0..7 {
        let spelling = if number % 2 == 0 { email.clone() } else { email.to_uppercase() };
        Box::pin(order_and_cancel(&store, variant, (None, &spelling), "tok_requires_action")).await;
    }
    Box::pin(order_and_cancel(&store, variant, (None, &email), "tok_ok")).await;
    Box::pin(order_and_cancel(&store, variant, (Some(customer), &email), "tok_requires_action")).await;
    let own = "SELECT 1 - COUNT(*) FROM emails WHERE kind = 'order_cancelled' AND user_id IS NOT NULL";
    work_until_none(&store, own).await;
    assert_eq!(value::<i64>(&shop.database, LIMITED, &[]).await, 5);
    let others = "SELECT COUNT(*) FROM emails WHERE kind = 'order_cancelled' AND limit_key IS NULL";
    assert_eq!(value::<i64>(&shop.database, others, &[]).await, 2, "of the one that was paid, and the own");

    // of the owner at an address that is not the own one, an hour later
    shop.clock().advance(SignedDuration::from_mins(61));
    Box::pin(order_and_cancel(&store, variant, (Some(customer), "bob@example.com"), "tok_requires_action"))
        .await;
    Box::pin(order_and_cancel(&store, variant, (None, &email), "tok_requires_action")).await;
    work_until_none(&store, "SELECT 7 - COUNT(*) FROM emails WHERE limit_key IS NOT NULL").await;
}

on_both_engines!(
    a_digest_counts_the_orders_that_were_paid_on_the_day_before,
    ShopOptions::at("2026-01-31T23:50:00Z")
);
async fn a_digest_counts_the_orders_that_were_paid_on_the_day_before(shop: &Shop) {
    const REMOVE_LAST: &str =
        "UPDATE products SET active = FALSE WHERE id = (SELECT id FROM products ORDER BY id DESC LIMIT 1)";
    let store = with_mail(shop, "local:");
    user(&store, Role::Admin).await;
    work_until_none(&store, "SELECT 1 - COUNT(*) FROM store_settings WHERE key = 'emails_since'").await;
    Sale::begin(shop, 5, "tok_ok").await;
    let placed_before = Sale::begin(shop, 5, "tok_requires_action").await.payment().await;
    shop.clock().advance(SignedDuration::from_mins(15));
    assert!(confirm_payment(&store, placed_before.id).await);
    refresh(&store, placed_before.id).await.unwrap();

    for _ in 0..2 {
        shop.product().stock(0).create().await;
    }
    execute(&shop.database, &[REMOVE_LAST]).await;

    // a late digest
    shop.clock().advance(SignedDuration::from_hours(35));
    job_queue(&store).run("send_digest", serde_json::json!({}), None).await.unwrap();
    work_until_none(&store, "SELECT 1 - COUNT(*) FROM emails WHERE kind = 'digest'").await;
    let body: String = value(&shop.database, "SELECT body FROM emails WHERE kind = 'digest'", &[]).await;
    assert!(body.starts_with("1 orders were paid on 2026-02-01 (UTC): 10.00 EUR."), "{body}");
    assert!(body.contains("Variants that are out of stock: 1"), "{body}");

    // of which the database has one: a job that runs again writes no second digest of the day
    let unique = "SELECT COUNT(event_id) FROM emails WHERE kind = 'digest'";
    assert_eq!(value::<i64>(&shop.database, unique, &[]).await, 1);
}

on_both_engines!(e_mails_wait_for_a_worker_that_sends_them_and_fail_after_two_days);
async fn e_mails_wait_for_a_worker_that_sends_them_and_fail_after_two_days(shop: &Shop) {
    let (with, without) = (with_mail(shop, "local:"), &shop.store);
    work_until_none(&with, "SELECT 1 - COUNT(*) FROM store_settings WHERE key = 'emails_since'").await;
    let since = "SELECT value FROM store_settings WHERE key = 'emails_since'";
    let begun: String = value(&shop.database, since, &[]).await;

    let late = pending_for(without, "a@example.com", None, SignedDuration::from_hours(49)).await;
    let soon = pending_for(without, "b@example.com", None, SignedDuration::from_hours(47)).await;
    Sale::begin(shop, 5, "tok_ok").await;
    work_until_none(
        without,
        "SELECT 1 - COUNT(*) FROM emails WHERE kind = 'order_paid' AND event_id IS NOT NULL",
    )
    .await;
    job_queue(without).run("expire_emails", serde_json::json!({}), None).await.unwrap();
    work_until_none(without, "SELECT 1 - COUNT(*) FROM emails WHERE status = 'failed'").await;
    let late = email(without, late).await.unwrap();
    assert_eq!((late.status, late.attempts), (EmailStatus::Failed, 0));
    assert!(late.error.unwrap().contains("mail.url"));
    let events = "SELECT COUNT(*) FROM outbox WHERE type = 'email_delivery'";
    assert_eq!(value::<i64>(&shop.database, events, &[]).await, 1);

    work_until_none(&with, "SELECT COUNT(*) FROM emails WHERE status = 'pending'").await;
    assert_eq!(email(&with, soon).await.unwrap().status, EmailStatus::Sent);
    assert_eq!(value::<String>(&shop.database, since, &[]).await, begun);
}

on_both_engines!(a_stop_waits_for_e_mails_that_are_being_sent);
async fn a_stop_waits_for_e_mails_that_are_being_sent(shop: &Shop) {
    let permits = Arc::new(Semaphore::new(0));
    let (port, mut accepted) = mail_server(&permits).await;
    let store = with_mail(shop, &format!("smtp://127.0.0.1:{port}"));
    for number in 0..6 {
        pending(&store, &format!("{number}@example.com"), None).await;
    }
    let stop = CancellationToken::new();
    let working = tokio::spawn(work(store.clone(), stop.clone()));
    for _ in 0..4 {
        accepted.recv().await.unwrap();
    }
    stop.cancel();
    permits.add_permits(6);
    working.await.unwrap();
    let sent = "SELECT COUNT(*) FROM emails WHERE status = 'sent' AND attempts = 1";
    assert_eq!(value::<i64>(&shop.database, sent, &[]).await, 4);
    let waiting = "SELECT COUNT(*) FROM emails WHERE status = 'pending' AND attempts = 0";
    assert_eq!(value::<i64>(&shop.database, waiting, &[]).await, 2, "none is begun after the stop");
}

on_both_engines!(a_refused_e_mail_fails_and_a_deferred_one_is_sent_again);
async fn a_refused_e_mail_fails_and_a_deferred_one_is_sent_again(shop: &Shop) {
    let store = with_mail(shop, "local:");
    let customer = shop.customer().await;
    let refused = pending(&store, "a@bounce.test", Some(customer)).await;
    let deferred = pending(&store, "a@busy.test", None).await;
    work_until_none(&store, "SELECT COUNT(*) FROM emails WHERE attempts = 0").await;
    let refused = email(&store, refused).await.unwrap();
    assert_eq!((refused.status, refused.due_at), (EmailStatus::Failed, None));
    assert!(refused.error.unwrap().contains("550"));
    let deferred = email(&store, deferred).await.unwrap();
    assert_eq!((deferred.status, deferred.attempts), (EmailStatus::Pending, 1));
    assert!(deferred.due_at > Some(shop.now()));
    work_until_none(&store, "SELECT 1 - COUNT(*) FROM notifications WHERE kind = 'email_bounced'").await;

    assert_eq!(retry(&store, refused.id).await.unwrap().status, EmailStatus::Pending);
    assert_eq!(retry(&store, refused.id).await.unwrap_err().code(), "forbidden_transition");
}

/// A mail server that refuses recipients at `bounce.test`, defers those at `busy.test`, refuses the sender of e-mails
/// to `policy.test`, and responds to those at `garbled.test` with what is no response of SMTP; returns its port. What
/// it accepts is sent to the channel; it says so when there is a permit.
async fn mail_server(permits: &Arc<Semaphore>) -> (u16, mpsc::Receiver<String>) {
    mail_server_at(0, permits).await
}

/// The same at a port.
async fn mail_server_at(port: u16, permits: &Arc<Semaphore>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, accepted) = mpsc::channel(100);
    let permits = Arc::clone(permits);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, sender.clone(), Arc::clone(&permits)));
        }
    });
    (port, accepted)
}

async fn serve(
    stream: TcpStream,
    accepted: mpsc::Sender<String>,
    permits: Arc<Semaphore>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mail.example.com ESMTP\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let response = match line.to_ascii_uppercase().split([' ', ':']).next().unwrap_or_default().trim() {
            "EHLO" => "250-mail.example.com\r\n250 8BITMIME\r\n",
            "RCPT" if line.contains("bounce.test") => "550 5.1.1 no such mailbox\r\n",
            "RCPT" if line.contains("busy.test") => "451 4.3.0 try again later\r\n",
            "RCPT" if line.contains("policy.test") => "550 5.7.60 not allowed to send as this sender\r\n",
            "RCPT" if line.contains("garbled.test") => "5xx no mailbox <a@garbled.test>\r\n",
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut message).await?;
                }
                let _ = accepted.send(message).await;
                permits.acquire().await.unwrap().forget();
                "250 accepted\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(response.as_bytes()).await?;
    }
}

on_both_engines!(e_mails_are_sent_by_smtp);
async fn e_mails_are_sent_by_smtp(shop: &Shop) {
    let (port, mut accepted) = mail_server(&Arc::new(Semaphore::new(1))).await;
    let store = with_mail(shop, &format!("smtp://127.0.0.1:{port}"));
    store.infrastructure.mail.as_ref().unwrap().mailer().check().await.unwrap();
    let sent = pending(&store, "buyer@m\u{fc}nchen.example", None).await;
    let refused = pending(&store, "a@bounce.test", None).await;
    let deferred = pending(&store, "a@busy.test", None).await;
    let invalid = pending(&store, "no address", None).await;
    work_until_none(&store, "SELECT COUNT(*) FROM emails WHERE attempts = 0").await;
    for (id, status) in [
        (sent, EmailStatus::Sent),
        (refused, EmailStatus::Failed),
        (deferred, EmailStatus::Pending),
        (invalid, EmailStatus::Failed),
    ] {
        let email = email(&store, id).await.unwrap();
        assert_eq!(email.status, status, "{:?}", email.error);
    }
    let message = accepted.recv().await.unwrap();
    assert!(message.contains(&format!("Message-ID: <{sent}@example.com>")), "{message}");
    assert!(message.contains("To: buyer@xn--mnchen-3ya.example"), "the server knows no SMTPUTF8: {message}");
    assert!(message.contains("From: Shop <shop@example.com>"), "{message}");
    assert!(accepted.try_recv().is_err(), "one e-mail was accepted");
}

on_both_engines!(the_mail_server_alone_gets_a_token_and_not_an_expired_one);
async fn the_mail_server_alone_gets_a_token_and_not_an_expired_one(shop: &Shop) {
    let (port, mut accepted) = mail_server(&Arc::new(Semaphore::new(1))).await;
    let store = with_mail(shop, &format!("smtp://127.0.0.1:{port}"));
    work_until_none(&store, "SELECT 1 - COUNT(*) FROM store_settings WHERE key = 'emails_since'").await;
    let customer = shop.customer().await;
    send_verification(&shop.store, customer).await.unwrap();
    send_verification(&shop.store, customer).await.unwrap();
    work_until_none(&store, "SELECT COUNT(*) FROM emails WHERE status = 'pending'").await;
    let replaced = "SELECT COUNT(*) FROM emails WHERE status = 'failed' AND error LIKE '%token%'";
    assert_eq!(value::<i64>(&shop.database, replaced, &[]).await, 1);

    let message = accepted.recv().await.unwrap();
    let token = message.lines().find_map(|line| line.strip_prefix("Token: ")).unwrap();
    verify(&shop.store, &[], VerifyEmail { token: token.trim().into() }).await.unwrap();
    assert!(accepted.try_recv().is_err(), "the e-mail with the replaced token is not sent");
}

on_both_engines!(a_mail_server_that_is_away_is_asked_again);
async fn a_mail_server_that_is_away_is_asked_again(shop: &Shop) {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = with_mail(shop, &format!("smtp://127.0.0.1:{unused}"));
    let id = pending(&store, "buyer@example.com", None).await;
    assert!(store.infrastructure.mail.as_ref().unwrap().mailer().check().await.is_err());
    work_until_none(&store, "SELECT COUNT(*) FROM emails WHERE attempts = 0").await;
    let email = email(&store, id).await.unwrap();
    assert_eq!((email.status, email.attempts), (EmailStatus::Pending, 1));
}

#[tokio::test]
async fn an_outage_of_the_mail_server_has_a_line_and_its_end_another() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("smtp://127.0.0.1:{port}").parse().unwrap();
    let mail = Mail::new(&url, &"Shop <shop@example.com>".parse().unwrap()).unwrap();
    assert_eq!(mail.shown(), format!("127.0.0.1:{port}"));
    let lines = Lines::begin();
    let send = async |recipient: &str| {
        let email = unsent(EmailId(Uuid::nil()), recipient, Timestamp::UNIX_EPOCH);
        mail.mailer().send(&email).await.is_ok()
    };
    for _ in 0..3 {
        assert!(!send("buyer@example.com").await);
    }
    let _server = mail_server_at(port, &Arc::new(Semaphore::new(4))).await;
    assert!(!send("a@bounce.test").await && !send("a@busy.test").await);
    assert_eq!(lines.with("e-mails again"), 0);
    assert!(send("buyer@example.com").await && send("buyer@example.com").await);
    assert!(!send("a@busy.test").await && !send("no address").await);
    let named = format!("server=\"127.0.0.1:{port}\" setting=\"mail.url\"");
    assert_eq!(lines.with(&format!("the mail server accepts no e-mails {named} error=")), 1);
    assert_eq!(lines.with(&format!("the mail server accepts e-mails again {named}")), 1);
    assert_eq!(lines.with(""), 2, "the lines name no e-mail");
    for outage in ["a@policy.test", "a@garbled.test"] {
        assert!(!send(outage).await && send("buyer@example.com").await);
    }
    assert_eq!((lines.with("accepts no e-mails"), lines.with("e-mails again")), (3, 3));
    assert_eq!(lines.with("@"), 0, "an address of a person");
}
