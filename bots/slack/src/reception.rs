//! What every click and every command goes through: room, whose workspace it is of, and the way back to the person.

use std::{future::Future, sync::Arc};

use slack_morphism::prelude::SlackBlock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::{
    identity::{Belonging, Origin},
    limits,
    payload::Place,
    port::SlackPort,
    text,
};

pub(crate) struct Reception {
    pub port: SlackPort,
    pub tasks: TaskTracker,
    room: Arc<Semaphore>,
}

impl Reception {
    pub fn new(port: SlackPort) -> Self {
        Self {
            port,
            tasks: TaskTracker::new(),
            room: Arc::new(Semaphore::new(limits::CLICKS_MAX)),
        }
    }

    /// Room to work on one more, until it is dropped.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.room).try_acquire_owned().ok();
        if room.is_none() {
            warn!("too many clicks and commands at the same time; one was refused");
        }
        room
    }

    pub fn known_foreign(&self, origin: &Origin) -> bool {
        let foreign = self.port.identity.judge_now(origin) == Some(Belonging::Foreign);
        if foreign {
            warn!("something from another workspace was refused");
        }
        foreign
    }

    /// Why the person is not even asked, when it is so. Any doubt refuses.
    pub async fn outsider(&self, origin: &Origin) -> Option<String> {
        match self.port.identity.judge(origin).await {
            Ok(Belonging::Ours) => None,
            Ok(Belonging::Guest) => {
                Some("Only people of this app's own workspace decide; nothing was done.".to_owned())
            }
            Ok(Belonging::Foreign) => {
                warn!("something from another workspace was refused");
                Some("This app belongs to another workspace; nothing was done.".to_owned())
            }
            Err(error) => {
                self.port.complaints.call_failed(&error, None);
                Some(
                    "Slack could not tell which workspace this is; nothing was done, try again."
                        .to_owned(),
                )
            }
        }
    }

    /// Answers the person in one sentence, and nobody else.
    pub async fn tell(&self, user: &str, place: &Place, answer: &str) {
        let said = text::prose(answer, limits::SECTION_TEXT_MAX);
        self.show(user, place, &said, &[]).await;
    }

    /// The same, with blocks. `said` is markup already.
    pub async fn show(&self, user: &str, place: &Place, said: &str, blocks: &[SlackBlock]) {
        if let Some(url) = &place.response_url {
            match self.port.api.respond(url, said, blocks).await {
                Ok(()) => return,
                Err(error) => self
                    .port
                    .complaints
                    .call_failed(&error, place.channel.as_deref()),
            }
        }
        let Some(channel) = &place.channel else {
            warn!("somebody could not be answered: it came without a channel");
            return;
        };
        if let Err(error) = self.port.api.ephemeral(channel, user, said, blocks).await {
            self.port.complaints.call_failed(&error, Some(channel));
        }
    }

    /// Waits for the work that has begun.
    pub fn finish(&self) -> impl Future<Output = ()> + '_ {
        self.tasks.close();
        self.tasks.wait()
    }
}
