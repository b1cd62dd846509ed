//! Wake-ups inside one process. A signal says "look again", never what to see: whoever is woken
//! reads the store, and timers repair whatever was missed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use abeyance_api::HoldId;
use tokio::sync::watch;

/// What a committed write touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touched {
    Hold(HoldId),
    Cards,
}

/// Who is to be woken by what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    waiters: Arc<Mutex<HashMap<HoldId, watch::Sender<u64>>>>,
    holds: Pulse,
    cards: Pulse,
}

/// A generation counter that can be waited on by any number of tasks.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<watch::Sender<u64>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Pulse {
    pub(crate) fn fire(&self) {
        self.0.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Signals {
    /// A waiter for one hold. Make it before reading the hold's state: whatever
    /// changes after the read wakes it.
    pub(crate) fn wait_on(&self, id: &HoldId) -> Waiter {
        let receiver = self
            .lock()
            .entry(id.clone())
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe();
        Waiter {
            id: id.clone(),
            receiver,
            signals: self.clone(),
        }
    }

    /// Any hold changed.
    pub(crate) fn holds(&self) -> &Pulse {
        &self.holds
    }

    /// A card may have become due.
    pub(crate) fn cards(&self) -> &Pulse {
        &self.cards
    }

    pub(crate) fn fire(&self, touched: &[Touched]) {
        if touched.is_empty() {
            return;
        }
        let mut any_hold = false;
        {
            let waiters = self.lock();
            for id in touched.iter().filter_map(|touched| match touched {
                Touched::Hold(id) => Some(id),
                Touched::Cards => None,
            }) {
                any_hold = true;
                if let Some(sender) = waiters.get(id) {
                    sender.send_modify(|generation| *generation += 1);
                }
            }
        }
        if any_hold {
            self.holds.fire();
        }
        self.cards.fire();
    }

    /// Something may have changed, and it is not known what.
    pub(crate) fn fire_all(&self) {
        for sender in self.lock().values() {
            sender.send_modify(|generation| *generation += 1);
        }
        self.holds.fire();
        self.cards.fire();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HoldId, watch::Sender<u64>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One task's place in the list of those who wait for a hold; gives it up when dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    id: HoldId,
    receiver: watch::Receiver<u64>,
    signals: Signals,
}

impl Waiter {
    /// Returns when the hold was touched since the last call. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        // The sender lives in the map for as long as this receiver does.
        let _closed = self.receiver.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiters = self.signals.lock();
        if waiters
            .get(&self.id)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            waiters.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_between_subscribing_and_waiting_is_not_lost() {
        let signals = Signals::default();
        let id: HoldId = "HLD-7K3Q".parse().unwrap();
        let mut waiter = signals.wait_on(&id);
        let mut other = signals.wait_on(&id);
        signals.fire(&[Touched::Hold(id.clone())]);
        waiter.changed().await;
        other.changed().await;
        drop(waiter);
        assert_eq!(signals.lock().len(), 1, "one still waits");
        drop(other);
        assert!(signals.lock().is_empty(), "nobody waits, nothing is kept");
    }
}
