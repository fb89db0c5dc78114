//! The names of unique constraints. SQLite reports a constraint that failed by its columns; the name is found in the
//! text of the migrations, or is the one that PostgreSQL gives to a constraint without a name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::scripts::MIGRATIONS;

/// The names of all unique constraints and primary keys, by their columns as SQLite reports them.
static NAMES: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| MIGRATIONS.iter().flat_map(|migration| unique_constraints(migration.script)).collect());

/// Returns the name of the unique constraint over these columns, such as `variants.sku` or `orders.a, orders.b`.
pub(super) fn unique_constraint(columns: &str) -> String {
    NAMES.get(columns).cloned().unwrap_or_else(|| columns.to_owned())
}

/// Returns the unique constraints, primary keys and unique indexes of a script, each as its columns and its name.
fn unique_constraints(script: &str) -> Vec<(String, String)> {
    let lines =
        script.lines().map(|line| line.trim().trim_end_matches(',')).filter(|line| !line.starts_with("--"));
    let (mut table, mut found) = ("", Vec::new());
    for line in lines {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["CREATE", "TABLE", name, ..] => table = name,
            ["CREATE", "UNIQUE", "INDEX", name, "ON", table, ..] => {
                found.push((columns(table, in_parentheses(line)), name.to_owned()));
            }
            ["PRIMARY", "KEY", ..] => {
                found.push((columns(table, in_parentheses(line)), format!("{table}_pkey")));
            }
            ["CONSTRAINT", name, "UNIQUE", ..] => {
                found.push((columns(table, in_parentheses(line)), name.to_owned()));
            }
            [column, ..] => found.extend(of_column(table, column, &words)),
            [] => {}
        }
    }
    found
}

/// Returns the constraint in the definition of one column.
fn of_column(table: &str, column: &str, definition: &[&str]) -> Option<(String, String)> {
    let name = if let Some(at) = definition.iter().position(|word| *word == "UNIQUE") {
        match definition[..at] {
            [.., "CONSTRAINT", name] => name.to_owned(),
            _ => format!("{table}_{column}_key"),
        }
    } else if definition.contains(&"PRIMARY") || definition.contains(&"SERIALKEY") {
        format!("{table}_pkey")
    } else {
        return None;
    };
    Some((columns(table, column), name))
}

fn in_parentheses(line: &str) -> &str {
    let rest = line.split_once('(').map_or("", |(_, rest)| rest);
    rest.split_once(')').map_or(rest, |(inside, _)| inside)
}

/// Writes a list of columns as SQLite reports it.
fn columns(table: &str, list: &str) -> String {
    let columns: Vec<_> = list.split(',').map(|column| format!("{table}.{}", column.trim())).collect();
    columns.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infrastructure::repositories::database::new_database;

    #[test]
    fn constraints_have_the_names_of_the_migration_or_those_that_postgresql_gives_them() {
        let name = |columns: &str| unique_constraint(columns);
        assert_eq!(name("users.email_key"), "users_email");
        assert_eq!(name("reviews.product_id, reviews.user_id"), "reviews_one_per_buyer");
        assert_eq!(name("invoices.order_id"), "invoices_one_per_order");
        assert_eq!(name("payments.provider, payments.provider_reference"), "payments_by_reference");
        assert_eq!(name("invoices.payment_operation_id"), "invoices_payment_operation_id_key");
        assert_eq!(name("variants.product_id, variants.id"), "variants_pkey");
        assert_eq!(name("outbox.seq"), "outbox_pkey");
    }

    #[tokio::test]
    async fn every_unique_index_of_the_schema_has_a_name() {
        let (_folder, database) = new_database().await;
        let sql = "SELECT GROUP_CONCAT(m.name || '.' || c.name, ', ' ORDER BY c.seqno) FROM sqlite_master m \
                   JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) c \
                   WHERE m.type = 'table' AND m.name <> 'schema_migrations' AND i.\"unique\" GROUP BY i.name";
        let indexes: Vec<String> = database.read().await.unwrap().all(sql, &[]).await.unwrap();
        assert!(indexes.len() > 30, "{indexes:?}");
        for columns in indexes {
            assert!(NAMES.contains_key(&columns), "{columns}");
        }
    }
}
