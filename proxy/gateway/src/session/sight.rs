//! What names mean to a session: the target's catalog, seen through its search path, its temporary relations
//! and what it has not committed yet.
//!
//! Asking whether anything is new costs a comparison. After anything that may have changed its view the session is
//! *unsettled*: before the next judgement it asks its own connection. Where it cannot ask it judges without a
//! catalog, and says so: never with one that may not hold (invariant 4).

use std::sync::{Arc, Weak};

use abeyance_sql::{Catalog, catalog::LOAD_SQL};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    Session,
    own::{Unasked, own_statement},
    stirs::Stirs,
};
use crate::{
    catalog::{Current, DIGEST_SQL, Draft, Presence, Shared, TargetCatalog, View, bounded, parse},
    error::{SessionError, TargetError},
    limits::CATALOG_BYTES_MAX,
};

/// Everything by name, so that nothing the session has put before `pg_catalog` answers in its place.
const ASK_SQL: &str = "SELECT pg_catalog.json_build_object(\
    'path', pg_catalog.current_schemas(true), \
    'role', CURRENT_USER, \
    'temporary', EXISTS (SELECT FROM pg_catalog.pg_class c \
                         WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))";

/// As `LOAD_BEGIN_SQL` has it, inside a frame of ours; `{scope}` is a word of ours.
const PREPARE_SQL: &str = "SELECT pg_catalog.set_config('search_path', '', true), \
    pg_catalog.set_config('jit', 'off', true), \
    pg_catalog.set_config('abeyance.search_path', '', true), \
    pg_catalog.set_config('abeyance.scope', '{scope}', true)";

/// What the target says of a session.
#[derive(Debug, Deserialize)]
struct Asked {
    path: Vec<String>,
    role: String,
    temporary: bool,
}

/// What a session knows of the meaning of names.
#[derive(Debug)]
pub(super) struct Sighting {
    /// `None`: text alone is judged.
    source: Option<(Arc<TargetCatalog>, Presence)>,
    /// Of the catalog, when it was last looked at.
    epoch: Option<u64>,
    held: Held,
    /// The version of the catalog the view rests on.
    adopted: Option<u64>,
    /// As it was last asked; `None`: that of a new session.
    path: Option<Arc<[String]>>,
    /// As whom statements run, as it was last asked; `None`: as in a new session.
    role: Option<String>,
    /// What the session sees may be another thing now.
    unsettled: bool,
    /// Code nobody has read ran since.
    unseen: bool,
    /// Definitions may have been changed in the open transaction.
    uncommitted: bool,
    /// And were, as far as is known.
    defined: bool,
    /// Something was changed in the open transaction that its end may undo.
    open: bool,
    /// Definitions of its own that others do not see yet, known to all sessions.
    draft: Option<Draft>,
    /// When the batch at hand was judged, the target had just been asked whether definitions changed.
    pub(super) confirmed: bool,
}

/// What has become of a view since something was judged with it.
#[derive(Debug)]
pub(super) enum Since {
    Nothing,
    /// Definitions changed: the view that takes its place.
    Changed(Arc<View>),
    /// Nobody knows, or nobody can compare.
    Unknown,
}

/// How a session has its view.
#[derive(Debug)]
enum Held {
    /// As long as the state of the catalog is the newest: an idle session keeps no old one alive.
    Shared(u64, Weak<View>),
    /// Its own, or one without a catalog.
    Own(Arc<View>),
}

impl Sighting {
    pub(super) fn new(source: Option<(Arc<TargetCatalog>, Presence)>) -> Self {
        let view = match source {
            Some(_) => View::unreadable(),
            None => View::none(),
        };
        Self {
            source,
            epoch: None,
            held: Held::Own(view),
            adopted: None,
            path: None,
            role: None,
            unsettled: false,
            unseen: false,
            uncommitted: false,
            defined: false,
            open: false,
            draft: None,
            confirmed: false,
        }
    }

    /// The number of the view statements are read with now.
    pub(super) fn number(&self) -> u64 {
        match &self.held {
            Held::Shared(number, _) => *number,
            Held::Own(view) => view.number,
        }
    }

    /// Statements are read by their text alone.
    pub(super) fn is_blind(&self) -> bool {
        self.source.is_none() || View::is_blind(self.number())
    }

    /// What is read with the view may be kept for other sessions.
    pub(super) fn is_shared(&self) -> bool {
        match &self.held {
            Held::Shared(..) => true,
            Held::Own(view) => view.shared,
        }
    }

    /// Other sessions see the same catalog, and it is known.
    pub(super) fn is_common(&self) -> bool {
        matches!(self.held, Held::Shared(..))
    }

    /// As whom statements run when it is not the user of the log-in.
    pub(super) fn role(&self, login: &str) -> Option<&str> {
        self.role.as_deref().filter(|role| *role != login)
    }

    /// What statements are read with now; `None` when there is a newer one to look for.
    pub(super) fn view(&self) -> Option<Arc<View>> {
        match &self.held {
            Held::Shared(_, view) => view.upgrade(),
            Held::Own(view) => Some(Arc::clone(view)),
        }
    }

    /// The view is gone: look again.
    pub(super) fn forget(&mut self) {
        self.epoch = None;
    }

    /// Takes a view of the state of the catalog that all see, or the session's own.
    fn take(&mut self, view: Arc<View>) {
        self.held = if view.shared {
            Held::Shared(view.number, Arc::downgrade(&view))
        } else {
            Held::Own(view)
        };
    }

    /// Whether the view still holds: a comparison.
    pub(super) fn holds(&self) -> bool {
        match &self.source {
            None => true,
            Some((catalog, _)) => !self.unsettled && self.epoch == Some(catalog.epoch()),
        }
    }

    /// Takes note of what is about to run.
    pub(super) fn runs(&mut self, stirs: Stirs) {
        if let Some((catalog, _)) = self.source.as_ref().filter(|_| stirs.definitions) {
            self.draft.get_or_insert_with(|| Draft::new(catalog));
        }
    }

    /// Other sessions have definitions that may be committed any moment.
    pub(super) fn others_define(&self) -> bool {
        let own = usize::from(self.draft.is_some());
        let drafts = self.source.as_ref().map(|(catalog, _)| catalog.drafts());
        drafts.is_some_and(|drafts| drafts > own)
    }

    /// Takes note of what ran. `inside`: a transaction, explicit or not, is open now.
    pub(super) fn ran(&mut self, stirs: Stirs, inside: bool) {
        self.unsettle(stirs, inside);
        if !inside {
            // Only now: whoever looks from here on knows that the catalog is another one.
            self.draft = None;
        }
    }

    fn unsettle(&mut self, stirs: Stirs, inside: bool) {
        if !stirs.any() && (inside || !self.open) {
            return;
        }
        let Some((catalog, _)) = &self.source else {
            return;
        };
        let ended = self.open && (stirs.ends || !inside);
        if stirs.definitions || ended && self.defined {
            catalog.stir();
        } else if stirs.unseen || ended && self.uncommitted {
            catalog.stir_unseen();
        }
        self.unsettled |= stirs.names() || ended;
        self.unseen |= stirs.unseen;
        if ended && !inside {
            self.open = false;
            self.uncommitted = false;
            self.defined = false;
        }
        if inside && stirs.names() {
            self.open = true;
            self.uncommitted |= stirs.definitions || stirs.unseen;
            self.defined |= stirs.definitions;
        }
    }

    /// Judges without a catalog until it can be asked again.
    pub(super) fn lose(&mut self, view: Arc<View>) {
        self.held = Held::Own(view);
        self.epoch = None;
    }
}

impl Session {
    /// Makes sure that the view holds, as far as it can be known.
    pub(super) async fn look(&mut self) -> Result<(), SessionError> {
        if self.sight.holds() {
            return Ok(());
        }
        Box::pin(self.look_again()).await
    }

    /// A statement names something the catalog does not have: true when there is a newer one now.
    pub(super) async fn look_for_missing(&mut self) -> Result<bool, SessionError> {
        let Some((catalog, _)) = &self.sight.source else {
            return Ok(false);
        };
        let catalog = Arc::clone(catalog);
        let known = self.sight.adopted.unwrap_or(0);
        if !catalog
            .missing(known, self.gateway.limits.catalog_wait)
            .await
        {
            return Ok(false);
        }
        let before = self.sight.number();
        self.look().await?;
        Ok(self.sight.number() != before)
    }

    /// Has the target say whether definitions changed, so that what people are asked about, or have decided on, is what
    /// is there now. False when that cannot be known.
    pub(super) async fn confirm(&self) -> bool {
        let Some((catalog, _)) = &self.sight.source else {
            return false;
        };
        catalog.confirm(self.gateway.limits.catalog_wait).await
    }

    /// Whether definitions changed since the view was taken, by the target's word. Asked beside the session, whose own
    /// transaction may be open; what the session itself did is not looked at.
    pub(super) async fn since(&self) -> Since {
        let Some((catalog, _)) = &self.sight.source else {
            return Since::Nothing;
        };
        if self.sight.is_blind() {
            return Since::Nothing;
        }
        let confirmed = catalog.confirmed(self.gateway.limits.catalog_wait).await;
        match confirmed {
            Current::Is(shared) if Some(shared.version) == self.sight.adopted => Since::Nothing,
            Current::Is(shared) if self.sight.is_common() => {
                let path = self.sight.path.as_ref().unwrap_or(&shared.search_path);
                Since::Changed(shared.view(path))
            }
            Current::Is(_) | Current::Unreadable | Current::Late => Since::Unknown,
        }
    }

    async fn look_again(&mut self) -> Result<(), SessionError> {
        let Some((catalog, _)) = &self.sight.source else {
            return Ok(());
        };
        let catalog = Arc::clone(catalog);
        let epoch = catalog.epoch();
        let current = catalog.current(self.gateway.limits.catalog_wait).await;
        let Current::Is(shared) = current else {
            // What the session itself sees is asked for once there is one again.
            self.sight.unsettled |= self.sight.adopted.is_some();
            self.sight.lose(View::unreadable());
            if matches!(current, Current::Unreadable) {
                // The keeper says when there is one.
                self.sight.epoch = Some(epoch);
            }
            return Ok(());
        };
        let moved = self
            .sight
            .adopted
            .is_some_and(|known| known != shared.version);
        if !self.sight.unsettled && !moved {
            if self.sight.is_shared() {
                let path = self.sight.path.as_ref().unwrap_or(&shared.search_path);
                let view = shared.view(path);
                self.sight.take(view);
                self.sight.adopted = Some(shared.version);
            }
            self.sight.epoch = Some(epoch);
            return Ok(());
        }
        let limit = self.gateway.limits.exchange_timeout;
        let asked = tokio::time::timeout(limit, self.ask_view(&catalog, &shared)).await;
        let asked = asked.map_err(|_| TargetError::Timeout)??;
        match asked {
            Ok(view) => {
                self.sight.take(view);
                self.sight.adopted = Some(shared.version);
                self.sight.unsettled = false;
                self.sight.unseen = false;
                self.sight.epoch = Some(epoch);
            }
            // Nothing of this session's own is in doubt: what it last saw is looked up in the newer catalog.
            Err(Blind::Unasked) if !self.sight.unsettled && self.sight.is_shared() => {
                let path = self.sight.path.as_ref().unwrap_or(&shared.search_path);
                let view = shared.view(path);
                self.sight.take(view);
                self.sight.forget();
            }
            Err(Blind::Unasked | Blind::Refused) => self.sight.lose(View::unsettled()),
            Err(Blind::Crowded) => self.sight.lose(View::crowded()),
        }
        Ok(())
    }

    /// Asks the session's own connection what it sees.
    async fn ask_view(
        &mut self,
        catalog: &TargetCatalog,
        shared: &Shared,
    ) -> Result<Result<Arc<View>, Blind>, SessionError> {
        if let Err(Unasked(_)) = self.may_ask().await? {
            return Ok(Err(Blind::Unasked));
        }
        let time = self.gateway.limits.exchange_timeout / 2;
        let frame = self.frame_open(time)?;
        own_statement(&mut self.target, ASK_SQL)?;
        let answer = self.own_group().await?;
        let asked = answer
            .value
            .filter(|_| answer.sqlstate.is_none())
            .and_then(|json| serde_json::from_slice::<Asked>(&json).ok());
        let Some(asked) = asked else {
            self.frame_close(frame).await?;
            return Ok(Err(Blind::Refused));
        };
        let path: Arc<[String]> = asked.path.into();
        self.sight.path = Some(Arc::clone(&path));
        self.sight.role = Some(asked.role);
        let own = self.ask_own(catalog, shared, asked.temporary).await;
        self.frame_close(frame).await?;
        let (whole, bytes) = match own? {
            Own::Nothing => return Ok(Ok(shared.view(&path))),
            Own::Refused => return Ok(Err(Blind::Refused)),
            Own::Whole(own, bytes) => (own, bytes),
            Own::Temporary(own, bytes) => {
                (shared.catalog.with_temporary(own), bytes + shared.bytes)
            }
        };
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.gateway.private_catalogs).try_acquire_many_owned(kib);
        let Ok(room) = room else {
            return Ok(Err(Blind::Crowded));
        };
        let view = View::private(&catalog.numbers, Arc::new(whole), path, room);
        Ok(Ok(view))
    }

    /// What of the catalog this session alone sees, inside a frame.
    async fn ask_own(
        &mut self,
        catalog: &TargetCatalog,
        shared: &Shared,
        temporary: bool,
    ) -> Result<Own, SessionError> {
        let doubtful = self.sight.uncommitted || self.sight.unseen;
        // Definitions that were changed in so many words are always looked for. Code that nobody has read seldom
        // changes any: looking after each run of it would be most of what the target does.
        if doubtful && (self.sight.defined || catalog.may_digest()) {
            let began = Instant::now();
            own_statement(&mut self.target, &PREPARE_SQL.replace("{scope}", ""))?;
            own_statement(&mut self.target, DIGEST_SQL)?;
            let answer = self.own_group().await?;
            catalog.digested(began.elapsed());
            if answer.sqlstate.is_some() {
                return Ok(Own::Refused);
            }
            if answer.value.as_ref() != Some(&shared.digest) {
                if self.sight.uncommitted {
                    self.sight.defined = true;
                } else {
                    // Others see it too.
                    catalog.stir();
                }
                let whole = self.ask_catalog("").await?;
                return Ok(whole.map_or(Own::Refused, |(own, bytes)| Own::Whole(own, bytes)));
            }
        }
        if !temporary {
            return Ok(Own::Nothing);
        }
        let own = self.ask_catalog("temporary").await?;
        Ok(own.map_or(Own::Refused, |(own, bytes)| Own::Temporary(own, bytes)))
    }

    /// Reads the catalog as this session sees it, inside a frame; `None` when the target does not give it.
    async fn ask_catalog(&mut self, scope: &str) -> Result<Option<(Catalog, usize)>, SessionError> {
        own_statement(&mut self.target, &PREPARE_SQL.replace("{scope}", scope))?;
        own_statement(&mut self.target, &bounded(LOAD_SQL))?;
        let answer = self.own_group_within(CATALOG_BYTES_MAX + 1024).await?;
        let Some(json) = answer.value.filter(|_| answer.sqlstate.is_none()) else {
            return Ok(None);
        };
        let bytes = json.len();
        Ok(parse(json).await.ok().map(|catalog| (catalog, bytes)))
    }
}

/// What a session sees of the catalog besides what all see.
#[derive(Debug)]
enum Own {
    Nothing,
    Refused,
    /// Its temporary relations, with the bytes they came in.
    Temporary(Catalog, usize),
    /// All of it, with what it has not committed.
    Whole(Catalog, usize),
}

/// Why there is no view.
#[derive(Debug, Clone, Copy)]
enum Blind {
    /// Nothing can be asked now.
    Unasked,
    /// The target gave no answer.
    Refused,
    Crowded,
}
