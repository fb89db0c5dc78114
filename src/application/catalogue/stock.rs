//! The stock of variants, read and set by administrators.

use crate::domain::events::StockChanged;
use crate::domain::ids::VariantId;
use crate::domain::product::Stock;
use crate::infrastructure::exceptions::{Conflict, Failure, NotFound};
use crate::infrastructure::repositories::{InventoryRepository, StockSet, UnitOfWork};

use crate::application::Store;

/// Returns the stock of a variant.
pub async fn get(store: &Store, variant_id: VariantId) -> Result<Stock, Failure> {
    let mut connection = store.database().read().await?;
    let found = InventoryRepository(&mut connection).stocks(&[variant_id]).await?;
    Ok(found.get(&variant_id).copied().ok_or(NotFound::Variant)?)
}

/// Sets the stock of a variant, reserved pieces included, or that it is not counted (`None`), and returns it.
pub async fn set(
    store: &Store,
    variant_id: VariantId,
    expected_version: Option<i64>,
    stock: Option<i64>,
) -> Result<Stock, Failure> {
    let given = (variant_id, expected_version, stock);
    let write = store.database().write(given, async |work, (variant_id, expected_version, stock)| {
        set_in(work, *variant_id, *expected_version, *stock).await
    });
    write.await
}

/// Sets the stock of a variant in an open unit of work; see [`set`].
pub(crate) async fn set_in(
    work: &mut UnitOfWork,
    variant_id: VariantId,
    expected_version: Option<i64>,
    stock: Option<i64>,
) -> Result<Stock, Failure> {
    match InventoryRepository::set_stock(work, variant_id, stock, expected_version).await? {
        StockSet::Done(stock) => {
            work.publish(&StockChanged { variant_id, available: stock.available() }).await?;
            Ok(stock)
        }
        StockSet::Changed => Err(Conflict::PreconditionFailed.into()),
        StockSet::BelowReserved { reserved } => Err(Conflict::StockReserved { reserved }.into()),
        StockSet::NoSuchVariant => Err(NotFound::Variant.into()),
    }
}
