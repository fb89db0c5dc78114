//! The input breaks the rules: every failing field, each with its place.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Failure, Fault, Place, facts};

/// One or more faults. Collect them all, then [`check`](Self::check):
///
/// ```ignore
/// let mut faults = ValidationException::none();
/// faults.require(quantity <= 999, "/quantity", Fault::Maximum { maximum: 999.into() });
/// faults.require(currency == cart.currency, "/currency", Fault::WrongCurrency { expected });
/// faults.check()?;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid input: {}", told(faults))]
pub struct ValidationException {
    faults: Vec<(Place, Fault)>,
}

impl ValidationException {
    /// No fault yet.
    pub fn none() -> Self {
        Self { faults: Vec::new() }
    }

    /// The one fault, at a JSON pointer or another [`Place`].
    pub fn one(place: impl Into<Place>, fault: Fault) -> Self {
        Self { faults: vec![(place.into(), fault)] }
    }

    /// Adds a fault.
    pub fn add(&mut self, place: impl Into<Place>, fault: Fault) {
        self.faults.push((place.into(), fault));
    }

    /// Adds the fault unless `holds`.
    pub fn require(&mut self, holds: bool, place: impl Into<Place>, fault: Fault) {
        if !holds {
            self.add(place, fault);
        }
    }

    /// The faults so far.
    pub fn faults(&self) -> &[(Place, Fault)] {
        &self.faults
    }

    /// Fails if there is a fault.
    pub fn check(self) -> Result<(), Failure> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

/// Each fault with its place.
fn told(faults: &[(Place, Fault)]) -> String {
    let told = faults.iter().map(|(place, fault)| format!("{} {}", place.member().1, fault.code()));
    told.collect::<Vec<_>>().join(", ")
}

impl Exception for ValidationException {
    fn code(&self) -> &'static str {
        "validation"
    }

    fn status(&self) -> StatusCode {
        StatusCode::UNPROCESSABLE_ENTITY
    }

    fn details(&self) -> Map<String, Value> {
        let errors: Vec<Value> = self
            .faults
            .iter()
            .map(|(place, fault)| {
                let mut error = fault.params();
                let (key, place) = place.member();
                error.insert(key.to_owned(), place.into());
                error.insert("code".to_owned(), fault.code().into());
                Value::Object(error)
            })
            .collect();
        facts([("errors", json!(errors))])
    }
}
