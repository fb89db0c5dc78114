//! What the types of problem documents stand for: the pages at `/problems/` and a code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Serialize;

use super::examples::failure_examples;
use super::messages::{Message, Messages};

/// What the problem documents with a code have in common.
#[derive(Debug, Serialize)]
pub(crate) struct ProblemType {
    code: &'static str,
    /// The statuses of their responses.
    statuses: BTreeSet<u16>,
    #[serde(flatten)]
    message: &'static Message,
}

/// Returns the types of the store's problem documents by their codes.
pub(crate) fn problem_types() -> &'static BTreeMap<&'static str, ProblemType> {
    static TYPES: LazyLock<BTreeMap<&'static str, ProblemType>> = LazyLock::new(collect);
    &TYPES
}

fn collect() -> BTreeMap<&'static str, ProblemType> {
    let mut types = BTreeMap::new();
    for failure in failure_examples() {
        // a test has found a message for each code
        let Some(message) = Messages::english().message(failure.code()) else { continue };
        let code = failure.code();
        let known =
            types.entry(code).or_insert_with(|| ProblemType { code, statuses: BTreeSet::new(), message });
        known.statuses.insert(failure.status().as_u16());
    }
    types
}
