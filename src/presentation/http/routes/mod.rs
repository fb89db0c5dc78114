//! The routes, one file a resource: each handler parses, calls one use case and answers.

mod documentation;
mod health;
mod me;
mod sessions;
mod users;

use super::routing::Routes;

/// The routes of each file.
pub fn each() -> Vec<Routes> {
    vec![documentation::routes(), health::routes(), me::routes(), sessions::routes(), users::routes()]
}

/// All routes.
pub fn all() -> Routes {
    each().into_iter().fold(Routes::default(), Routes::and)
}
