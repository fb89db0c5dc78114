//! The one place where errors of lower layers become answers, each decided by itself. There is no blanket
//! conversion, so a new error does not compile in a use case until somebody has decided here.

use super::{Conflict, Failure, OrderProcessingException, Technical};
use crate::domain::{money::MoneyError, state::ForbiddenStep};

// Amounts are checked where they come in, and a currency that differs is a fault of a field there. An error that
// is left over is ours.
impl From<MoneyError> for Failure {
    fn from(error: MoneyError) -> Self {
        Technical::internal(error).into()
    }
}

impl From<ForbiddenStep> for Failure {
    fn from(step: ForbiddenStep) -> Self {
        let ForbiddenStep { what, from, to } = step;
        match what {
            "order" | "payment" | "payment step" => {
                OrderProcessingException::Forbidden { what, from, to }.into()
            }
            _ => Conflict::ForbiddenStep { what, from, to }.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_step_is_told_by_what_it_concerns() {
        let step = |what| Failure::from(ForbiddenStep { what, from: "pending", to: "refunded" });
        assert_eq!(step("payment").code(), "order_processing");
        assert_eq!(step("subscription").code(), "forbidden_step");
    }

    #[test]
    fn an_amount_that_cannot_be_computed_is_our_fault() {
        assert_eq!(Failure::from(MoneyError::Overflow).status(), 500);
    }
}
