//! What a statement is read with: a state of the catalog and the search path names are looked up in.
//!
//! Two sessions with the same catalog and path have the same view, so that readings can be shared by its number.
//! Views of one session alone have numbers of their own; nothing is shared under them.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use abeyance_sql::Catalog;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::limits::CATALOG_VIEWS_MAX;

/// A search path as `current_schemas(true)` gives it.
pub(crate) type SearchPath = Arc<[String]>;

/// Below are the views without a catalog.
const NUMBER_MIN: u64 = 16;

/// What statements of a session are read with.
#[derive(Debug)]
pub(crate) struct View {
    /// Unlike that of any other view of the same target.
    pub(crate) number: u64,
    pub(crate) seen: Option<(Arc<Catalog>, SearchPath)>,
    /// Why there is no catalog, for reviewers. With neither, text alone is judged, and that is meant so.
    pub(crate) blind: Option<&'static str>,
    /// Other sessions have the same view: what is read with it may be kept for them.
    pub(crate) shared: bool,
    /// The room its catalog takes among those of single sessions.
    _room: Option<OwnedSemaphorePermit>,
}

impl View {
    /// Whether the view of this number lacks a catalog that there is.
    pub(crate) fn is_blind(number: u64) -> bool {
        (1..NUMBER_MIN).contains(&number)
    }

    /// Text alone, as configured.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self::without(0, None))
    }

    /// The target's catalog is not there, or may be out of date.
    pub(crate) fn unreadable() -> Arc<Self> {
        let why =
            "the target's catalog could not be read, so what its names stand for is not known";
        Arc::new(Self::without(1, Some(why)))
    }

    /// The catalog is there, but not what the session sees of it.
    pub(crate) fn unsettled() -> Arc<Self> {
        let why = "the session's search path or definitions may have changed and could not be asked for, \
                   so what its names stand for is not known";
        Arc::new(Self::without(2, Some(why)))
    }

    /// As [`Self::unsettled`], because of what stands before in the same batch.
    pub(crate) fn preceded() -> Arc<Self> {
        let why = "a statement before it in the same batch may change what its names stand for";
        Arc::new(Self::without(3, Some(why)))
    }

    /// There is no room for what one more session alone sees.
    pub(crate) fn crowded() -> Arc<Self> {
        let why = "too many sessions have temporary tables or uncommitted definitions, \
                   so what its names stand for is not known";
        Arc::new(Self::without(4, Some(why)))
    }

    fn without(number: u64, blind: Option<&'static str>) -> Self {
        Self {
            number,
            seen: None,
            blind,
            shared: true,
            _room: None,
        }
    }

    /// What one session alone sees.
    pub(crate) fn private(
        numbers: &Numbers,
        catalog: Arc<Catalog>,
        search_path: SearchPath,
        room: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        Arc::new(Self {
            number: numbers.next(),
            seen: Some((catalog, search_path)),
            blind: None,
            shared: false,
            _room: Some(room),
        })
    }
}

/// Gives views their numbers.
#[derive(Debug)]
pub(crate) struct Numbers(AtomicU64);

impl Default for Numbers {
    fn default() -> Self {
        Self(AtomicU64::new(NUMBER_MIN))
    }
}

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A catalog all sessions of a target see, once nothing of theirs stands before it.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Grows with every state of the catalog.
    pub(crate) version: u64,
    pub(crate) catalog: Arc<Catalog>,
    /// Its length as it came.
    pub(crate) bytes: usize,
    /// What [`super::DIGEST_SQL`] said of it.
    pub(crate) digest: Bytes,
    /// What a new session has.
    pub(crate) search_path: SearchPath,
    numbers: Arc<Numbers>,
    views: Mutex<Vec<Arc<View>>>,
}

impl Shared {
    pub(crate) fn new(
        version: u64,
        catalog: Arc<Catalog>,
        bytes: usize,
        digest: Bytes,
        numbers: Arc<Numbers>,
    ) -> Self {
        Self {
            version,
            search_path: catalog.search_path.clone().into(),
            catalog,
            bytes,
            digest,
            numbers,
            views: Mutex::default(),
        }
    }

    /// The view of a session with this path. Lives as long as the state does; beyond a number of different paths the
    /// oldest makes room, and whoever has it asks again.
    pub(crate) fn view(&self, search_path: &SearchPath) -> Arc<View> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |view: &&Arc<View>| {
            let path = view.seen.as_ref().map(|(_, path)| path);
            path == Some(search_path)
        };
        if let Some(view) = views.iter().find(same) {
            return Arc::clone(view);
        }
        let view = Arc::new(View {
            number: self.numbers.next(),
            seen: Some((Arc::clone(&self.catalog), Arc::clone(search_path))),
            blind: None,
            shared: true,
            _room: None,
        });
        if views.len() >= CATALOG_VIEWS_MAX {
            views.remove(0);
        }
        views.push(Arc::clone(&view));
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(names: &[&str]) -> SearchPath {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_same_path_has_the_same_view_and_another_state_another() {
        let numbers = Arc::new(Numbers::default());
        let shared =
            |version| Shared::new(version, Arc::default(), 0, Bytes::new(), numbers.clone());
        let (first, second) = (shared(1), shared(2));
        let public = path(&["pg_catalog", "public"]);
        let view = first.view(&public);
        assert_eq!(first.view(&public.clone()).number, view.number);
        assert_ne!(first.view(&path(&["pg_catalog"])).number, view.number);
        assert_ne!(second.view(&public).number, view.number);
        assert_ne!(view.number, View::none().number);
    }

    #[test]
    fn shared_views_are_bounded() {
        let shared = Shared::new(1, Arc::default(), 0, Bytes::new(), Arc::default());
        let first = Arc::downgrade(&shared.view(&path(&["s0"])));
        let second = Arc::downgrade(&shared.view(&path(&["s1"])));
        for index in 2..=CATALOG_VIEWS_MAX {
            shared.view(&path(&[&format!("s{index}")]));
        }
        assert!(first.upgrade().is_none());
        assert!(second.upgrade().is_some());
    }
}
