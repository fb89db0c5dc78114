//! Routes that say who may call them, and document themselves.
//!
//! # Adding one
//!
//! A handler is documented by `#[utoipa::path]`, and its first argument is one of [`Public`], [`Anyone`],
//! [`SignedIn`] and [`Admin`]: the proof that the caller may call it. [`routes!`] takes no handler that begins with
//! anything else, and writes the policy into the OpenAPI document, so that neither can be forgotten.
//!
//! ```ignore
//! pub(super) fn routes() -> Routes {
//!     routes![get, create]
//! }
//!
//! /// A cart, priced.
//! #[utoipa::path(get, path = "/v1/carts/{id}", tag = "carts", params(("id" = Uuid, Path)),
//!     responses((status = 200, body = CartBody)))]
//! async fn get(who: Anyone, State(app): State<AppState>, Path(id): Path<CartId>) -> Result<Response, Failure> { … }
//! ```
//!
//! The file's `routes` is then listed in `routes/mod.rs`. The other arguments are [`Argument`]s, so that the document
//! also tells the headers that are read.
//!
//! [`Public`]: super::principal::Public
//! [`Anyone`]: super::principal::Anyone
//! [`SignedIn`]: super::principal::SignedIn
//! [`Admin`]: super::principal::Admin

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::routing::MethodRouter;
use http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::{
    ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder, Type, security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::state::AppState;

/// The names of the two ways to show a session's token, in the OpenAPI document.
pub(super) const BEARER: &str = "session_token";
pub(super) const COOKIE: &str = "session_cookie";
/// The name of the answer to everything that fails, in the OpenAPI document.
pub(super) const PROBLEM: &str = "Problem";

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody; nobody is asked who they are.
    Public,
    /// Everybody; who is signed in is known.
    Anyone,
    /// Whoever is signed in.
    SignedIn,
    /// An administrator.
    Admin,
}

/// An extractor that is the proof that the caller may call the route.
pub trait Policy {
    /// Who may.
    const ACCESS: Access;
}

/// An argument of a handler, which says in the document what it reads beside path, query and body.
pub trait Argument {
    /// Adds that to the operation.
    fn describe(_: &mut Operation) {}
}

impl<T> Argument for State<T> {}

/// The arguments of a handler that begin with a [`Policy`].
pub trait Guarded {
    /// Who may call the handler, and what it reads.
    const SIGNATURE: Signature;
}

/// Who may call a handler, and what it reads.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    access: Access,
    describe: fn(&mut Operation),
}

macro_rules! guarded {
    ($($argument:ident)*) => {
        impl<M, P: Policy, $($argument: Argument),*> Guarded for (M, P, $($argument,)*) {
            const SIGNATURE: Signature = Signature {
                access: P::ACCESS,
                describe: |_operation| { $($argument::describe(_operation);)* },
            };
        }
    };
}

guarded!();
guarded!(A);
guarded!(A B);
guarded!(A B C);
guarded!(A B C D);
guarded!(A B C D E);
guarded!(A B C D E F);
guarded!(A B C D E F G);

/// Who may call `handler`, and what it reads.
pub fn signature<H, T>(_: &H) -> Signature
where
    H: Handler<T, AppState>,
    T: Guarded,
{
    T::SIGNATURE
}

/// The routes of these handlers.
macro_rules! routes {
    ($($handler:ident),+ $(,)?) => {
        $crate::presentation::http::routing::Routes::default()$(.operation(
            ::utoipa_axum::routes!($handler),
            $crate::presentation::http::routing::signature(&$handler),
        ))+
    };
}
pub(crate) use routes;

/// Routes with their documentation.
#[derive(Default)]
pub struct Routes(OpenApiRouter<AppState>);

impl Routes {
    /// Adds an operation of the API. Use [`routes!`].
    #[must_use]
    pub fn operation(
        self,
        (schemas, mut paths, router): UtoipaMethodRouter<AppState>,
        signature: Signature,
    ) -> Self {
        for operation in paths.paths.values_mut().flat_map(operations) {
            // functions of two files may have one name, operations may not
            let tag = operation.tags.iter().flatten().next().map(|tag| tag.replace(' ', "_"));
            if let (Some(tag), Some(id)) = (tag, &mut operation.operation_id) {
                *id = format!("{tag}_{id}");
            }
            operation.security = Some(signature.access.security());
            (signature.describe)(operation);
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            operation.responses.responses.insert("default".to_owned(), problem);
        }
        Self(self.0.routes((schemas, paths, router)))
    }

    /// Adds a page for people, which is no part of the API and open to everybody.
    #[must_use]
    pub fn page(self, path: &str, page: MethodRouter<AppState>) -> Self {
        Self(self.0.route(path, page))
    }

    /// These routes and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.merge(other.0))
    }

    /// The router, and what it documents.
    pub fn into_parts(self) -> (Router<AppState>, OpenApi) {
        self.0.split_for_parts()
    }
}

impl Access {
    /// The ways to be let in, in the OpenAPI document.
    fn security(self) -> Vec<SecurityRequirement> {
        let with = |name| SecurityRequirement::new(name, [""; 0]);
        match self {
            Self::Public => Vec::new(),
            Self::Anyone => vec![SecurityRequirement::default(), with(BEARER), with(COOKIE)],
            Self::SignedIn => vec![with(BEARER), with(COOKIE)],
            Self::Admin => {
                vec![SecurityRequirement::new(BEARER, ["admin"]), SecurityRequirement::new(COOKIE, ["admin"])]
            }
        }
    }
}

/// Adds a header that may be sent to an operation.
pub(super) fn describe_header(operation: &mut Operation, name: &str, description: &str) {
    let header = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .build();
    operation.parameters.get_or_insert_default().push(header.into());
}

/// Adds an answer that an operation may give.
pub(super) fn describe_answer(operation: &mut Operation, status: StatusCode, description: &str) {
    let answer = ResponseBuilder::new().description(description).build();
    operation.responses.responses.insert(status.as_str().to_owned(), RefOr::T(answer));
}

/// Every operation of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}
