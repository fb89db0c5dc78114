//! The input breaks the rules: every invalid field with its location.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Exception, Failure, Fault, Kind, Location, facts};

/// One or more faults of a request. Collect all of them before [`check`](Self::check), so that one response names
/// them all; the module's test is an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid input: {}", summary(faults))]
pub struct ValidationException {
    faults: Vec<(Location, Fault)>,
}

impl ValidationException {
    /// Returns an exception without faults, to which some are added.
    pub fn none() -> Self {
        Self { faults: Vec::new() }
    }

    /// Returns an exception with one fault, at a JSON pointer or another [`Location`].
    pub fn one(location: impl Into<Location>, fault: Fault) -> Self {
        Self { faults: vec![(location.into(), fault)] }
    }

    /// Adds a fault.
    pub fn add(&mut self, location: impl Into<Location>, fault: Fault) {
        self.faults.push((location.into(), fault));
    }

    /// Adds the fault unless `valid`.
    pub fn require(&mut self, valid: bool, location: impl Into<Location>, fault: Fault) {
        if !valid {
            self.add(location, fault);
        }
    }

    /// Returns the faults that were added.
    pub fn faults(&self) -> &[(Location, Fault)] {
        &self.faults
    }

    /// Returns itself as a failure if there is a fault.
    pub fn check(self) -> Result<(), Failure> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

/// Lists the locations and codes of faults, for the log.
fn summary(faults: &[(Location, Fault)]) -> String {
    let listed = faults.iter().map(|(location, fault)| format!("{} {}", location.member().1, fault.code()));
    listed.collect::<Vec<_>>().join(", ")
}

impl Exception for ValidationException {
    fn code(&self) -> &'static str {
        "validation"
    }

    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn status(&self) -> StatusCode {
        StatusCode::UNPROCESSABLE_ENTITY
    }

    fn details(&self) -> Map<String, Value> {
        let errors: Vec<Value> = self
            .faults
            .iter()
            .map(|(location, fault)| {
                let mut error = fault.params();
                let (key, location) = location.member();
                error.insert(key.to_owned(), location.into());
                error.insert("code".to_owned(), fault.code().into());
                Value::Object(error)
            })
            .collect();
        facts([("errors", json!(errors))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quantity: u32, currency: &str) -> Result<(), Failure> {
        let mut faults = ValidationException::none();
        faults.require(quantity <= 999, "/quantity", Fault::Maximum { maximum: 999.into() });
        faults.require(currency == "EUR", "/currency", Fault::WrongCurrency { expected: "EUR".into() });
        faults.check()
    }

    #[test]
    fn all_faults_are_collected_before_the_check() {
        assert!(check(1, "EUR").is_ok());
        let failure = check(1_000, "USD").unwrap_err();
        assert_eq!(failure.to_string(), "invalid input: /quantity maximum, /currency wrong_currency");
    }
}
