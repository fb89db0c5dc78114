//! Notifications: listed and marked as read by their user.

use undercroft::domain::ids::{NotificationId, OrderId, UserId};
use undercroft::domain::money::{Currency, Money};
use undercroft::domain::notification::{Channel, DeliveryStatus, Notification, NotificationFacts};
use undercroft::infrastructure::repositories::{NotificationFilter, NotificationRepository};
use uuid::Uuid;

use super::{at, insert, register, user};
use crate::support::Shop;

fn id(number: u32) -> NotificationId {
    NotificationId(Uuid::from_u128(number.into()))
}

fn notification(number: u32, user_id: UserId, channel: Channel) -> Notification {
    Notification {
        id: id(number),
        user_id,
        kind: "order_paid".into(),
        facts: NotificationFacts {
            order_id: Some(OrderId(Uuid::nil())),
            order_number: Some(17),
            subscription_id: None,
            amount: Some(Money::new(1_299, Currency::EUR)),
            url: None,
            job: None,
        },
        channel,
        delivery: DeliveryStatus::Pending,
        read_at: None,
        created_at: at(number.into()),
    }
}

fn all_of(user_id: UserId) -> NotificationFilter {
    NotificationFilter { user_id, channel: None, unread: false }
}

fn unread_of(user_id: UserId) -> NotificationFilter {
    NotificationFilter { unread: true, ..all_of(user_id) }
}

fn emails_of(user_id: UserId) -> NotificationFilter {
    NotificationFilter { channel: Some(Channel::Email), ..all_of(user_id) }
}

/// Ann with three notifications, the second by e-mail, and Bob with one.
async fn set_up(shop: &Shop) -> [UserId; 2] {
    let (ann, bob) = (user(1, "ann@example.com"), user(2, "bob@example.com"));
    register(shop, &[ann.clone(), bob.clone()]).await;
    for (number, user, channel) in [
        (1, &ann, Channel::InApp),
        (2, &ann, Channel::Email),
        (3, &ann, Channel::InApp),
        (4, &bob, Channel::Email),
    ] {
        let one = notification(number, user.id, channel);
        insert(shop, &one).await.unwrap();
    }
    [ann.id, bob.id]
}

async fn list(shop: &Shop, filter: NotificationFilter) -> Vec<u128> {
    let mut connection = shop.database.read().await.unwrap();
    let mut notifications = NotificationRepository(&mut connection);
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let request = shop.database.page_request(2, cursor.as_deref());
        let page = notifications.list(&filter, &request).await.unwrap();
        found.extend(page.items.iter().map(|one| one.id.0.as_u128()));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let count = notifications.count(&filter).await.unwrap();
    assert_eq!(found.len(), usize::try_from(count).unwrap());
    found
}

async fn find(shop: &Shop, number: u32) -> Notification {
    shop.database.read().await.unwrap().find(id(number)).await.unwrap().unwrap()
}

async fn read(shop: &Shop, user: UserId, number: u32) -> bool {
    let given = (user, id(number));
    let read = shop
        .database
        .write(given, async |work, &(user, id)| NotificationRepository::mark_read(work, user, id).await)
        .await;
    read.unwrap()
}

async fn read_all(shop: &Shop, user: UserId) -> u64 {
    let read = shop
        .database
        .write(user, async |work, &user| NotificationRepository::mark_all_read(work, user).await)
        .await;
    read.unwrap()
}

on_both_engines!(notifications_of_a_user_are_listed_newest_first_by_channel_and_unread);
async fn notifications_of_a_user_are_listed_newest_first_by_channel_and_unread(shop: &Shop) {
    let [ann, bob] = set_up(shop).await;
    assert_eq!(find(shop, 2).await, notification(2, ann, Channel::Email), "as it was written");
    assert_eq!(list(shop, all_of(ann)).await, [3, 2, 1]);
    assert_eq!(list(shop, emails_of(ann)).await, [2]);
    assert_eq!(list(shop, all_of(bob)).await, [4]);
    assert!(read(shop, ann, 2).await);
    assert_eq!(list(shop, unread_of(ann)).await, [3, 1]);
    assert_eq!(list(shop, NotificationFilter { unread: true, ..emails_of(ann) }).await, [0; 0]);
    assert_eq!(list(shop, all_of(ann)).await, [3, 2, 1]);
}

on_both_engines!(only_own_notifications_are_marked_read_and_once);
async fn only_own_notifications_are_marked_read_and_once(shop: &Shop) {
    let [ann, bob] = set_up(shop).await;
    assert!(!read(shop, bob, 1).await, "it belongs to Ann");
    assert_eq!(find(shop, 1).await.read_at, None);
    assert!(!read(shop, ann, 9).await, "there is none");
    assert!(read(shop, ann, 1).await);
    let first = find(shop, 1).await.read_at;
    assert!(first.is_some());
    assert!(read(shop, ann, 1).await, "marking twice has the same result");
    assert_eq!(find(shop, 1).await.read_at, first);
    assert_eq!((read_all(shop, ann).await, read_all(shop, ann).await), (2, 0));
    assert_eq!(find(shop, 1).await.read_at, first);
    assert_eq!((list(shop, unread_of(ann)).await.len(), list(shop, unread_of(bob)).await.len()), (0, 1));
}
