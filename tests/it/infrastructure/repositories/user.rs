//! Users: found by address, listed and updated; their preferences.

use undercroft::domain::ids::UserId;
use undercroft::domain::money::Currency;
use undercroft::domain::user::{Preferences, Role, User};
use undercroft::infrastructure::repositories::{
    DatabaseError, Page, PreferencesRepository, UserFilter, UserRepository,
};

use super::{at, concurrently, insert, register, update, user};
use crate::support::Shop;

async fn find(shop: &Shop, id: UserId) -> User {
    shop.database.read().await.unwrap().find(id).await.unwrap().unwrap()
}

async fn by_email(shop: &Shop, email: &str) -> Option<User> {
    UserRepository(&mut shop.database.read().await.unwrap()).by_email(email).await.unwrap()
}

async fn list(shop: &Shop, filter: &UserFilter, cursor: Option<&str>) -> Page<User> {
    let mut connection = shop.database.read().await.unwrap();
    let request = shop.database.page_request(2, cursor);
    UserRepository(&mut connection).list(filter, &request).await.unwrap()
}

fn emails(page: &Page<User>) -> Vec<&str> {
    page.items.iter().map(|user| user.email.as_str()).collect()
}

on_both_engines!(a_user_is_found_by_any_spelling_of_the_address);
async fn a_user_is_found_by_any_spelling_of_the_address(shop: &Shop) {
    let ann = user(1, "Ann.Ångström@Example.com");
    register(shop, std::slice::from_ref(&ann)).await;
    assert!(find(shop, ann.id).await == ann);
    for spelling in ["ANN.ÅNGSTRÖM@example.COM", " ann.a\u{30a}ngstro\u{308}m@example.com "] {
        assert!(by_email(shop, spelling).await == Some(ann.clone()), "{spelling}");
    }
    assert!(by_email(shop, "ann@example.com").await.is_none());
}

/// Inserts a user unless the address is taken; returns whether it was inserted.
async fn insert_unique(shop: &Shop, user: User) -> bool {
    let write =
        shop.database.write(user, async |work, user| UserRepository::insert_unique_email(work, user).await);
    write.await.unwrap()
}

on_both_engines!(an_address_is_unique_in_every_spelling);
async fn an_address_is_unique_in_every_spelling(shop: &Shop) {
    let added = concurrently(shop, 16, |shop, number| async move {
        let mut ann = user(u32::try_from(number).unwrap(), "ann@example.com");
        if number % 2 == 0 {
            ann.email = "ANN@EXAMPLE.COM".into();
        }
        insert_unique(&shop, ann).await
    })
    .await;
    assert_eq!(added, 1);
    let again = user(99, "Ann@Example.com");
    let taken = insert(shop, &again).await.unwrap_err();
    assert!(taken.is_taken("users_email"), "{taken}");
}

on_both_engines!(two_spellings_of_a_domain_that_are_registered_at_once_are_one_account);
async fn two_spellings_of_a_domain_that_are_registered_at_once_are_one_account(shop: &Shop) {
    for round in 0..5 {
        let added = concurrently(shop, 16, |shop, number| async move {
            let domain = if number % 2 == 0 { "münchen.example" } else { "xn--mnchen-3ya.example" };
            let ann = user(u32::try_from(round * 16 + number).unwrap(), &format!("ann{round}@{domain}"));
            insert_unique(&shop, ann).await
        })
        .await;
        assert_eq!(added, 1, "round {round}");
    }
}

on_both_engines!(a_list_is_newest_first_in_pages);
async fn a_list_is_newest_first_in_pages(shop: &Shop) {
    let mut users = [user(1, "ann@a.com"), user(2, "Anna@a.com"), user(3, "bob@a.com"), user(4, "an%@a.com")];
    users[2].role = Role::Admin;
    users[3].created_at = users[2].created_at;
    register(shop, &users).await;

    let all = UserFilter::default();
    let first = list(shop, &all, None).await;
    assert_eq!(emails(&first), ["an%@a.com", "bob@a.com"], "of one instant, the higher id");
    let second = list(shop, &all, first.next.as_deref()).await;
    assert_eq!(emails(&second), ["Anna@a.com", "ann@a.com"]);
    assert_eq!(second.next, None);

    let beginning = |prefix: &str| UserFilter { email_prefix: Some(prefix.into()), role: None };
    let first = list(shop, &beginning("AN"), None).await;
    assert_eq!(emails(&first), ["an%@a.com", "Anna@a.com"]);
    assert_eq!(emails(&list(shop, &beginning("AN"), first.next.as_deref()).await), ["ann@a.com"]);
    assert_eq!(emails(&list(shop, &beginning("an%"), None).await), ["an%@a.com"]);

    let admins =
        |prefix: Option<&str>| UserFilter { email_prefix: prefix.map(Into::into), role: Some(Role::Admin) };
    assert_eq!(emails(&list(shop, &admins(None), None).await), ["bob@a.com"]);
    assert_eq!(emails(&list(shop, &admins(Some("an")), None).await), [""; 0]);
}

on_both_engines!(of_two_updates_of_one_version_of_a_user_the_second_is_stale);
async fn of_two_updates_of_one_version_of_a_user_the_second_is_stale(shop: &Shop) {
    let ann = user(1, "ann@example.com");
    register(shop, std::slice::from_ref(&ann)).await;
    let renamed = |name: &str, version| User { name: name.into(), version, ..ann.clone() };
    let save = async |user: User| update(shop, user).await.map(|user| user.version);
    assert_eq!(save(renamed("Ann", 1)).await.unwrap(), 2);
    assert!(matches!(save(renamed("Anna", 1)).await, Err(DatabaseError::Stale { table: "users" })));
    assert_eq!(save(renamed("Annette", 2)).await.unwrap(), 3);
    assert_eq!(find(shop, ann.id).await.name, "Annette");
}

on_both_engines!(preferences_have_defaults_and_versions);
async fn preferences_have_defaults_and_versions(shop: &Shop) {
    let ann = user(1, "ann@example.com");
    register(shop, std::slice::from_ref(&ann)).await;
    let read =
        async || PreferencesRepository(&mut shop.database.read().await.unwrap()).of(ann.id).await.unwrap();
    let save = async |preferences: Preferences| {
        let save = shop.database.write(preferences, async |work, preferences| {
            let mut preferences = preferences.clone();
            PreferencesRepository::save(work, &mut preferences).await.map(|()| preferences.version)
        });
        save.await
    };
    let none = read().await;
    assert_eq!((none.version, none.locale.as_deref(), none.marketing_consent), (0, None, false));
    let preferences = Preferences {
        locale: Some("pt-BR".into()),
        currency: Some(Currency::EUR),
        marketing_consent: true,
        consent_at: Some(at(5)),
        ..none.clone()
    };
    assert_eq!(save(preferences.clone()).await.unwrap(), 1);
    let first = read().await;
    assert!(first.updated_at > none.updated_at);
    assert_eq!(first, Preferences { version: 1, updated_at: first.updated_at, ..preferences.clone() });
    assert!(matches!(save(preferences.clone()).await, Err(DatabaseError::Stale { .. })), "version 1 exists");
    assert_eq!(save(Preferences { version: 1, currency: None, ..preferences.clone() }).await.unwrap(), 2);
    assert_eq!(read().await.currency, None);
    assert!(matches!(
        save(Preferences { version: 1, ..preferences }).await,
        Err(DatabaseError::Stale { .. })
    ));
}
