//! Carts with their lines. Open carts are locked to be changed; expired ones are deleted.

use std::collections::HashMap;

use jiff::Timestamp;

use super::database::{
    Connection, DatabaseError, Root, UnitOfWork, from_row, key_lists, params, select, table,
};
use crate::domain::cart::{Cart, CartLine};
use crate::domain::ids::{CartId, OrderId, UserId, VariantId};

table! {
    Cart in "carts", key CartId, with lines: Vec<CartLine>, versioned;
    id,
    user_id,
    currency,
    status,
    discount_code,
    delivery: json,
    order_id,
    version,
    created_at,
    updated_at,
    expires_at,
}

from_row!(CartLine { variant_id, quantity });

/// The lines of a cart, in the order they were added.
const LINES: &str =
    "SELECT variant_id, quantity FROM cart_items WHERE cart_id = $1 ORDER BY position, variant_id";
/// The condition on an open cart that has not expired.
const OPEN: &str = "id = $1 AND status = 'open' AND expires_at > $2";

/// The newest open cart of a user.
const OPEN_OF: &str =
    "WHERE user_id = $1 AND status = 'open' AND expires_at > $2 ORDER BY created_at DESC, id DESC LIMIT 1";

/// Queries on carts.
pub struct CartRepository<'a>(pub &'a mut Connection);

impl CartRepository<'_> {
    /// Returns a cart with its lines.
    pub async fn by_id(&mut self, id: CartId) -> Result<Option<Cart>, DatabaseError> {
        let Some(root) = self.0.find::<Root<Cart>>(id).await? else { return Ok(None) };
        Ok(Some(root.with(self.lines(id).await?)))
    }

    /// Returns the version of a cart, which each change of it increments, and the time of the last change.
    pub async fn version(&mut self, id: CartId) -> Result<Option<(i64, Timestamp)>, DatabaseError> {
        self.0.first("SELECT version, updated_at FROM carts WHERE id = $1", &params![id]).await
    }

    /// Returns the lines of a cart, in the order they were added.
    async fn lines(&mut self, id: CartId) -> Result<Vec<CartLine>, DatabaseError> {
        self.0.all(LINES, &params![id]).await
    }

    /// Returns all carts of a user, oldest first.
    pub async fn of_user(&mut self, user_id: UserId) -> Result<Vec<Cart>, DatabaseError> {
        let sql = select::<Cart>("WHERE user_id = $1 ORDER BY created_at, id");
        let carts = self.0.all::<Root<Cart>>(&sql, &params![user_id]).await?;
        let ids: Vec<_> = carts.iter().map(|cart| cart.row().id).collect();
        let mut lines: HashMap<CartId, Vec<CartLine>> = HashMap::with_capacity(carts.len());
        for (keys, list) in key_lists(&ids) {
            let sql = format!(
                "SELECT cart_id, variant_id, quantity FROM cart_items WHERE cart_id IN ({list}) \
                 ORDER BY position, variant_id"
            );
            for (id, line) in self.0.all::<(CartId, CartLine)>(&sql, &keys).await? {
                lines.entry(id).or_default().push(line);
            }
        }
        let with_lines = |cart: Root<Cart>| {
            let lines = lines.remove(&cart.row().id).unwrap_or_default();
            cart.with(lines)
        };
        Ok(carts.into_iter().map(with_lines).collect())
    }

    /// Returns the id and the version of the cart that [`CartRepository::open_of`] returns, and the time of its last
    /// change.
    pub async fn open_version_of(
        &mut self,
        user_id: UserId,
        now: Timestamp,
    ) -> Result<Option<(CartId, i64, Timestamp)>, DatabaseError> {
        let sql = format!("SELECT id, version, updated_at FROM carts {OPEN_OF}");
        self.0.first(&sql, &params![user_id, now]).await
    }

    /// Returns the open cart of a user, the newest if there are several.
    pub async fn open_of(&mut self, user_id: UserId, now: Timestamp) -> Result<Option<Cart>, DatabaseError> {
        let sql = select::<Cart>(OPEN_OF);
        let Some(root) = self.0.first::<Root<Cart>>(&sql, &params![user_id, now]).await? else {
            return Ok(None);
        };
        let lines = self.lines(root.row().id).await?;
        Ok(Some(root.with(lines)))
    }

    /// Sends the statements of [`CartRepository::lock`] ahead; see [`Connection::send_ahead`].
    pub(crate) fn lock_ahead(work: &mut UnitOfWork, id: CartId) {
        let now = work.now();
        work.lock_where_ahead::<Root<Cart>>(OPEN, &params![id, now]);
        work.send_ahead(LINES, &params![id]);
    }

    /// Locks an open cart that has not expired, and returns it.
    pub async fn lock(work: &mut UnitOfWork, id: CartId) -> Result<Option<Cart>, DatabaseError> {
        let now = work.now();
        let Some(root) = work.lock_where::<Root<Cart>>(OPEN, &params![id, now]).await? else {
            return Ok(None);
        };
        Ok(Some(root.with(CartRepository(work).lines(id).await?)))
    }

    /// Sets the quantity of a variant in a locked cart, and saves the cart.
    pub async fn set_line(
        work: &mut UnitOfWork,
        cart: &mut Cart,
        item: CartLine,
    ) -> Result<(), DatabaseError> {
        match cart.lines.iter_mut().find(|line| line.variant_id == item.variant_id) {
            Some(line) if *line == item => return work.save(cart).await.map(drop),
            Some(line) => *line = item,
            None => cart.lines.push(item),
        }
        let sql = "INSERT INTO cart_items (cart_id, variant_id, quantity, position) \
                   SELECT $1, $2, $3, COALESCE(MAX(position), 0) + 1 FROM cart_items WHERE cart_id = $1 \
                   ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = excluded.quantity";
        work.defer(sql, &params![cart.id, item.variant_id, item.quantity]).await?;
        work.save_as_changed(cart).await
    }

    /// Removes a variant from a locked cart, and saves the cart.
    pub async fn remove_line(
        work: &mut UnitOfWork,
        cart: &mut Cart,
        variant_id: VariantId,
    ) -> Result<(), DatabaseError> {
        cart.lines.retain(|line| line.variant_id != variant_id);
        let sql = "DELETE FROM cart_items WHERE cart_id = $1 AND variant_id = $2";
        work.defer(sql, &params![cart.id, variant_id]).await?;
        work.save_as_changed(cart).await
    }

    /// Reopens the cart of a cancelled order. Its retention was extended when it was ordered.
    pub async fn reopen(work: &mut UnitOfWork, id: CartId, order_id: OrderId) -> Result<(), DatabaseError> {
        let sql = "UPDATE carts SET status = 'open', order_id = NULL, version = version + 1, updated_at = $3 \
                   WHERE id = $1 AND order_id = $2 AND status = 'ordered'";
        let now = work.now();
        work.defer(sql, &params![id, order_id, now]).await
    }

    /// Removes up to `limit` carts that expired before `before`, unless their order is pending: it may be cancelled,
    /// and then the cart is open again. Returns the number removed.
    pub async fn purge(work: &mut UnitOfWork, before: Timestamp, limit: i64) -> Result<u64, DatabaseError> {
        // The outer condition is checked again after a lock wait: a cart that was renewed is not removed.
        let sql = "DELETE FROM carts WHERE id IN (SELECT c.id FROM carts c WHERE c.expires_at < $1 AND NOT EXISTS \
                   (SELECT 1 FROM orders o WHERE o.id = c.order_id AND o.status = 'pending') \
                   ORDER BY c.expires_at LIMIT $2) AND expires_at < $1";
        work.execute(sql, &params![before, limit]).await
    }
}
