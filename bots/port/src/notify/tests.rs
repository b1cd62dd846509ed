//! Notices through a chat that fails on command.

use std::sync::Mutex;

use abeyance_api::{CardFailure, CardReceipt, CardTask, ChatKind, HoldId, NoticeBody, PersonRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::*;
use crate::{Card, notice_line};

#[derive(Default)]
struct Desk {
    due: Mutex<Vec<NoticeTask>>,
    log: Mutex<Vec<String>>,
}

#[async_trait]
impl CardDesk for Desk {
    async fn cards_due(&self, _: ChatKind, _: u32) -> Result<Vec<CardTask>, DeskError> {
        Ok(Vec::new())
    }
    async fn card_begin(&self, _: &CardTask) -> Result<(), DeskError> {
        Ok(())
    }
    async fn card_delivered(&self, _: CardReceipt) -> Result<(), DeskError> {
        Ok(())
    }
    async fn card_failed(&self, _: CardFailure) -> Result<(), DeskError> {
        Ok(())
    }
    async fn notices_due(&self, _: ChatKind, _: u32) -> Result<Vec<NoticeTask>, DeskError> {
        Ok(std::mem::take(&mut *self.due.lock().unwrap()))
    }
    async fn notice_begin(&self, _: Uuid) -> Result<(), DeskError> {
        self.log.lock().unwrap().push("begun".to_owned());
        Ok(())
    }
    async fn notice_delivered(&self, _: Uuid) -> Result<(), DeskError> {
        self.log.lock().unwrap().push("delivered".to_owned());
        Ok(())
    }
    async fn notice_failed(&self, failure: NoticeFailure) -> Result<(), DeskError> {
        let again = failure.retry_in.is_some();
        let line = format!("failed again={again} doubt={}", failure.in_doubt);
        self.log.lock().unwrap().push(line);
        Ok(())
    }
    async fn cards_changed(&self, at_most: Duration) {
        sleep(at_most).await;
    }
}

struct Chat {
    found: Result<bool, PortError>,
    said: Result<(), PortError>,
    log: Arc<Desk>,
}

#[async_trait]
impl ChatPort for Chat {
    fn kind(&self) -> ChatKind {
        ChatKind::Slack
    }
    async fn post(&self, _: &str, _: &Card) -> Result<String, PortError> {
        Ok(String::new())
    }
    async fn update(&self, _: &str, _: &str, _: &Card) -> Result<(), PortError> {
        Ok(())
    }
    async fn find(
        &self,
        _: &str,
        _: &HoldId,
        _: DateTime<Utc>,
    ) -> Result<Option<String>, PortError> {
        Ok(None)
    }
    async fn notify(&self, _: &NoticeTask) -> Result<(), PortError> {
        self.log.log.lock().unwrap().push("said".to_owned());
        self.said.clone()
    }
    async fn find_notice(&self, _: &NoticeTask) -> Result<bool, PortError> {
        self.log.log.lock().unwrap().push("looked".to_owned());
        self.found.clone()
    }
}

fn person(name: &str) -> PersonRef {
    PersonRef {
        id: name.parse().unwrap(),
        display_name: name.to_owned(),
        slack: Some("U0BOB0001".to_owned()),
    }
}

fn asked() -> NoticeBody {
    NoticeBody::Asked {
        hold: "HLD-7K3Q".parse().unwrap(),
        who: "schedule dba".to_owned(),
        people: vec![person("bob")],
        expires_at: DateTime::UNIX_EPOCH,
    }
}

async fn log_of(
    in_doubt: bool,
    failures: u32,
    found: Result<bool, PortError>,
    said: Result<(), PortError>,
) -> Vec<String> {
    let desk = Arc::new(Desk::default());
    let log = Arc::clone(&desk);
    let port = Arc::new(Chat { found, said, log });
    let task = NoticeTask {
        id: Uuid::nil(),
        chat: ChatKind::Slack,
        to: NoticeTo::Thread {
            channel: "C1".to_owned(),
            message: "1.2".to_owned(),
        },
        body: asked(),
        made_at: DateTime::UNIX_EPOCH,
        in_doubt,
        failures,
    };
    Notifier::new(port, desk.clone()).deliver(task).await;
    desk.log.lock().unwrap().clone()
}

fn text(error: &str) -> String {
    error.to_owned()
}

#[tokio::test]
async fn said_once_and_looked_for_when_in_doubt() {
    let refused = || PortError::Refused { error: text("no") };
    let doubt = || PortError::Doubt { error: text("?") };
    let blind = || PortError::Blind { error: text("-") };
    let plain = log_of(false, 0, Ok(false), Ok(())).await;
    assert_eq!(plain, ["begun", "said", "delivered"]);
    let found = log_of(true, 1, Ok(true), Ok(())).await;
    assert_eq!(found, ["looked", "delivered"], "not said twice");
    let lost = log_of(true, 1, Ok(false), Ok(())).await;
    assert_eq!(lost, ["looked", "begun", "said", "delivered"]);
    let unseen = log_of(true, 1, Err(blind()), Ok(())).await;
    assert_eq!(unseen, ["looked", "begun", "said", "delivered"]);
    let still = log_of(true, 1, Err(refused()), Ok(())).await;
    assert_eq!(still, ["looked", "failed again=true doubt=true"]);
    let cut = log_of(false, 0, Ok(false), Err(doubt())).await;
    assert_eq!(cut, ["begun", "said", "failed again=true doubt=true"]);
    let tired = log_of(false, limits::FAILURES_MAX, Ok(false), Err(refused())).await;
    assert_eq!(tired, ["begun", "said", "failed again=false doubt=false"]);
}

#[test]
fn people_are_called_and_those_before_only_named() {
    let line = notice_line(&NoticeBody::HandedOver {
        schedule: "dba".to_owned(),
        people: vec![person("bob")],
        before: vec![person("ann")],
        because: "layer office, turn 2".to_owned(),
        until: None,
    })
    .unwrap();
    let called = line
        .iter()
        .filter(|piece| matches!(piece, crate::Piece::Person(_)));
    assert_eq!(called.count(), 1);
    assert!(notice_line(&asked()).is_some());
    assert!(notice_line(&NoticeBody::Members { users: Vec::new() }).is_none());
}
