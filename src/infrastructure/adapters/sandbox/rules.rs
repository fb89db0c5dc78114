//! Rules of the sandbox's charges and the store's payments.

/// Rules that hold once every payment is settled: each in words, with the statement that counts the rows that violate
/// it.
pub const SANDBOX_RULES: &[(&str, &str)] = &[
    (
        "payments agree with the charges of the sandbox",
        "SELECT COUNT(*) FROM payments p JOIN sandbox_charges c ON c.id = p.provider_reference \
         WHERE p.captured <> c.captured OR p.refunded <> c.refunded",
    ),
    (
        "every captured charge of the sandbox belongs to a payment",
        "SELECT COUNT(*) FROM sandbox_charges c WHERE c.captured > 0 AND c.id NOT IN \
         (SELECT p.provider_reference FROM payments p WHERE p.provider_reference IS NOT NULL)",
    ),
];
