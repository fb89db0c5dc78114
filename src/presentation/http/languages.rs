//! The languages of the client, as an argument of handlers.

use super::operation::OperationDescription;
use super::routing::Argument;
use crate::infrastructure::middleware::Languages;

impl Argument for Languages {
    fn describe(operation: &mut OperationDescription<'_>) {
        let description = "The languages of the client (RFC 9110), for example `de-AT, en;q=0.5`.";
        operation.request_header("Accept-Language", description);
    }
}
