//! The harness itself: a fresh clinic, and a log that tells what reached it.

use abeyance_e2e::Postgres;

#[tokio::test]
async fn each_test_has_a_clinic_of_its_own() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    assert_eq!(
        database
            .number("SELECT count(*) FROM patients")
            .await
            .unwrap(),
        1000
    );
    database.never_saw("DELETE").await.unwrap();
}
