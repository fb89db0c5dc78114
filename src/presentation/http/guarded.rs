//! Guards as arguments of handlers: a handler that takes [`Guarded`] is not called unless the check succeeds.
//!
//! As the first argument it is the policy of the route, which [`Routes`](super::routing::Routes) requires of each.
//! `And`, `Or` and `Not` combine guards there, too: `Guarded<And<MemberGuard, Not<BlockedGuard>>, ((), ((),))>`.

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::operation::OperationDescription;
use super::routing::{Access, Policy};
use crate::infrastructure::exceptions::{Failure, Kind};
use crate::infrastructure::guards::{And, EmailVerifiedGuard, Guard, Not, Or};

/// The proof of a guard, for a handler of any axum service whose state implements [`LoadFacts`] for it. `By` says by
/// what the facts are found, such as the type of the id in the path.
#[derive(Debug, Clone)]
pub struct Guarded<G, By = ()> {
    proof: G,
    by: PhantomData<fn() -> By>,
}

impl<G, By> Deref for Guarded<G, By> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.proof
    }
}

/// Loads the facts of a guard for a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not load the facts of the guard `{G}` by `{By}`",
    label = "the state `{Self}` does not implement `LoadFacts<{G}, {By}>`",
    note = "implement `LoadFacts` of each single guard for the state of the router",
    note = "a combination has a tuple: `Guarded<Not<A>, ((),)>`, `Guarded<Or<A, And<B, C>>, ((), ((), ()))>`"
)]
pub trait LoadFacts<G: Guard, By = ()>: Send + Sync {
    /// Loads the facts.
    fn load_facts(&self, parts: &mut Parts) -> impl Future<Output = Result<G::Facts, Failure>> + Send;

    /// Loads the facts and checks them.
    fn prove(&self, parts: &mut Parts) -> impl Future<Output = Result<G, Failure>> + Send {
        let facts = LoadFacts::<G, By>::load_facts(self, parts);
        async move { G::check(facts.await?) }
    }
}

impl<S, G, By> FromRequestParts<S> for Guarded<G, By>
where
    S: LoadFacts<G, By>,
    G: Guard,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let proof = LoadFacts::<G, By>::prove(state, parts).await?;
        Ok(Self { proof, by: PhantomData })
    }
}

impl<S, A, B, ByA, ByB> LoadFacts<And<A, B>, (ByA, ByB)> for S
where
    S: LoadFacts<A, ByA> + LoadFacts<B, ByB>,
    A: Guard<Facts: Send> + Send,
    B: Guard<Facts: Send>,
{
    async fn load_facts(&self, parts: &mut Parts) -> Result<(A::Facts, B::Facts), Failure> {
        let first = LoadFacts::<A, ByA>::load_facts(self, parts).await?;
        let second = LoadFacts::<B, ByB>::load_facts(self, parts).await?;
        Ok((first, second))
    }

    /// Checks the first guard before the facts of the second are loaded.
    async fn prove(&self, parts: &mut Parts) -> Result<And<A, B>, Failure> {
        let first = LoadFacts::<A, ByA>::prove(self, parts).await?;
        let second = LoadFacts::<B, ByB>::prove(self, parts).await?;
        Ok(And(first, second))
    }
}

impl<S, A, B, ByA, ByB> LoadFacts<Or<A, B>, (ByA, ByB)> for S
where
    S: LoadFacts<A, ByA> + LoadFacts<B, ByB>,
    A: Guard<Facts: Send> + Send,
    B: Guard<Facts: Send>,
{
    async fn load_facts(&self, parts: &mut Parts) -> Result<(A::Facts, B::Facts), Failure> {
        LoadFacts::<And<A, B>, (ByA, ByB)>::load_facts(self, parts).await
    }

    /// Loads the facts of the second guard only if the first is refused, by its check or since the principal may not
    /// see its facts. Any other failure is that of the request.
    async fn prove(&self, parts: &mut Parts) -> Result<Or<A, B>, Failure> {
        match LoadFacts::<A, ByA>::prove(self, parts).await {
            Ok(first) => Ok(Or::First(first)),
            Err(failure) if failure.kind() == Kind::Refused => {
                LoadFacts::<B, ByB>::prove(self, parts).await.map(Or::Second)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl<S, A, By> LoadFacts<Not<A>, (By,)> for S
where
    S: LoadFacts<A, By>,
    A: Guard,
{
    async fn load_facts(&self, parts: &mut Parts) -> Result<A::Facts, Failure> {
        LoadFacts::<A, By>::load_facts(self, parts).await
    }
}

/// What a guard says of the routes whose policy it is: the principals that may call them, and, for the API document,
/// what its facts are loaded from. The responses of a route are private unless its access is [`Access::Public`].
pub trait DescribeGuard<By = ()>: Guard {
    /// The principals that may call the route.
    const ACCESS: Access;

    /// Adds what the facts are loaded from to the description of an operation.
    fn describe(_: &mut OperationDescription<'_>) {}

    /// Returns an example of each failure of the check, with these facts.
    fn failures() -> Vec<Failure> {
        Self::refusals()
    }
}

/// The principals are those of both guards, so that the responses are private if one of them is not public.
impl<A: DescribeGuard<ByA>, B: DescribeGuard<ByB>, ByA, ByB> DescribeGuard<(ByA, ByB)> for And<A, B> {
    const ACCESS: Access = A::ACCESS.and(B::ACCESS);

    fn describe(operation: &mut OperationDescription<'_>) {
        A::describe(operation);
        B::describe(operation);
    }

    fn failures() -> Vec<Failure> {
        [A::failures(), B::failures()].concat()
    }
}

/// The principals are those of both guards. What no route can be for does not compile: administrators, who need the
/// permission of the route, or others.
///
/// ```compile_fail,E0080
/// use undercroft::infrastructure::guards::{AdminGuard, AuthenticationGuard, Or};
/// use undercroft::presentation::http::guarded::DescribeGuard;
/// use undercroft::presentation::http::routing::Access;
///
/// const ACCESS: Access = <Or<AuthenticationGuard, AdminGuard> as DescribeGuard<((), ())>>::ACCESS;
/// ```
impl<A: DescribeGuard<ByA>, B: DescribeGuard<ByB>, ByA, ByB> DescribeGuard<(ByA, ByB)> for Or<A, B> {
    const ACCESS: Access = A::ACCESS.or(B::ACCESS);

    fn describe(operation: &mut OperationDescription<'_>) {
        A::describe(operation);
        B::describe(operation);
    }

    fn failures() -> Vec<Failure> {
        B::failures()
    }
}

/// The principals are all: those whom the guard is for are refused by the check.
impl<A: DescribeGuard<By>, By> DescribeGuard<(By,)> for Not<A> {
    const ACCESS: Access = match A::ACCESS {
        Access::Public => Access::Public,
        Access::Anyone | Access::LoggedIn | Access::Admin => Access::Anyone,
    };

    fn describe(operation: &mut OperationDescription<'_>) {
        A::describe(operation);
    }
}

/// The use cases of the store ask this guard, and handlers of other services take its proof.
impl DescribeGuard for EmailVerifiedGuard {
    const ACCESS: Access = Access::LoggedIn;
}

impl<G: DescribeGuard<By>, By> Policy for Guarded<G, By> {
    const ACCESS: Access = G::ACCESS;

    fn describe(operation: &mut OperationDescription<'_>) {
        G::ACCESS.describe(operation);
        G::describe(operation);
        for failure in G::failures() {
            operation.fails(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::infrastructure::exceptions::{NotFound, Technical};
    use crate::infrastructure::guards::AuthenticationGuard;
    use crate::infrastructure::guards::adding_one::EvenGuard;

    /// Loads numbers from two headers.
    struct Service;
    /// By the header `first`.
    struct First;
    /// By the header `second`.
    struct Second;

    fn number(parts: &Parts, header: &str) -> Result<u32, Failure> {
        match parts.headers[header].to_str().unwrap() {
            "hidden" => Err(NotFound::Order.into()),
            "broken" => Err(Technical::internal("broken").into()),
            text => Ok(text.parse().unwrap()),
        }
    }

    impl LoadFacts<EvenGuard, First> for Service {
        async fn load_facts(&self, parts: &mut Parts) -> Result<u32, Failure> {
            number(parts, "first")
        }
    }

    impl LoadFacts<EvenGuard, Second> for Service {
        async fn load_facts(&self, parts: &mut Parts) -> Result<u32, Failure> {
            number(parts, "second")
        }
    }

    /// The proof that a handler gets for the request with these headers, or the code of its failure.
    async fn proof<G: Guard, By>(first: &str, second: &str) -> Result<G, &'static str>
    where
        Service: LoadFacts<G, By>,
    {
        let request = Request::builder().header("first", first).header("second", second);
        let mut parts = request.body(()).unwrap().into_parts().0;
        let guarded = Guarded::<G, By>::from_request_parts(&mut parts, &Service).await;
        guarded.map(|guarded| guarded.proof).map_err(|failure| failure.code())
    }

    type Either = Or<EvenGuard, EvenGuard>;
    type Guest = Not<AuthenticationGuard>;
    type GuestFirst = And<Guest, AuthenticationGuard>;
    type GuestOrUser = Or<Guest, AuthenticationGuard>;
    type UserOrGuest = Or<AuthenticationGuard, Guest>;

    #[tokio::test]
    async fn either_guard_suffices_if_the_facts_of_the_other_are_hidden() {
        let either = proof::<Either, (First, Second)>;
        assert_eq!(either("2", "1").await, Ok(Or::First(EvenGuard)));
        assert_eq!(either("1", "2").await, Ok(Or::Second(EvenGuard)));
        assert_eq!(either("hidden", "2").await, Ok(Or::Second(EvenGuard)));
        assert_eq!(either("2", "hidden").await, Ok(Or::First(EvenGuard)));
        assert_eq!(either("2", "broken").await, Ok(Or::First(EvenGuard)), "it is not loaded");
        assert_eq!(either("hidden", "1").await, Err("unauthorized_access"));
        assert_eq!(either("1", "hidden").await, Err("order_not_found"));
        assert_eq!(either("broken", "2").await, Err("internal"));

        let both = proof::<And<Either, EvenGuard>, ((First, Second), Second)>;
        assert_eq!(both("hidden", "2").await, Ok(And(Or::Second(EvenGuard), EvenGuard)));
        assert_eq!(both("2", "1").await, Err("unauthorized_access"));
    }

    #[tokio::test]
    async fn a_handler_takes_the_opposite_of_a_guard() {
        let odd = async |number| proof::<Not<EvenGuard>, (First,)>(number, "").await.map(drop);
        assert_eq!(odd("1").await, Ok(()));
        assert_eq!(odd("2").await, Err("unauthorized_access"));
        assert_eq!(odd("hidden").await, Err("order_not_found"));

        assert_eq!(<Guest as DescribeGuard<((),)>>::ACCESS, Access::Anyone);
        let failures = <Guest as DescribeGuard<((),)>>::failures();
        assert_eq!(failures.iter().map(Failure::code).collect::<Vec<_>>(), ["unauthorized_access"]);
        assert_eq!(<GuestFirst as DescribeGuard<(((),), ())>>::ACCESS, Access::LoggedIn);
        assert_eq!(<GuestOrUser as DescribeGuard<(((),), ())>>::ACCESS, Access::Anyone);
        assert_eq!(<UserOrGuest as DescribeGuard<((), ((),))>>::ACCESS, Access::Anyone);
    }
}
