//! The data of a user is read by indexes, however large the store is.

use uuid::Uuid;

use crate::support::{Shop, ShopOptions};

#[tokio::test]
async fn no_table_is_read_as_a_whole_for_the_data_of_a_user() {
    let shop = Shop::on_sqlite(ShopOptions::default()).await;
    let mut connection = shop.database.read().await.unwrap();
    let tables = "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
                  WHERE m.type = 'table' AND c.name = 'user_id'";
    let tables: Vec<String> = connection.all(tables, &[]).await.unwrap();
    assert!(tables.iter().any(|table| table == "invoices"), "{tables:?}");
    for table in tables {
        let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE user_id = $1");
        let steps: Vec<(i64, i64, i64, String)> = connection.all(&sql, &[Uuid::nil().into()]).await.unwrap();
        assert!(steps.iter().all(|(.., step)| step.starts_with("SEARCH")), "{table}: {steps:?}");
    }
}
