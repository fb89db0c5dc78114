//! Discounts: read, created, changed and removed by administrators.

use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::domain::discount::{Discount, DiscountKind};
use crate::domain::ids::DiscountId;
use crate::domain::money::Money;
use crate::domain::time::is_accepted;
use crate::infrastructure::exceptions::{Conflict, Failure, Fault, NotFound, ValidationException};
use crate::infrastructure::repositories::{DiscountRepository, Page, StoredResponse, UnitOfWork};

use crate::application::idempotency::{Responder, once};
use crate::application::partial_update::nullable;
use crate::application::{Change, Store, active_by_default, check_version};

/// The discount to create.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDiscount {
    /// The code by which the discount is redeemed. Letter case does not matter.
    #[schema(min_length = 1, max_length = 64)]
    pub code: String,
    /// How much the discount deducts.
    pub kind: DiscountKind,
    /// The least subtotal to which the discount applies. If omitted, there is no minimum.
    pub minimum: Option<Money>,
    /// The most orders that may use the discount. If omitted, there is no limit.
    #[schema(minimum = 1)]
    pub usage_limit: Option<i64>,
    /// The time from which the discount applies. If omitted, it applies from now on.
    pub starts_at: Option<Timestamp>,
    /// The time from which the discount no longer applies. If omitted, it does not expire.
    pub ends_at: Option<Timestamp>,
    /// Whether the discount can be redeemed.
    #[serde(default = "active_by_default")]
    #[schema(default = true)]
    pub active: bool,
}

/// A partial update of a discount: a member that is omitted keeps its value; `null` removes a limit.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateDiscount {
    /// The code by which the discount is redeemed. Letter case does not matter.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    pub code: Option<String>,
    /// How much the discount deducts.
    #[schema(nullable = false)]
    pub kind: Option<DiscountKind>,
    /// The least subtotal to which the discount applies.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Money>)]
    pub minimum: Option<Option<Money>>,
    /// The most orders that may use the discount.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    pub usage_limit: Option<Option<i64>>,
    /// The time from which the discount applies.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Timestamp>)]
    pub starts_at: Option<Option<Timestamp>>,
    /// The time from which the discount no longer applies.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<Timestamp>)]
    pub ends_at: Option<Option<Timestamp>>,
    /// Whether the discount can be redeemed.
    #[schema(nullable = false)]
    pub active: Option<bool>,
}

/// Returns a page of discounts, newest first.
pub async fn discounts(store: &Store, limit: usize, cursor: Option<&str>) -> Result<Page<Discount>, Failure> {
    let request = store.database().page_request(limit, cursor);
    let mut connection = store.database().read().await?;
    Ok(DiscountRepository(&mut connection).list(&request).await?)
}

/// Returns a discount.
pub async fn discount(store: &Store, id: DiscountId) -> Result<Discount, Failure> {
    Ok(store.database().read().await?.find(id).await?.ok_or(NotFound::Discount)?)
}

/// Creates a discount.
pub async fn create(
    store: &Store,
    new: CreateDiscount,
    responder: Responder<Discount>,
) -> Result<StoredResponse, Failure> {
    once(store, responder, new, create_in).await
}

async fn create_in(work: &mut UnitOfWork, new: &CreateDiscount) -> Result<Discount, Failure> {
    let now = work.now();
    let discount = Discount {
        minimum: new.minimum,
        usage_limit: new.usage_limit,
        starts_at: new.starts_at.map(to_microseconds),
        ends_at: new.ends_at.map(to_microseconds),
        active: new.active,
        ..Discount::new(work.id(), new.code.trim().to_owned(), new.kind, now)
    };
    check(&discount)?;
    if !work.insert_new(&discount).await? {
        return Err(Conflict::AlreadyExists { field: "code" }.into());
    }
    Ok(discount)
}

/// Changes a discount. Orders that used it keep their price.
pub async fn update(
    store: &Store,
    id: DiscountId,
    expected_version: Option<i64>,
    change: UpdateDiscount,
) -> Result<Discount, Failure> {
    let change = Change { id, expected_version, to: change };
    store.database().write(change, async |work, change| update_in(work, change).await).await
}

async fn update_in(
    work: &mut UnitOfWork,
    change: &Change<DiscountId, UpdateDiscount>,
) -> Result<Discount, Failure> {
    let Change { id, expected_version, to: change } = change;
    let (id, change) = (*id, change.clone());
    let mut discount = work.find::<Discount>(id).await?.ok_or(NotFound::Discount)?;
    check_version(discount.version, *expected_version)?;

    discount.code = change.code.map_or(discount.code, |code| code.trim().to_owned());
    discount.kind = change.kind.unwrap_or(discount.kind);
    discount.minimum = change.minimum.unwrap_or(discount.minimum);
    discount.usage_limit = change.usage_limit.unwrap_or(discount.usage_limit);
    discount.starts_at = change.starts_at.map_or(discount.starts_at, |at| at.map(to_microseconds));
    discount.ends_at = change.ends_at.map_or(discount.ends_at, |at| at.map(to_microseconds));
    discount.active = change.active.unwrap_or(discount.active);
    check(&discount)?;
    match work.update(&mut discount).await {
        Err(error) if error.is_taken("discounts_code") => {
            Err(Conflict::AlreadyExists { field: "code" }.into())
        }
        // An order used the discount after it was read.
        Err(error) if error.is_check("discounts_within_limit") => {
            Err(ValidationException::one("/usage_limit", Fault::Invalid).into())
        }
        updated => Ok(updated.map(|()| discount)?),
    }
}

/// Removes a discount that no order used. A used one can be deactivated instead.
pub async fn remove(store: &Store, id: DiscountId, expected_version: Option<i64>) -> Result<(), Failure> {
    let write = store.database().write((id, expected_version), async |work, &(id, expected_version)| {
        let discount: Discount = work.lock(id).await?.ok_or(NotFound::Discount)?;
        check_version(discount.version, expected_version)?;
        let removed = DiscountRepository::remove_unused(work, id).await?;
        if removed { Ok(()) } else { Err(Failure::from(Conflict::DiscountInUse)) }
    });
    write.await
}

/// Fails if a discount breaks a rule that the schema of the request cannot express.
pub(crate) fn check(discount: &Discount) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    for (pointer, at) in [("/starts_at", discount.starts_at), ("/ends_at", discount.ends_at)] {
        faults.require(at.is_none_or(is_accepted), pointer, Fault::Invalid);
    }
    faults.check()?;
    Ok(discount.validate()?)
}

/// Rounds towards 1970 to microseconds, the precision of the database.
fn to_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
