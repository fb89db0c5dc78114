//! Guards as arguments of handlers: a handler that takes [`Guarded`] is not called unless the check succeeds.

use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::operation::OperationDescription;
use super::routing::{Access, Policy};
use crate::infrastructure::exceptions::Failure;
use crate::infrastructure::guards::{And, Guard, Or};

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
pub trait LoadFacts<G: Guard, By = ()>: Send + Sync {
    /// Loads the facts.
    fn load_facts(&self, parts: &mut Parts) -> impl Future<Output = Result<G::Facts, Failure>> + Send;
}

impl<S, G, By> FromRequestParts<S> for Guarded<G, By>
where
    S: LoadFacts<G, By>,
    G: Guard,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let proof = G::check(state.load_facts(parts).await?)?;
        Ok(Self { proof, by: PhantomData })
    }
}

impl<S, A, B, ByA, ByB> LoadFacts<And<A, B>, (ByA, ByB)> for S
where
    S: LoadFacts<A, ByA> + LoadFacts<B, ByB>,
    A: Guard<Facts: Send>,
    B: Guard<Facts: Send>,
{
    async fn load_facts(&self, parts: &mut Parts) -> Result<(A::Facts, B::Facts), Failure> {
        let first = LoadFacts::<A, ByA>::load_facts(self, parts).await?;
        let second = LoadFacts::<B, ByB>::load_facts(self, parts).await?;
        Ok((first, second))
    }
}

impl<S, A, B, ByA, ByB> LoadFacts<Or<A, B>, (ByA, ByB)> for S
where
    S: LoadFacts<A, ByA> + LoadFacts<B, ByB>,
    A: Guard<Facts: Send>,
    B: Guard<Facts: Send>,
{
    async fn load_facts(&self, parts: &mut Parts) -> Result<(A::Facts, B::Facts), Failure> {
        LoadFacts::<And<A, B>, (ByA, ByB)>::load_facts(self, parts).await
    }
}

/// What a guard adds to the API document: the principals that may call the route, and what its facts are loaded from.
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

/// The principals are those of the first guard.
impl<A: DescribeGuard<ByA>, B: DescribeGuard<ByB>, ByA, ByB> DescribeGuard<(ByA, ByB)> for And<A, B> {
    const ACCESS: Access = A::ACCESS;

    fn describe(operation: &mut OperationDescription<'_>) {
        A::describe(operation);
        B::describe(operation);
    }

    fn failures() -> Vec<Failure> {
        [A::failures(), B::failures()].concat()
    }
}

/// The principals are those of the first guard; the second one must be for the same.
impl<A: DescribeGuard<ByA>, B: DescribeGuard<ByB>, ByA, ByB> DescribeGuard<(ByA, ByB)> for Or<A, B> {
    const ACCESS: Access = A::ACCESS;

    fn describe(operation: &mut OperationDescription<'_>) {
        A::describe(operation);
        B::describe(operation);
    }

    fn failures() -> Vec<Failure> {
        B::failures()
    }
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
