//! The description of an operation in the API document: what its policy, its arguments and its own list of failures add
//! to what `#[utoipa::path]` says.

use std::collections::BTreeMap;

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderName, StatusCode};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, RefOr, Required, ResponseBuilder, Type};

use super::problems;
use super::response::JSON;
use crate::domain::permission::Permission;
use crate::domain::state::State;
use crate::domain::user::Role;
use crate::infrastructure::exceptions::{
    Conflict, Exception, Failure, Fault, RejectedRequest, ValidationException, failure_examples,
};
use crate::infrastructure::middleware::{Unread, UnreadConditions};

/// The body is not coded as its head says.
pub(super) const NOT_CODED: RejectedRequest = RejectedRequest::MalformedHeader {
    header: "Content-Encoding",
    expected: "the content coding of the body",
};

/// An operation that is being described.
pub struct OperationDescription<'a> {
    operation: &'a mut Operation,
    is_safe: bool,
    ignores_query: bool,
    failures: Vec<Failure>,
}

/// Returns an example of an exception that has only one code, to announce it as a failure of an operation.
pub(crate) fn any<E: Exception>() -> Failure {
    let example = failure_examples().into_iter().find(Failure::is::<E>);
    example.unwrap_or_else(|| unreachable!("every exception has an example"))
}

/// Returns an example of the failure of a step that the status of a resource does not allow.
pub(crate) fn forbidden_transition(what: &'static str) -> Conflict {
    Conflict::ForbiddenTransition { what, from: "", to: "" }
}

impl<'a> OperationDescription<'a> {
    /// Begins the description of an operation; `is_safe` if its method only reads.
    pub(super) fn new(operation: &'a mut Operation, is_safe: bool) -> Self {
        Self { operation, is_safe, ignores_query: false, failures: Vec::new() }
    }

    /// Whether the operation only reads.
    pub fn is_safe(&self) -> bool {
        self.is_safe
    }

    /// States that the user must be an administrator with a permission, for people, and in `x-required-role` and
    /// `x-required-permission` for programs.
    pub(super) fn requires_permission(&mut self, permission: Permission) {
        let role = Role::Admin.name();
        let sentence = format!(
            "Requires a user with the role `{role}`, and the permission `{permission}` if the user has a staff role."
        );
        let text = self.operation.description.take().map(|text| format!("{text}\n\n{sentence}"));
        self.operation.description = Some(text.unwrap_or(sentence));
        let extension = ExtensionsBuilder::new()
            .add("x-required-role", role)
            .add("x-required-permission", permission.to_string())
            .build();
        self.operation.extensions.get_or_insert_default().merge(extension);
    }

    /// Adds a failure that the operation may respond with.
    pub fn fails(&mut self, failure: impl Into<Failure>) {
        self.failures.push(failure.into());
    }

    /// Adds the failure of a parameter or body that is not valid.
    pub fn fails_validation(&mut self) {
        self.fails(ValidationException::one("", Fault::Required));
    }

    /// Adds the failures of reading a JSON body.
    pub fn fails_body(&mut self) {
        self.fails(RejectedRequest::MalformedJson { line: 1, column: 1 });
        self.fails(RejectedRequest::BodyIncomplete);
        self.fails(RejectedRequest::TooSlow);
        self.fails(RejectedRequest::BodyTooLarge { limit: 0 });
        self.fails(RejectedRequest::UnsupportedMediaType { expected: JSON });
        self.fails(RejectedRequest::UnsupportedContentCoding { expected: "gzip" });
        self.fails(NOT_CODED);
        self.fails_validation();
    }

    /// Adds the failures of an idempotency key.
    pub fn fails_idempotency(&mut self) {
        self.fails(Conflict::IdempotencyInProgress);
        self.fails(Conflict::IdempotencyKeyReused);
    }

    /// Adds parameters.
    pub fn parameters(&mut self, parameters: impl IntoIterator<Item = Parameter>) {
        let known = self.operation.parameters.get_or_insert_default();
        for parameter in parameters {
            let is_known = known.iter().any(|other| match other {
                RefOr::T(other) => {
                    other.name == parameter.name && other.parameter_in == parameter.parameter_in
                }
                RefOr::Ref(_) => false,
            });
            // two arguments of a handler may read the same query
            if !is_known {
                known.push(parameter.into());
            }
        }
    }

    /// States that the operation accepts any parameters of the query, and reads none.
    pub fn ignores_query(&mut self) {
        self.ignores_query = true;
    }

    /// Returns what the operation does not read and would have to, by the parameters that were added. One that only
    /// reads may ignore the conditions of changes.
    pub(super) fn unread(&self) -> Unread {
        let reads_query = self.has_parameter(|it| it.parameter_in == ParameterIn::Query);
        let is_unread = |header: &HeaderName| {
            let is_header = |it: &Parameter| it.parameter_in == ParameterIn::Header;
            let reads = self.has_parameter(|it| is_header(it) && *header == it.name.as_str());
            !self.is_safe && !reads
        };
        let conditions = UnreadConditions {
            if_match: is_unread(&IF_MATCH),
            if_none_match: is_unread(&IF_NONE_MATCH),
            if_unmodified_since: is_unread(&IF_UNMODIFIED_SINCE),
        };
        // an operation is of a `PolicyHandler`
        Unread { query: !self.ignores_query && !reads_query, conditions, is_listed_by_handler: true }
    }

    /// Returns whether a parameter was added for which this is true.
    fn has_parameter(&self, is_true: impl Fn(&Parameter) -> bool) -> bool {
        let mut parameters = self.operation.parameters.iter().flatten();
        parameters.any(|parameter| matches!(parameter, RefOr::T(parameter) if is_true(parameter)))
    }

    /// Adds an optional header of the request.
    pub fn request_header(&mut self, name: &str, description: &str) {
        self.request_header_of(name, description, ObjectBuilder::new());
    }

    /// Adds an optional header of the request whose text has the bounds of this schema.
    pub fn request_header_of(&mut self, name: &str, description: &str, bounds: ObjectBuilder) {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .schema(Some(bounds.schema_type(Type::String)))
            .description(Some(description))
            .build();
        self.parameters([header]);
    }

    /// Adds media types of the body of the request, which has the schema of the one that is stated.
    pub fn request_types(&mut self, types: impl Iterator<Item = &'static str>) {
        if let Some(RefOr::T(body)) = &mut self.operation.request_body
            && let Some(stated) = body.content.values().next().cloned()
        {
            body.content.extend(types.map(|name| (name.to_owned(), stated.clone())));
        }
    }

    /// Adds media types of a success, which has the schema of the one that is stated, and a response with a part of it.
    pub fn types_and_part(&mut self, types: impl Iterator<Item = &'static str>) {
        let Some(RefOr::T(whole)) = self.operation.responses.responses.get_mut(StatusCode::OK.as_str())
        else {
            return;
        };
        if let Some(stated) = whole.content.values().next().cloned() {
            whole.content.extend(types.map(|name| (name.to_owned(), stated.clone())));
        }
        let mut part = whole.clone();
        "The requested range.".clone_into(&mut part.description);
        let status = StatusCode::PARTIAL_CONTENT;
        self.operation.responses.responses.insert(status.as_str().to_owned(), RefOr::T(part));
        self.response_header(status, "Content-Range", "The range, and the size of the whole.");
    }

    /// Adds a header of the response with this status, if the operation has such a response.
    pub fn response_header(&mut self, status: StatusCode, name: &str, description: &str) {
        if let Some(RefOr::T(response)) = self.operation.responses.responses.get_mut(status.as_str()) {
            let schema = ObjectBuilder::new().schema_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
            response.headers.insert(name.to_owned(), header.into());
        }
    }

    /// Adds a response.
    pub fn response(&mut self, status: StatusCode, description: &str) {
        let response = ResponseBuilder::new().description(description).build();
        self.operation.responses.responses.insert(status.as_str().to_owned(), RefOr::T(response));
    }

    /// Ends the description: describes each success, and adds a response for each status of the failures.
    pub(super) fn finish(self) {
        let responses = &mut self.operation.responses.responses;
        for (status, response) in responses.iter_mut() {
            if let RefOr::T(response) = response
                && response.description.is_empty()
            {
                success(status).clone_into(&mut response.description);
            }
        }

        let mut by_status: BTreeMap<u16, Vec<Failure>> = BTreeMap::new();
        for failure in self.failures {
            let same_status = by_status.entry(failure.status().as_u16()).or_default();
            if same_status.iter().all(|other| other.code() != failure.code()) {
                same_status.push(failure);
            }
        }
        for (status, failures) in by_status {
            responses.insert(status.to_string(), problems::response(&failures).into());
        }
        responses.insert("default".to_owned(), problems::default_response());
    }
}

/// The description of a successful response that has none of its own.
fn success(status: &str) -> &'static str {
    match status {
        "201" => "Created.",
        "204" => "Done. The response has no body.",
        _ => "Success.",
    }
}
