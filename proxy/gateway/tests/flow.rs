//! Large results and COPY data with a side that does not read for a while: nothing is lost, nothing stands still.

use crate::support::{self, Fixture, client::query};
use abeyance_wire::postgres::{
    BackendMessage, Format, FrontendMessage, TransactionStatus, WireStr,
    backend::{CommandTag, CopyShape},
};
use bytes::Bytes;

const ROWS: usize = 4000;
const ROW_BYTES: usize = 10_000;

fn tag(text: &str) -> BackendMessage {
    BackendMessage::CommandComplete(CommandTag::new(WireStr::from_text_lossy(text)))
}

#[tokio::test]
async fn a_slow_reader_gets_every_row() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    client.send(&[query("SELECT 1")]).await;
    target.receive().await.unwrap();
    let row = Bytes::from(vec![b'x'; ROW_BYTES]);
    let (written, mut wrote) = tokio::sync::oneshot::channel();
    let sender = tokio::task::spawn(async move {
        for _ in 0..ROWS {
            let row = BackendMessage::DataRow(vec![Some(row.clone())]);
            target.send(&[row]).await;
        }
        let _ = written.send(());
        let ready = BackendMessage::ReadyForQuery(TransactionStatus::Idle);
        target.send(&[tag("SELECT 4000"), ready]).await;
        target
    });
    // Until everything between is full, the client does not read.
    for _ in 0..50 {
        tokio::task::yield_now().await;
        assert!(wrote.try_recv().is_err(), "40 MB went nowhere");
    }
    let (replies, _) = client.until_ready().await;
    assert_eq!(replies.len(), ROWS + 1);
    drop((client, sender.await.unwrap()));
    fixture.stop().await;
}

#[tokio::test]
async fn copy_data_waits_for_a_slow_target() {
    let fixture = Fixture::start().await;
    let (mut client, mut target) = fixture.connect().await;
    client.send(&[query("COPY rooms FROM STDIN")]).await;
    target.receive().await.unwrap();
    let shape = CopyShape {
        overall: Format::Text,
        columns: Vec::new(),
    };
    target.send(&[BackendMessage::CopyInResponse(shape)]).await;
    let sender = tokio::task::spawn(async move {
        // One frame that is larger than what is read ahead, and many small ones.
        let large = Bytes::from(vec![b'y'; 3_000_000]);
        client.send(&[FrontendMessage::CopyData(large)]).await;
        let row = FrontendMessage::CopyData(Bytes::from(vec![b'z'; ROW_BYTES]));
        for _ in 0..ROWS {
            client.send(std::slice::from_ref(&row)).await;
        }
        client.send(&[FrontendMessage::CopyDone]).await;
        client
    });
    let mut bytes = 0;
    loop {
        match target.receive().await.unwrap() {
            FrontendMessage::CopyData(data) => bytes += data.len(),
            FrontendMessage::CopyDone => break,
            other => panic!("got {}", other.name()),
        }
    }
    assert_eq!(bytes, 3_000_000 + ROWS * ROW_BYTES);
    let ready = BackendMessage::ReadyForQuery(TransactionStatus::Idle);
    target.send(&[tag("COPY 4001"), ready]).await;
    let mut client = sender.await.unwrap();
    client.until_ready().await;
    drop((client, target));
    fixture.stop().await;
}

/// A client that writes a long pipeline without reading must not stop the target from being read.
#[tokio::test]
async fn answers_to_a_large_batch_flow_while_it_is_written() {
    let fixture = Fixture::start().await;
    let (mut client, target) = fixture.connect().await;
    let target = target.spawn();
    let mut group = Vec::new();
    for index in 0..4000 {
        group.push(support::client::parse(
            "",
            &format!("SELECT {index}, '{}'", "p".repeat(1000)),
        ));
        group.extend([support::client::bind("", ""), support::client::execute("")]);
    }
    group.push(FrontendMessage::Sync);
    client.send(&group).await;
    let (replies, _) = client.until_ready().await;
    assert_eq!(replies.len(), 12_000);
    assert_eq!(target.ran().len(), 4000);
    drop(client);
    fixture.stop().await;
}
