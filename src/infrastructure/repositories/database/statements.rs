//! Builds the text of statements.

use super::param::Param;
use super::table::Table;

/// The most keys in one `IN (…)`.
const KEYS: usize = 256;
/// The most rows in one `VALUES …`.
const ROWS: usize = 64;

/// Returns the columns of a table, separated by commas, each with `prefix` in front.
pub(crate) fn column_list<T: Table>(prefix: &str) -> String {
    let mut list = String::with_capacity(256);
    for column in T::columns() {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(prefix);
        list.push_str(column);
    }
    list
}

/// Returns `SELECT columns FROM table`, followed by `rest`.
pub(crate) fn select<T: Table>(rest: &str) -> String {
    format!("SELECT {} FROM {} {rest}", column_list::<T>(""), T::NAME)
}

/// Returns `INSERT INTO table (columns) VALUES (placeholders)`.
pub(crate) fn insert<T: Table>() -> String {
    let mut columns = column_list::<T>("");
    for column in T::COMPUTED {
        columns.push_str(", ");
        columns.push_str(column);
    }
    let count = T::columns().count() + T::COMPUTED.len();
    format!("INSERT INTO {} ({columns}) VALUES ({})", T::NAME, placeholders(1, count))
}

/// Returns the condition that the primary key equals the parameters from `$1` on.
pub(crate) fn key_condition<T: Table>(count: usize) -> String {
    let columns: Vec<_> =
        T::columns().take(count).zip(1..).map(|(name, n)| format!("{name} = ${n}")).collect();
    columns.join(" AND ")
}

/// Returns `$from, $from+1, …`, `count` of them.
pub(crate) fn placeholders(from: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 4);
    for number in from..from + count {
        if number > from {
            text.push(',');
        }
        text.push('$');
        text.push_str(&number.to_string());
    }
    text
}

/// Returns keys for `IN (…)` with the list of their placeholders, in as many statements as they need.
///
/// A list is padded to a power of two with its last key, so that few different statements are prepared.
pub(crate) fn key_lists<'a, K: Copy + Into<Param<'a>>>(keys: &[K]) -> Vec<(Vec<Param<'a>>, String)> {
    let lists = keys.chunks(KEYS).map(|keys| {
        let count = keys.len().next_power_of_two();
        let last = keys.last().into_iter().cycle();
        let params: Vec<_> = keys.iter().chain(last).take(count).map(|&key| key.into()).collect();
        (params, placeholders(1, count))
    });
    lists.collect()
}

/// Returns rows for `VALUES …` with the list of their placeholders, in as many statements as they need.
///
/// A list is padded to a power of two with its last row, so that few different statements are prepared: the statement
/// must have `ON CONFLICT DO NOTHING`.
pub(crate) fn row_lists<'a, const N: usize>(rows: &[[Param<'a>; N]]) -> Vec<(Vec<Param<'a>>, String)> {
    let lists = rows.chunks(ROWS).map(|rows| {
        let count = rows.len().next_power_of_two();
        let last = rows.last().into_iter().cycle();
        let params: Vec<_> = rows.iter().chain(last).take(count).flatten().cloned().collect();
        let tuples: Vec<_> = (0..count).map(|row| format!("({})", placeholders(1 + row * N, N))).collect();
        (params, tuples.join(","))
    });
    lists.collect()
}
