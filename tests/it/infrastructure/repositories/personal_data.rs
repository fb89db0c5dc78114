//! The data of a user is read by indexes, however large the store is.

use undercroft::infrastructure::repositories::{Connection, Param, PersonalDataRepository, REMOVE_OF_ERASED};
use uuid::Uuid;

use crate::support::{Shop, ShopOptions};

/// The steps of the plan of a statement on SQLite.
async fn steps(connection: &mut Connection, sql: &str, values: &[Param<'_>]) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let steps: Vec<(i64, i64, i64, String)> = connection.all(&sql, values).await.unwrap();
    steps.into_iter().map(|(.., step)| step).collect()
}

#[tokio::test]
async fn no_table_is_read_as_a_whole_for_the_data_of_a_user() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let mut connection = shop.database.read().await.unwrap();
    let tables = "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
                  WHERE m.type = 'table' AND c.name = 'user_id'";
    let tables: Vec<String> = connection.all(tables, &[]).await.unwrap();
    assert!(tables.iter().any(|table| table == "invoices"), "{tables:?}");
    for table in tables {
        let sql = format!("SELECT * FROM {table} WHERE user_id = $1");
        let steps = steps(&mut connection, &sql, &[Uuid::nil().into()]).await;
        assert!(steps.iter().all(|step| step.starts_with("SEARCH")), "{table}: {steps:?}");
    }
}

#[tokio::test]
async fn the_rows_of_others_are_not_read_for_a_security_log_or_when_an_e_mail_ends() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let mut connection = shop.database.read().await.unwrap();
    let statement = PersonalDataRepository::security_log_statement();
    let values = [Uuid::nil().into(), 10_i64.into()];
    for (sql, values) in [(&*statement, &values[..]), (REMOVE_OF_ERASED, &values[..1])] {
        let steps = steps(&mut connection, sql, values).await;
        let searches = steps.iter().filter(|step| step.starts_with("SEARCH")).count();
        let reads_others = |step: &String| {
            step.contains("by_action") || step.starts_with("SCAN") && !step.contains("entries")
        };
        assert!(searches > 1 && !steps.iter().any(reads_others), "{steps:#?}");
    }
}
