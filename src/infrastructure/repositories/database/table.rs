//! Tables: one description of a type's columns, from which reading and writing its rows follow.

use jiff::Timestamp;

use super::cache_tag::CacheTag;
use super::error::DatabaseError;
use super::owner::Owner;
use super::param::{Param, params};
use super::row::{Field, FromRow, Row};
use crate::domain::money::{Currency, Money};

/// A type that is stored as a row of a table. Described by [`table!`].
pub trait Table: Sized {
    /// The type of the primary key.
    type Key: ToColumns;

    /// The table's name.
    const NAME: &'static str;
    /// The names of the columns of each field, the key first.
    const FIELDS: &'static [&'static [&'static str]];
    /// The columns that are written and never read.
    const COMPUTED: &'static [&'static str] = &[];

    /// Returns the names of the columns of the fields, the key first.
    fn columns() -> impl Iterator<Item = &'static str> {
        Self::FIELDS.iter().copied().flatten().copied()
    }

    /// Returns the tag of the row, if public pages show it: writing it changes them.
    fn tag(&self) -> Option<CacheTag> {
        None
    }

    /// Returns to whom the row belongs, if caches keep rows of the table for their owners.
    fn owner(&self) -> Option<Owner> {
        None
    }

    /// Returns the values of [`Table::columns`], followed by those of [`Table::COMPUTED`].
    fn values(&self) -> Vec<Param<'_>>;
}

/// A table whose rows count their changes in `version` and record the last one in `updated_at`. Its key is one column.
pub trait Versioned: Table<Key: Field> {
    /// Columns that are changed by statements of their own only, and never by [`UnitOfWork::update`].
    ///
    /// [`UnitOfWork::update`]: super::unit_of_work::UnitOfWork::update
    const EXCEPT: &'static [&'static str] = &[];

    /// Returns the number of changes of the row.
    fn version_mut(&mut self) -> &mut i64;

    /// Increments the version and sets the time of the last change.
    fn set_changed(&mut self, now: Timestamp);
}

/// An aggregate whose parts are in another table. [`Root`] is its row alone; the aggregate itself cannot be read
/// from a row.
pub(crate) trait Aggregate: Table {
    /// The parts, in their order.
    type Parts;

    /// Adds the parts to the row.
    fn set_parts(&mut self, parts: Self::Parts);
}

/// The row of an aggregate whose parts were not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Root<T>(T);

impl<T: Aggregate> Root<T> {
    /// Wraps an aggregate that has no parts.
    pub(crate) fn without_parts(row: T) -> Self {
        Self(row)
    }

    /// Returns the row, for its own columns.
    pub(crate) fn row(&self) -> &T {
        &self.0
    }

    /// Returns the whole aggregate.
    pub(crate) fn with(mut self, parts: T::Parts) -> T {
        self.0.set_parts(parts);
        self.0
    }
}

impl<T: Aggregate> Table for Root<T> {
    type Key = T::Key;

    const NAME: &'static str = T::NAME;
    const FIELDS: &'static [&'static [&'static str]] = T::FIELDS;
    const COMPUTED: &'static [&'static str] = T::COMPUTED;

    fn values(&self) -> Vec<Param<'_>> {
        self.0.values()
    }
}

/// A value that is stored in one or more columns: a [`Field`], a tuple, an amount with its currency.
pub trait ToColumns: FromRow {
    /// Appends the value of each column.
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>);
}

impl<T: Field> ToColumns for T {
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>) {
        values.push(self.to_param());
    }
}

impl<A: ToColumns, B: ToColumns> ToColumns for (A, B) {
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>) {
        self.0.append(values);
        self.1.append(values);
    }
}

impl ToColumns for Money {
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>) {
        values.extend(params![self.amount, self.currency]);
    }
}

impl FromRow for Money {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        Ok(Self::new(row.read()?, row.read()?))
    }
}

impl ToColumns for Option<Money> {
    fn append<'a>(&'a self, values: &mut Vec<Param<'a>>) {
        values.extend(params![self.map(|money| money.amount), self.map(|money| money.currency)]);
    }
}

impl FromRow for Option<Money> {
    fn from_row(row: &mut Row<'_>) -> Result<Self, DatabaseError> {
        let (amount, currency) = row.read::<(Option<i64>, Option<Currency>)>()?;
        Ok(amount.zip(currency).map(|(amount, currency)| Money::new(amount, currency)))
    }
}

/// Describes the table of a type: its name, the type of its key, and its columns.
///
/// The module `adding_one` at the end of this file is an example with each form of a field:
/// - `name`: the column has the name of the field.
/// - `interval as (billing_interval)`: the column has another name.
/// - `minimum as (minimum, minimum_currency)`: a type with several columns, see [`ToColumns`].
/// - `lines: json`: any serializable type.
/// - `total: money(currency)`: the amount of a [`Money`], in minor units of the currency in the field before it.
///
/// The key comes first. Options, in this order:
/// - `with lines: Vec<CartLine>`: this field is in another table, see [`Aggregate`].
/// - `computed email_key: |user| …`: a column that is only written.
/// - `versioned` or `versioned except [used]`: see [`Versioned`].
/// - `listed by created_at`: see [`ListedByTime`].
/// - `shown as CacheTag::Product`: see [`Table::tag`].
/// - `owned by |order| …`: see [`Table::owner`].
///
/// Tables whose rows are not read and written as a whole are not described: links between two aggregates (`purchases`,
/// `discount_uses`), and tables of which a statement changes single columns or many rows (`inventory`, `listings`).
///
/// [`ListedByTime`]: super::page::ListedByTime
macro_rules! table {
    (
        $type:ident in $name:literal, key $key:ty
        $(, with $parts:ident: $parts_type:ty)?
        $(, computed $computed:ident: $compute:expr)?
        $(, versioned $(except [$($except:ident),+])?)?
        $(, listed by $time:ident)?
        $(, shown as $tag:path)?
        $(, owned by $owner:expr)?;
        $($field:ident $(as ($($column:ident),+))? $(: $form:ident $(($currency:ident))?)?),+ $(,)?
    ) => {
        impl $crate::infrastructure::repositories::Table for $type {
            type Key = $key;

            const NAME: &'static str = $name;
            const FIELDS: &'static [&'static [&'static str]] = &[
                $($crate::infrastructure::repositories::database::table::column_names!($field $(($($column),+))?),)+
            ];
            $(const COMPUTED: &'static [&'static str] = &[stringify!($computed)];)?

            $(fn tag(&self) -> Option<$crate::infrastructure::repositories::CacheTag> {
                Some($tag(self.id))
            })?

            $(fn owner(&self) -> Option<$crate::infrastructure::repositories::Owner> {
                let owner: fn(&Self) -> _ = $owner;
                Some(owner(self))
            })?

            fn values(&self) -> Vec<$crate::infrastructure::repositories::Param<'_>> {
                let mut values = Vec::with_capacity(Self::FIELDS.len());
                $($crate::infrastructure::repositories::database::table::append_column!(
                    values, self, $field $(, $form $(($currency))?)?
                );)+
                $(
                    let compute: fn(&Self) -> _ = $compute;
                    values.push(compute(self).into());
                )?
                values
            }
        }

        $crate::infrastructure::repositories::database::table::impl_from_row!(
            $type $(with $parts: $parts_type)?;
            $($field $(: $form $(($currency))?)?),+
        );

        $crate::infrastructure::repositories::database::table::impl_versioned!(
            $type $(, versioned $(except [$($except),+])?)?
        );
        $(
            impl $crate::infrastructure::repositories::ListedByTime for $type {
                const TIME: &'static str = stringify!($time);

                fn position(&self) -> (jiff::Timestamp, uuid::Uuid) {
                    (self.$time, self.id.0)
                }
            }
        )?
    };
}
pub(crate) use table;

/// Returns the columns of a field.
macro_rules! column_names {
    ($field:ident) => {
        &[stringify!($field)]
    };
    ($field:ident ($($column:ident),+)) => {
        &[$(stringify!($column)),+]
    };
}
pub(crate) use column_names;

/// Appends the values of a field's columns.
macro_rules! append_column {
    ($values:ident, $row:ident, $field:ident) => {
        $crate::infrastructure::repositories::database::table::ToColumns::append(&$row.$field, &mut $values)
    };
    ($values:ident, $row:ident, $field:ident, json) => {
        $values.push($crate::infrastructure::repositories::Param::json(&$row.$field))
    };
    ($values:ident, $row:ident, $field:ident, money($currency:ident)) => {{
        debug_assert_eq!($row.$field.currency, $row.$currency, "the amounts of a row have one currency");
        $values.push($row.$field.amount.into())
    }};
}
pub(crate) use append_column;

/// Reads the fields of a table in the order of their columns.
macro_rules! impl_from_row {
    ($type:ident; $($field:ident $(: $form:ident $(($currency:ident))?)?),+) => {
        impl $crate::infrastructure::repositories::FromRow for $type {
            fn from_row(
                row: &mut $crate::infrastructure::repositories::Row<'_>,
            ) -> Result<Self, $crate::infrastructure::repositories::DatabaseError> {
                $(let $field = $crate::infrastructure::repositories::read_column!(row $(, $form $(($currency))?)?);)+
                Ok(Self { $($field),+ })
            }
        }
    };
    ($type:ident with $parts:ident: $parts_type:ty;
     $($field:ident $(: $form:ident $(($currency:ident))?)?),+) => {
        impl $crate::infrastructure::repositories::database::table::Aggregate for $type {
            type Parts = $parts_type;

            fn set_parts(&mut self, parts: $parts_type) {
                self.$parts = parts;
            }
        }

        impl $crate::infrastructure::repositories::FromRow
            for $crate::infrastructure::repositories::database::table::Root<$type>
        {
            fn from_row(
                row: &mut $crate::infrastructure::repositories::Row<'_>,
            ) -> Result<Self, $crate::infrastructure::repositories::DatabaseError> {
                $(let $field = $crate::infrastructure::repositories::read_column!(row $(, $form $(($currency))?)?);)+
                Ok(Self::without_parts($type { $($field,)+ $parts: <$parts_type>::default() }))
            }
        }
    };
}
pub(crate) use impl_from_row;

macro_rules! impl_versioned {
    ($type:ident) => {};
    ($type:ident, versioned $(except [$($except:ident),+])?) => {
        impl $crate::infrastructure::repositories::Versioned for $type {
            const EXCEPT: &'static [&'static str] = &[$($(stringify!($except)),+)?];

            fn version_mut(&mut self) -> &mut i64 {
                &mut self.version
            }

            fn set_changed(&mut self, now: jiff::Timestamp) {
                self.version += 1;
                self.updated_at = now;
            }
        }
    };
}
pub(crate) use impl_versioned;

#[cfg(test)]
mod adding_one {
    use jiff::Timestamp;

    use crate::domain::ids::OrderId;
    use crate::domain::money::{Currency, Money};
    use crate::infrastructure::repositories::database::{Conditions, ListError, new_database};

    /// A return of goods.
    #[derive(Debug, Clone, PartialEq)]
    struct Return {
        id: OrderId,
        reason: String,
        fee: Option<Money>,
        skus: Vec<String>,
        currency: Currency,
        total: Money,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }

    table! {
        Return in "returns", key OrderId, computed reason_key: |one| one.reason.to_lowercase(),
        versioned except [created_at], listed by created_at;
        id,
        reason as (reason_text),
        fee as (fee, fee_currency),
        skus: json,
        currency,
        total: money(currency),
        version,
        created_at,
        updated_at,
    }

    const TABLE: &str = "CREATE TABLE returns (id BLOB PRIMARY KEY, reason_text TEXT, reason_key TEXT, fee INTEGER, \
                         fee_currency TEXT, skus TEXT, currency TEXT, total INTEGER, version INTEGER, \
                         created_at INTEGER, updated_at INTEGER)";

    #[tokio::test]
    async fn a_row_is_inserted_updated_found_and_listed_as_its_table_is_described() {
        let (_folder, database) = new_database().await;

        let written = database.write(database.clone(), async |work, database| {
            work.script(TABLE).await?;
            let mut one = Return {
                id: OrderId(work.id()),
                reason: "Too LARGE".into(),
                fee: None,
                skus: vec!["TEA-1".into()],
                currency: Currency::EUR,
                total: Money::new(1_299, Currency::EUR),
                version: 1,
                created_at: work.now(),
                updated_at: work.now(),
            };
            work.insert(&one).await?;
            one.fee = Some(Money::new(499, Currency::EUR));
            work.update(&mut one).await?;

            let found = work.find::<Return>(one.id).await?;
            let listed = work.newest(&(), Conditions::default(), &database.page_request(9, None)).await?;
            let key: String = work.one("SELECT reason_key FROM returns", &[]).await?;
            Ok::<_, ListError>((one, found, listed.items, key))
        });
        let (one, found, listed, key) = written.await.unwrap();
        assert_eq!((found.as_ref(), listed, key.as_str()), (Some(&one), vec![one.clone()], "too large"));
        assert_eq!(one.version, 2);
    }
}
