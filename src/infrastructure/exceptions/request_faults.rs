//! The faults of all parts of one request, in one response.

use http::Extensions;

use super::{Failure, Fault, Kind, Location, RejectedRequest, ValidationException};

/// What could not be read of a request. What is kept here is the response once the rest was read, too.
///
/// As an extension of the request it has what was found before the handler: it has the first faults of the list.
#[derive(Clone, Debug, Default)]
pub struct RequestFaults {
    kept: Vec<Failure>,
}

impl RequestFaults {
    /// Returns those that a request has as an extension, and removes them; none if it has no such extension.
    pub fn take(extensions: &mut Extensions) -> Self {
        extensions.remove().unwrap_or_default()
    }

    /// Returns whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns what was read; `None` if it has faults, which are kept.
    ///
    /// A conflict, such as that of `If-Match` with entity tags that this store has not issued, is kept, too: it is the
    /// response only if nothing has faults (RFC 9110 section 13.2.1).
    ///
    /// # Errors
    ///
    /// Any other failure, such as a refusal: it is the response at once, whatever the rest of the request is.
    pub fn keep<T>(&mut self, read: Result<T, impl Into<Failure>>) -> Result<Option<T>, Failure> {
        let failure: Failure = match read {
            Ok(read) => return Ok(Some(read)),
            Err(failure) => failure.into(),
        };
        if failure.kind() != Kind::Conflict && faults_of(&failure).is_none() {
            return Err(failure);
        }
        self.kept.push(failure);
        Ok(None)
    }

    /// Returns the failure of the request: what was kept, if that is a single one, and otherwise all faults. What two
    /// arguments find in the same parameter is one fault.
    ///
    /// # Panics
    ///
    /// If nothing was kept.
    pub fn into_failure(self) -> Failure {
        let faulty: Vec<_> = self.kept.iter().filter_map(faults_of).collect();
        if faulty.len() > 1 {
            let mut all = ValidationException::none();
            for found in faulty.into_iter().flatten() {
                if !all.faults().contains(&found) {
                    all.add(found.0, found.1);
                }
            }
            return all.into();
        }
        let (conflicts, invalid): (Vec<_>, Vec<_>) =
            self.kept.into_iter().partition(|failure| failure.kind() == Kind::Conflict);
        let first = invalid.into_iter().chain(conflicts).next();
        first.unwrap_or_else(|| unreachable!("what could not be read was kept"))
    }
}

/// Returns the faults that a failure lists, or those that stand for it beside others.
fn faults_of(failure: &Failure) -> Option<Vec<(Location, Fault)>> {
    if let Some(invalid) = failure.downcast_ref::<ValidationException>() {
        return Some(invalid.faults().to_vec());
    }
    let (location, expected) = match *failure.downcast_ref::<RejectedRequest>()? {
        RejectedRequest::MalformedHeader { header, expected } => (Location::Header(header), expected),
        RejectedRequest::UnsupportedMediaType { expected } => (Location::Header("Content-Type"), expected),
        RejectedRequest::UnsupportedContentCoding { expected } => {
            (Location::Header("Content-Encoding"), expected)
        }
        RejectedRequest::MalformedJson { .. } => (Location::Pointer(String::new()), "JSON"),
        _ => return None,
    };
    Some(vec![(location, Fault::Malformed { expected })])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::exceptions::{Conflict, UnauthorizedAccessException};

    const HEADER: RejectedRequest = RejectedRequest::MalformedHeader { header: "If-Match", expected: "`*`" };
    const BODY: RejectedRequest = RejectedRequest::MalformedJson { line: 1, column: 1 };

    fn parameter() -> ValidationException {
        ValidationException::one(Location::Parameter("id".to_owned()), Fault::Invalid)
    }

    /// The failure of a request of which nothing could be read, each part for one of these reasons.
    fn failure(of: &[Failure]) -> Failure {
        let mut faults = RequestFaults::default();
        for one in of {
            match faults.keep::<()>(Err(one.clone())) {
                Ok(read) => assert_eq!(read, None),
                Err(at_once) => return at_once,
            }
        }
        faults.into_failure()
    }

    #[test]
    fn the_faults_of_all_parts_are_one_failure() {
        let together = failure(&[parameter().into(), HEADER.into(), BODY.into()]);
        let expected = "invalid input: id invalid, If-Match malformed,  malformed";
        assert_eq!((together.code(), together.to_string().as_str()), ("validation", expected));
        let twice = failure(&[parameter().into(), parameter().into(), HEADER.into()]);
        assert_eq!(twice.to_string(), "invalid input: id invalid, If-Match malformed");
    }

    #[test]
    fn a_single_failure_stays_what_it_is() {
        for one in [Failure::from(parameter()), HEADER.into(), BODY.into()] {
            assert_eq!(failure(std::slice::from_ref(&one)).code(), one.code());
        }
        let mut faults = RequestFaults::default();
        assert_eq!(faults.keep(Ok::<_, Failure>(7)).unwrap(), Some(7));
        assert!(faults.is_empty());
    }

    #[test]
    fn a_conflict_is_the_failure_of_a_request_without_faults_only() {
        let conflict = || Failure::from(Conflict::PreconditionFailed);
        assert_eq!(failure(&[conflict()]).code(), "precondition_failed");
        assert_eq!(failure(&[conflict(), BODY.into()]).code(), "malformed_json");
    }

    #[test]
    fn a_refusal_is_the_failure_whatever_the_faults_are() {
        let refusal = UnauthorizedAccessException::ForeignOrigin;
        assert_eq!(failure(&[parameter().into(), refusal.into(), BODY.into()]).code(), "unauthorized_access");
    }
}
