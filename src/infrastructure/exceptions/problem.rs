//! Failures as problem documents (RFC 9457), the bodies of all error responses.
//!
//! `type` is `/problems/` and the code; `title` and `detail` come from the message table; the failure's details are
//! further members. The cause of a technical failure is not shown: [`with_instance`] adds an `instance`, under which
//! the cause is logged.

use std::{borrow::Cow, error::Error, fmt};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Failure, Technical, ValidationException, messages::Messages};

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// The most allowed values in the detail of a fault; the member `allowed` has all.
const LISTED: usize = 10;

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl Failure {
    /// Renders the problem document, with an `instance` if given.
    fn problem(&self, instance: Option<String>) -> Vec<u8> {
        let messages = Messages::english();
        let (code, status) = (self.code(), self.status());
        let mut details = self.details();
        let detail = messages.detail(code, &details);
        if let Some(Value::Array(errors)) = details.get_mut("errors") {
            errors.iter_mut().filter_map(Value::as_object_mut).for_each(|error| add_detail(error, messages));
        }
        let problem = Problem {
            kind: format!("/problems/{code}"),
            title: messages.title(code).or(status.canonical_reason()).unwrap_or(code),
            status: status.as_u16(),
            detail,
            code,
            instance,
            details,
        };
        // strings, numbers and maps with text keys always have a JSON form
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    /// Renders the problem document in English.
    pub fn document(&self) -> Vec<u8> {
        self.problem(None)
    }

    /// Returns the code with the English detail, or those of each fault with its location, for a terminal. That of a
    /// technical failure has its causes, and is not for a client.
    pub fn explanation(&self) -> String {
        if self.is::<Technical>() {
            return self.report().to_string();
        }
        let (code, messages) = (self.code(), Messages::english());
        let faults: Vec<_> = self.downcast_ref::<ValidationException>().map_or_else(Vec::new, |invalid| {
            let explained = invalid.faults().iter().map(|(location, fault)| {
                let detail = messages.fault(fault.code(), &fault.params()).unwrap_or_default();
                format!("{}: {detail}", location.member().1)
            });
            explained.collect()
        });
        let detail = if faults.is_empty() { messages.detail(code, &self.details()) } else { None };
        format!("{code}: {}", detail.unwrap_or_else(|| faults.join(" ")))
    }

    /// Returns the failure and its causes in one line, for a log or a terminal, never for a client.
    pub fn report(&self) -> impl fmt::Display {
        with_causes(self)
    }
}

/// Returns an error and its causes in one line, for a log or a terminal. A cause with which the text before it ends
/// already is not repeated.
pub fn with_causes(error: &dyn Error) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let mut text = error.to_string();
        f.write_str(&text)?;
        let mut cause = error.source();
        while let Some(error) = cause {
            let before = std::mem::replace(&mut text, error.to_string());
            if !before.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            cause = error.source();
        }
        Ok(())
    })
}

/// Returns a problem document with its texts in a language; `None` if there are none in it, or if it is not such a
/// document.
pub fn translated(document: &[u8], language: &str) -> Option<Vec<u8>> {
    Messages::of(language)?.translate(document)
}

impl Messages {
    /// Returns a problem document with these texts; `None` if there are none for its code, or if it is not such a
    /// document.
    pub fn translate(&self, document: &[u8]) -> Option<Vec<u8>> {
        let mut problem: Map<String, Value> = serde_json::from_slice(document).ok()?;
        let code = problem.get("code")?.as_str()?.to_owned();
        let (title, detail) = (self.title(&code)?.to_owned(), self.detail(&code, &problem));
        problem.insert("title".to_owned(), title.into());
        problem.extend(detail.map(|detail| ("detail".to_owned(), detail.into())));
        if let Some(Value::Array(errors)) = problem.get_mut("errors") {
            errors.iter_mut().filter_map(Value::as_object_mut).for_each(|error| add_detail(error, self));
        }
        serde_json::to_vec(&problem).ok()
    }
}

/// Adds the `detail` of a fault.
fn add_detail(error: &mut Map<String, Value>, messages: &Messages) {
    let code = error.get("code").and_then(Value::as_str);
    if let Some(detail) = code.and_then(|code| messages.fault(code, &listed(error))) {
        error.insert("detail".to_owned(), detail.into());
    }
}

/// Returns the members of a fault as its detail shows them: of many allowed values the first ones.
fn listed(error: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let Some(Value::Array(allowed)) = error.get("allowed") else { return Cow::Borrowed(error) };
    if allowed.len() <= LISTED {
        return Cow::Borrowed(error);
    }
    let first = allowed.iter().take(LISTED).cloned().chain(["…".into()]).collect();
    let mut members = error.clone();
    members.insert("allowed".to_owned(), Value::Array(first));
    Cow::Owned(members)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.document()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.extend(self.headers());
        response.extensions_mut().insert(ProblemCode(self.code().into()));
        response.extensions_mut().insert(self);
        response
    }
}

/// The code of a problem document: an extension of the response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProblemCode(pub Cow<'static, str>);

impl ProblemCode {
    /// Reads the code of a problem document.
    pub fn of(document: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Coded {
            code: String,
        }
        serde_json::from_slice(document).ok().map(|Coded { code }| Self(code.into()))
    }
}

/// Adds an `instance` to the response to a failure of the store or a vendor and logs the cause under it. Other
/// responses, and those that have an `instance`, are returned as they are. The outermost layer calls this for each
/// response.
pub fn with_instance(mut response: Response, instance: impl FnOnce() -> Uuid) -> Response {
    if !response.extensions().get::<Failure>().is_some_and(Failure::is::<Technical>) {
        return response;
    }
    let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
    let instance = instance();
    let (code, error) = (failure.code(), failure.report());
    if failure.status() == StatusCode::SERVICE_UNAVAILABLE {
        // what is away or full has a line of its own
        tracing::warn!(%instance, code, %error, "request failed");
    } else {
        tracing::error!(%instance, code, %error, "request failed");
    }
    let body = failure.problem(Some(instance.urn().to_string()));
    let (mut parts, _) = response.into_parts();
    // the router has measured the body that this one replaces
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ports::DeclineReason;
    use crate::infrastructure::exceptions::{
        Conflict, Fault, PaymentFailedException, TechnicalKind, ValidationException,
    };
    use http_body_util::BodyExt;
    use serde_json::json;

    async fn read(response: Response) -> (StatusCode, http::HeaderMap, Value) {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_failure_becomes_a_problem_document() {
        let failure = Failure::from(PaymentFailedException { reason: DeclineReason::InsufficientFunds });
        let (status, headers, body) = read(failure.into_response()).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
        assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(
            body,
            json!({
                "type": "/problems/payment_failed",
                "title": "Payment failed",
                "status": 402,
                "detail": "The payment was declined: not enough funds.",
                "code": "payment_failed",
                "reason": "insufficient_funds",
            })
        );
    }

    #[tokio::test]
    async fn every_fault_is_listed_with_its_location_and_detail() {
        let mut faults = ValidationException::none();
        faults.add("/items/0/quantity", Fault::Minimum { minimum: 1.into() });
        faults.require(false, "/currency", Fault::NotAllowed { allowed: vec!["EUR".into(), "USD".into()] });
        faults.require(true, "/name", Fault::Required);
        let (status, _, body) = read(faults.check().unwrap_err().into_response()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            body["errors"],
            json!([
                {"pointer": "/items/0/quantity", "code": "minimum", "minimum": 1, "detail": "The value must be at least 1."},
                {"pointer": "/currency", "code": "not_allowed", "allowed": ["EUR", "USD"],
                 "detail": "The value must be one of EUR, USD."},
            ])
        );
    }

    #[test]
    fn the_detail_of_a_fault_lists_the_first_of_many_allowed_values() {
        let detail = |most: u8| {
            let allowed: Vec<Value> = (1..=most).map(Value::from).collect();
            let failure = Failure::from(ValidationException::one("/day", Fault::NotAllowed { allowed }));
            let document: Value = serde_json::from_slice(&failure.document()).unwrap();
            let error = &document["errors"][0];
            assert_eq!(error["allowed"].as_array().unwrap().len(), usize::from(most));
            error["detail"].as_str().unwrap().to_owned()
        };
        assert_eq!(detail(10), "The value must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.");
        assert_eq!(detail(11), "The value must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ….");
    }

    #[tokio::test]
    async fn a_technical_failure_shows_an_instance_and_not_its_cause() {
        let cause = std::io::Error::other("password of the database");
        let failure = Failure::from(Technical::new(TechnicalKind::Unavailable, cause));
        assert_eq!(failure.report().to_string(), "unavailable: password of the database");
        let response =
            with_instance(with_instance(failure.into_response(), || Uuid::from_u128(7)), Uuid::nil);
        let (status, headers, body) = read(response).await;
        assert_eq!(
            (status, &headers["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
        assert_eq!(
            body["instance"], "urn:uuid:00000000-0000-0000-0000-000000000007",
            "the first instance stays"
        );
        assert!(!body.to_string().contains("password"), "{body}");
    }

    #[test]
    fn a_request_that_failed_is_a_warning_while_something_is_unavailable_and_otherwise_an_error() {
        let lines = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt().with_writer(lines.reopen().unwrap()).with_ansi(false);
        // with a single subscriber, a log statement that another test reaches first is cached as disabled
        let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
        tracing::subscriber::with_default(subscriber.without_time().with_target(false).finish(), || {
            for kind in TechnicalKind::ALL {
                let failure = Failure::from(Technical::new(kind, "a cause"));
                drop(with_instance(failure.into_response(), Uuid::nil));
            }
        });
        let lines = std::fs::read_to_string(lines.path()).unwrap();
        let levels: Vec<_> = lines.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(levels, ["ERROR", "ERROR", "WARN", "ERROR"], "{lines}");
    }

    #[test]
    fn a_document_is_translated_with_its_facts_and_faults() {
        let mut faults = ValidationException::none();
        faults.add("/items/0/quantity", Fault::Minimum { minimum: 1.into() });
        let translate = |document: &[u8]| -> Value {
            serde_json::from_slice(&translated(document, "de").unwrap()).unwrap()
        };
        let invalid = translate(&Failure::from(faults).document());
        assert_eq!((&invalid["code"], &invalid["status"]), (&json!("validation"), &json!(422)));
        assert_eq!(invalid["errors"][0]["detail"], "Der Wert muss mindestens 1 sein.");
        assert_eq!(invalid["errors"][0]["pointer"], "/items/0/quantity");
        let declined = PaymentFailedException { reason: DeclineReason::InsufficientFunds };
        let declined = translate(&Failure::from(declined).document());
        assert_eq!(declined["title"], "Zahlung fehlgeschlagen");
        assert_eq!(declined["detail"], "Die Zahlung wurde abgelehnt: das Guthaben reicht nicht aus.");
        assert_eq!(declined["type"], "/problems/payment_failed");

        assert_eq!(translated(b"{}", "de"), None);
        assert_eq!(translated(b"no JSON", "de"), None);
        assert_eq!(translated(&Failure::from(Conflict::Stale).document(), "xx"), None);
    }

    #[test]
    fn a_cause_that_an_error_repeats_is_shown_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("not connected: {0}")]
        struct Repeating(#[source] std::io::Error);

        let cause = std::io::Error::other("Connection refused");
        assert_eq!(with_causes(&Repeating(cause)).to_string(), "not connected: Connection refused");
    }

    #[test]
    fn a_terminal_shows_the_detail_of_each_fault() {
        let mut faults = ValidationException::none();
        faults.add("/type", Fault::NotAllowed { allowed: vec!["order.paid".into(), "order.placed".into()] });
        faults.add("/since", Fault::Required);
        let explained = Failure::from(faults).explanation();
        let expected = "validation: /type: The value must be one of order.paid, order.placed. /since: The value is required.";
        assert_eq!(explained, expected);
        let cause = std::io::Error::other("disk");
        let technical = Failure::from(Technical::new(TechnicalKind::Unavailable, cause));
        assert_eq!(technical.explanation(), "unavailable: disk");
    }

    #[tokio::test]
    async fn the_constraint_that_failed_is_not_shown() {
        let failure = Failure::from(Technical::internal("stock_not_negative"));
        let (_, _, body) = read(failure.into_response()).await;
        assert!(!body.to_string().contains("stock"), "{body}");
    }

    #[tokio::test]
    async fn other_responses_stay_as_they_are() {
        let (_, _, before) = read(Failure::from(Conflict::Stale).into_response()).await;
        let (_, _, after) =
            read(with_instance(Failure::from(Conflict::Stale).into_response(), Uuid::nil)).await;
        assert_eq!(before, after);
        assert_eq!(
            with_instance(StatusCode::NO_CONTENT.into_response(), Uuid::nil).status(),
            StatusCode::NO_CONTENT
        );
    }
}
