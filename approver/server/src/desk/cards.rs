//! Cards and notices that a chat has yet to post.

use std::time::Duration;

use abeyance_api::{
    CardDesk, CardFailure, CardReceipt, CardTask, ChatKind, DeskError, NoticeFailure, NoticeTask,
};
use async_trait::async_trait;
use chrono::TimeDelta;
use uuid::Uuid;

use crate::{Approver, limits, reconcile::until, store::CardKey};

#[async_trait]
impl CardDesk for Approver {
    async fn cards_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<CardTask>, DeskError> {
        let limit = limit.clamp(1, limits::CARDS_MAX);
        let now = self.0.clock.now();
        let cards = self.0.store.cards_lease(chat, limit, now).await?;
        let mut tasks = Vec::with_capacity(cards.len());
        for card in cards {
            let (hold, _) = self.view_in_company(card.record).await?;
            tasks.push(CardTask {
                chat,
                channel: card.channel,
                hold,
                message: card.message,
                in_doubt: card.in_doubt,
                failures: card.failures,
            });
        }
        Ok(tasks)
    }

    async fn card_begin(&self, task: &CardTask) -> Result<(), DeskError> {
        let key = CardKey {
            hold: task.hold.id.clone(),
            chat: task.chat,
            channel: task.channel.clone(),
        };
        Ok(self.0.store.card_begin(key).await?)
    }

    async fn card_delivered(&self, receipt: CardReceipt) -> Result<(), DeskError> {
        Ok(self.0.store.card_delivered(receipt).await?)
    }

    async fn card_failed(&self, failure: CardFailure) -> Result<(), DeskError> {
        let (hold, channel, error) = (&failure.hold, &failure.channel, &failure.error);
        match failure.retry_in {
            Some(_) => tracing::debug!(%hold, channel, error, "a card has to be tried again"),
            None => tracing::warn!(%hold, channel, error, "a card was given up"),
        }
        Ok(self
            .0
            .store
            .card_failed(failure, self.0.clock.now())
            .await?)
    }

    async fn notices_due(&self, chat: ChatKind, limit: u32) -> Result<Vec<NoticeTask>, DeskError> {
        let limit = limit.clamp(1, limits::NOTICES_MAX);
        let now = self.0.clock.now();
        Ok(self.0.store.notices_lease(chat, limit, now).await?)
    }

    async fn notice_begin(&self, id: Uuid) -> Result<(), DeskError> {
        Ok(self.0.store.notice_begin(id).await?)
    }

    async fn notice_delivered(&self, id: Uuid) -> Result<(), DeskError> {
        Ok(self.0.store.notice_done(id).await?)
    }

    async fn notice_failed(&self, failure: NoticeFailure) -> Result<(), DeskError> {
        let now = self.0.clock.now();
        Ok(self.0.store.notice_failed(failure, now).await?)
    }

    /// Subscribes before it looks, so that nothing slips between a caller's look and its wait.
    async fn cards_changed(&self, at_most: Duration) {
        let mut changed = self.0.signals.cards().subscribe();
        let now = self.0.clock.now();
        let cards = self.0.store.card_next_due(now).await.ok().flatten();
        let notices = self.0.store.notice_next_due(now).await.ok().flatten();
        let wait = match cards.into_iter().chain(notices).min() {
            Some(due) if due <= TimeDelta::zero() => return,
            Some(due) => until(due).min(at_most),
            None => at_most,
        };
        // Both arms are cancel-safe.
        tokio::select! {
            _ = changed.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
