//! The guards room: what a request must fulfil before a handler or a use case goes on.
//!
//! The value of a guard is the proof that its check succeeded: its type has private fields in a module of its own, in
//! which only [`Guard::check`] creates one. A handler takes the proof of who may call it, so that it cannot be called
//! without the check; the proof has what the handler needs of the facts, such as the user or the order. A use case
//! checks what depends on the rows of its transaction (the age, the payment, the bounds of the cart) before it goes on,
//! and its proof ends there. A check is a pure function of its facts. An extractor loads them, once for each request
//! (`presentation::http::guarded`), or a use case does, in its transaction. A refused check is a typed exception; what
//! the principal may not see is a [`NotFound`](crate::infrastructure::exceptions::NotFound).
//!
//! [`And`], [`Or`] and [`Not`] combine guards. The room knows nothing of HTTP. Rules that guard money are rules of the
//! database, too.
//!
//! # In another service
//!
//! Its guards are types of its own, and those of this room that do not take the facts of a store, such as
//! [`EmailVerifiedGuard`]. The state of its router loads the facts, and handlers take the proof. A secret is compared
//! in a time that does not depend on it, here by the crate `subtle`. A request without a credential is refused as
//! `NotLoggedIn`, one with a wrong one as `InvalidToken` (both 401), and `NotAllowed` (403) is for those who are known
//! and may not do it:
//!
//! ```
//! use axum::Router;
//! use http::Method;
//! use http::request::Parts;
//! use subtle::ConstantTimeEq;
//! use undercroft::infrastructure::exceptions::Failure;
//! use undercroft::presentation::http::guarded::{DescribeGuard, Guarded, LoadFacts};
//! use undercroft::presentation::http::routing::{Access, Routes};
//!
//! /// A file of its own.
//! mod key_guard {
//!     use undercroft::infrastructure::exceptions::{Failure, UnauthorizedAccessException};
//!     use undercroft::infrastructure::guards::Guard;
//!
//!     /// The proof that a request has the key of the service. Its field is private: only this module creates one.
//!     pub struct KeyGuard(());
//!
//!     impl Guard for KeyGuard {
//!         /// Whether the key of the request is that of the service; `None` without a key.
//!         type Facts = Option<bool>;
//!
//!         fn check(is_right: Option<bool>) -> Result<Self, Failure> {
//!             match is_right {
//!                 Some(true) => Ok(Self(())),
//!                 Some(false) => Err(UnauthorizedAccessException::InvalidToken.into()),
//!                 None => Err(UnauthorizedAccessException::NotLoggedIn.into()),
//!             }
//!         }
//!
//!         fn refusals() -> Vec<Failure> {
//!             [UnauthorizedAccessException::NotLoggedIn, UnauthorizedAccessException::InvalidToken]
//!                 .map(Failure::from)
//!                 .to_vec()
//!         }
//!     }
//! }
//! use key_guard::KeyGuard;
//!
//! /// The responses are for this principal alone.
//! impl DescribeGuard for KeyGuard {
//!     const ACCESS: Access = Access::LoggedIn;
//! }
//!
//! #[derive(Clone)]
//! struct Service {
//!     key: &'static str,
//! }
//!
//! impl LoadFacts<KeyGuard> for Service {
//!     async fn load_facts(&self, parts: &mut Parts) -> Result<Option<bool>, Failure> {
//!         let key = parts.headers.get("x-key");
//!         Ok(key.map(|key| key.as_bytes().ct_eq(self.key.as_bytes()).into()))
//!     }
//! }
//!
//! async fn report(_: Guarded<KeyGuard>) -> &'static str {
//!     "all is well"
//! }
//!
//! let routes = Routes::default().route(Method::GET, "/report", report);
//! let router: Router = routes.into_router().with_state(Service { key: "secret" });
//! ```
//!
//! # What the compiler says
//!
//! - That the state does not load the facts of a guard: implement `LoadFacts` of this guard for the state of the
//!   router. Combinations load theirs by those of their parts.
//! - That it does not load those of a combination: the second parameter of `Guarded` is a tuple for each combination,
//!   with a member for each part. Those of single guards are `()`, if they are found in one way only:
//!   `Guarded<Not<A>, ((),)>`, `Guarded<And<A, B>, ((), ())>`, `Guarded<Or<A, And<B, C>>, ((), ((), ()))>`.
//! - That a guard of administrators and one of others are the parts of an `Or`: a route is for one of both, since only
//!   one for administrators requires a permission.
//! - That a function is no handler: `#[axum::debug_handler(state = Service)]` on it (with the feature `macros` of axum)
//!   says which argument the state does not provide.
//!
//! # Adding one
//!
//! 1. Write `<name>_guard.rs` with the facts, and a type with private fields that implements [`Guard`]; the module
//!    `adding_one`, at the end of `src/infrastructure/guards/mod.rs`, is a complete example.
//! 2. Add its `mod` and `pub use` lines here.
//! 3. For a handler, load its facts in `presentation/http`: `impl LoadFacts<NameGuard> for AppState`, and say whom it
//!    is for: `impl DescribeGuard for NameGuard`.

mod admin_guard;
mod age_verification_guard;
mod authentication_guard;
mod cart_guard;
mod content_access_guard;
mod credentials;
mod email_verified_guard;
mod feature_flag_guard;
mod issuer_guard;
mod order_ownership_guard;
mod payment_verification_guard;
mod session_guard;
mod subscription_guard;

use std::marker::PhantomData;

pub use self::admin_guard::{AdminFacts, AdminGuard};
pub use self::age_verification_guard::{AgeFacts, AgeVerificationGuard};
pub use self::authentication_guard::AuthenticationGuard;
pub use self::cart_guard::{CartBounds, CartFacts, CartGuard};
pub use self::content_access_guard::{ContentAccessGuard, ContentFacts};
pub use self::credentials::{Credentials, IssuerToken, Means, Principal};
pub use self::email_verified_guard::{EmailFacts, EmailVerifiedGuard};
pub use self::feature_flag_guard::FeatureFlagGuard;
pub use self::issuer_guard::IssuerGuard;
pub use self::order_ownership_guard::{OrderFacts, OrderOwnershipGuard};
pub use self::payment_verification_guard::{PaymentFacts, PaymentVerificationGuard, RequiredPayment};
pub use self::session_guard::SessionGuard;
pub use self::subscription_guard::{SubscriptionFacts, SubscriptionGuard};
use super::exceptions::{Failure, UnauthorizedAccessException};

/// A check whose success is proved by a value.
pub trait Guard: Sized {
    /// What the check looks at.
    type Facts;

    /// Checks the facts.
    ///
    /// # Errors
    ///
    /// One of [`refusals`](Self::refusals) if they do not fulfil the guard.
    fn check(facts: Self::Facts) -> Result<Self, Failure>;

    /// Returns an example of each failure of the check, for the API document. If the facts have the failure, then it is
    /// the usual one.
    fn refusals() -> Vec<Failure>;
}

/// Both guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct And<A, B>(pub A, pub B);

impl<A: Guard, B: Guard> Guard for And<A, B> {
    type Facts = (A::Facts, B::Facts);

    /// Checks the first guard, then the second.
    fn check((first, second): Self::Facts) -> Result<Self, Failure> {
        Ok(Self(A::check(first)?, B::check(second)?))
    }

    fn refusals() -> Vec<Failure> {
        [A::refusals(), B::refusals()].concat()
    }
}

/// One of two guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Or<A, B> {
    /// The first.
    First(A),
    /// The second; the first was refused.
    Second(B),
}

impl<A: Guard, B: Guard> Guard for Or<A, B> {
    type Facts = (A::Facts, B::Facts);

    /// Checks the first guard, and the second if it is refused; fails as the second. The failure of the first is
    /// dropped, whatever its reason is.
    fn check((first, second): Self::Facts) -> Result<Self, Failure> {
        A::check(first).map(Self::First).or_else(|_| B::check(second).map(Self::Second))
    }

    fn refusals() -> Vec<Failure> {
        B::refusals()
    }
}

/// The opposite of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Not<A>(PhantomData<A>);

impl<A: Guard> Guard for Not<A> {
    type Facts = A::Facts;

    /// Fails with [`UnauthorizedAccessException::NotAllowed`] if the guard is not refused. Any failure of the guard
    /// counts as its refusal, also one of the service: it is for guards that fail only by refusing.
    fn check(facts: Self::Facts) -> Result<Self, Failure> {
        match A::check(facts) {
            Ok(_) => Err(UnauthorizedAccessException::NotAllowed.into()),
            Err(_) => Ok(Self(PhantomData)),
        }
    }

    fn refusals() -> Vec<Failure> {
        vec![UnauthorizedAccessException::NotAllowed.into()]
    }
}

#[cfg(test)]
pub(crate) mod adding_one {
    use super::{And, Guard, Not, Or};
    use crate::infrastructure::exceptions::{Failure, NotFound, UnauthorizedAccessException};

    /// The proof that a parcel was sent by this user.
    #[derive(Debug, PartialEq)]
    struct SenderGuard {
        parcel: u32,
    }

    /// A parcel, its sender and the user.
    #[derive(Clone, Copy)]
    struct ParcelFacts {
        parcel: u32,
        sender: &'static str,
        user: Option<&'static str>,
    }

    impl Guard for SenderGuard {
        type Facts = ParcelFacts;

        fn check(facts: ParcelFacts) -> Result<Self, Failure> {
            let is_sender = facts.user == Some(facts.sender);
            if is_sender { Ok(Self { parcel: facts.parcel }) } else { Err(NotFound::Order.into()) }
        }

        fn refusals() -> Vec<Failure> {
            vec![NotFound::Order.into()]
        }
    }

    /// The proof that a number is even, also for the tests of `presentation/http/guarded.rs`.
    #[derive(Debug, PartialEq)]
    pub(crate) struct EvenGuard;

    impl Guard for EvenGuard {
        type Facts = u32;

        fn check(number: u32) -> Result<Self, Failure> {
            let refusal = UnauthorizedAccessException::NotAllowed;
            if number.is_multiple_of(2) { Ok(Self) } else { Err(refusal.into()) }
        }

        fn refusals() -> Vec<Failure> {
            vec![UnauthorizedAccessException::NotAllowed.into()]
        }
    }

    const OWN: ParcelFacts = ParcelFacts { parcel: 7, sender: "ann", user: Some("ann") };
    const FOREIGN: ParcelFacts = ParcelFacts { user: Some("bob"), ..OWN };

    fn code<G: Guard>(facts: G::Facts) -> Option<&'static str> {
        G::check(facts).err().map(|failure| failure.code())
    }

    #[test]
    fn a_guard_has_what_its_check_looked_at() {
        assert_eq!(SenderGuard::check(OWN).unwrap().parcel, 7);
        assert_eq!(code::<SenderGuard>(FOREIGN), Some("order_not_found"));
    }

    type Both = And<SenderGuard, EvenGuard>;
    type Either = Or<SenderGuard, EvenGuard>;

    #[test]
    fn guards_are_combined() {
        assert_eq!(Both::check((OWN, 2)).unwrap(), And(SenderGuard { parcel: 7 }, EvenGuard));
        assert_eq!(code::<Both>((FOREIGN, 1)), Some("order_not_found"));
        assert_eq!(code::<Both>((OWN, 1)), Some("unauthorized_access"));
        assert_eq!(Both::refusals().len(), 2);

        assert_eq!(Either::check((OWN, 1)).unwrap(), Or::First(SenderGuard { parcel: 7 }));
        assert_eq!(Either::check((FOREIGN, 2)).unwrap(), Or::Second(EvenGuard));
        assert_eq!(code::<Either>((FOREIGN, 1)), Some("unauthorized_access"));

        assert_eq!(code::<Not<EvenGuard>>(2), Some("unauthorized_access"));
        assert_eq!(code::<Not<EvenGuard>>(1), None);
        assert_eq!(code::<And<Not<EvenGuard>, Not<SenderGuard>>>((1, FOREIGN)), None);
    }
}
