//! Discounts, as those who run the store make them.

use jiff::Timestamp;

use crate::domain::discount::{Discount, DiscountKind};
use crate::domain::ids::DiscountId;
use crate::domain::money::Money;
use crate::infrastructure::exceptions::{Conflict, Failure, Fault, NotFound, ValidationException};
use crate::infrastructure::repositories::{DiscountRepository, Page, UnitOfWork};

use crate::application::{Store, check_version};

/// What a discount is to be.
#[derive(Debug, Clone)]
pub struct NewDiscount {
    /// The code it is redeemed by.
    pub code: String,
    /// What it takes off.
    pub kind: DiscountKind,
    /// The goods subtotal from which it applies.
    pub minimum: Option<Money>,
    /// How many orders may use it.
    pub usage_limit: Option<i64>,
    /// From when on.
    pub starts_at: Option<Timestamp>,
    /// Until when.
    pub ends_at: Option<Timestamp>,
    /// Whether it is switched on.
    pub active: bool,
}

/// What is to be another of a discount; the inner `None` takes away what was there.
#[derive(Debug, Clone)]
pub struct DiscountChange {
    /// Another code.
    pub code: Option<String>,
    /// Something else that it takes off.
    pub kind: Option<DiscountKind>,
    /// Another minimum.
    pub minimum: Option<Option<Money>>,
    /// Another limit.
    pub usage_limit: Option<Option<i64>>,
    /// Another start.
    pub starts_at: Option<Option<Timestamp>>,
    /// Another end.
    pub ends_at: Option<Option<Timestamp>>,
    /// On or off.
    pub active: Option<bool>,
}

/// A page of discounts, newest first.
pub async fn discounts(store: &Store, limit: usize, cursor: Option<&str>) -> Result<Page<Discount>, Failure> {
    let cursors = store.database().cursor_key().cursors("discounts");
    let after = cursor.map(|cursor| cursors.decode(cursor)).transpose()?;
    let mut session = store.database().read().await?;
    Ok(DiscountRepository(&mut session).list(limit, after, &cursors).await?)
}

/// A discount.
pub async fn discount(store: &Store, id: DiscountId) -> Result<Discount, Failure> {
    Ok(store.database().read().await?.find(id).await?.ok_or(NotFound::Discount)?)
}

/// Makes a discount.
pub async fn create(work: &mut UnitOfWork, new: &NewDiscount) -> Result<Discount, Failure> {
    let now = work.now();
    let discount = Discount {
        id: work.id(),
        code: new.code.trim().to_owned(),
        kind: new.kind,
        minimum: new.minimum,
        usage_limit: new.usage_limit,
        used: 0,
        starts_at: new.starts_at.map(kept),
        ends_at: new.ends_at.map(kept),
        active: new.active,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    check(&discount)?;
    if !work.insert_new(&discount).await? {
        return Err(Conflict::AlreadyExists { field: "code" }.into());
    }
    Ok(discount)
}

/// Changes a discount. Orders that have used it keep what it took off.
pub async fn change(
    work: &mut UnitOfWork,
    id: DiscountId,
    change: DiscountChange,
    seen: Option<i64>,
) -> Result<Discount, Failure> {
    let mut discount = work.find::<Discount>(id).await?.ok_or(NotFound::Discount)?;
    check_version(discount.version, seen)?;
    discount.code = change.code.map_or(discount.code, |code| code.trim().to_owned());
    discount.kind = change.kind.unwrap_or(discount.kind);
    discount.minimum = change.minimum.unwrap_or(discount.minimum);
    discount.usage_limit = change.usage_limit.unwrap_or(discount.usage_limit);
    discount.starts_at = change.starts_at.map_or(discount.starts_at, |at| at.map(kept));
    discount.ends_at = change.ends_at.map_or(discount.ends_at, |at| at.map(kept));
    discount.active = change.active.unwrap_or(discount.active);
    discount.updated_at = work.now();
    check(&discount)?;
    match work.update(&mut discount).await {
        Err(error) if error.is_taken("discounts_code") => {
            Err(Conflict::AlreadyExists { field: "code" }.into())
        }
        // an order has used it since it was read
        Err(error) if error.is_check("discounts_within_limit") => {
            Err(ValidationException::one("/usage_limit", Fault::Invalid).into())
        }
        done => Ok(done.map(|()| discount)?),
    }
}

/// Removes a discount that no order has used; one that was used can be switched off.
pub async fn remove(work: &mut UnitOfWork, id: DiscountId) -> Result<(), Failure> {
    if DiscountRepository::remove_unused(work, id).await? {
        return Ok(());
    }
    match work.find::<Discount>(id).await? {
        Some(_) => Err(Conflict::InUse { what: "discount" }.into()),
        None => Err(NotFound::Discount.into()),
    }
}

fn check(discount: &Discount) -> Result<(), Failure> {
    let mut faults = ValidationException::none();
    for (place, at) in [("/starts_at", discount.starts_at), ("/ends_at", discount.ends_at)] {
        faults.require(at.is_none_or(|at| at >= Timestamp::UNIX_EPOCH), place, Fault::Invalid);
    }
    faults.check()?;
    Ok(discount.validate()?)
}

/// An instant as the database keeps it: to the microsecond.
fn kept(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
