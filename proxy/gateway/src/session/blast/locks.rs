//! Which locks a statement takes, and whom they get in the way of.
//!
//! Pure. Modes and conflicts are the manual's (chapter 13.3); which relations are locked besides those that
//! are named was measured (`tests/corpus/pg15_locks.txt`).

use std::collections::{BTreeMap, BTreeSet};

use abeyance_sql::{StatementFacts, TableLock};
use serde_json::Value;

use super::{
    cascade::Cascades,
    neighbours::{Neighbours, Oid},
};

/// The strongest lock on each relation.
pub(super) type Locks = BTreeMap<Oid, TableLock>;

/// Other sessions in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InTheWay {
    /// They hold a lock that conflicts, or wait for one.
    pub(super) all: u64,
    /// They hold it.
    pub(super) holding: u64,
}

/// What a statement locks: the relations it names in its own mode, and what hangs on them.
pub(super) fn taken(
    facts: &StatementFacts,
    near: &Neighbours,
    roots: &BTreeSet<Oid>,
    cascades: &[&Cascades],
) -> Locks {
    let mut locks = Locks::new();
    let own = facts.impact.lock;
    for root in roots {
        add(&mut locks, near.family(*root), own);
    }
    match facts.kind.as_str() {
        "TRUNCATE" if facts.impact.cascades => {
            add(&mut locks, near.truncated_along(roots), own);
        }
        // The keys of other tables to this one go, and this one's keys to others.
        "DROP TABLE" => {
            let family: BTreeSet<Oid> = roots.iter().flat_map(|root| near.family(*root)).collect();
            for key in &near.foreign_keys {
                if family.contains(&key.to) && facts.impact.cascades {
                    add(&mut locks, near.family(key.from), own);
                } else if family.contains(&key.from) {
                    add(&mut locks, near.family(key.to), own);
                }
            }
        }
        _ if own == TableLock::RowExclusive => {
            for key in &near.foreign_keys {
                if roots.contains(&key.from) && !roots.contains(&key.to) {
                    add(&mut locks, BTreeSet::from([key.to]), TableLock::RowShare);
                }
            }
        }
        _ => {}
    }
    for hit in cascades.iter().flat_map(|found| &found.hits) {
        add(&mut locks, near.family(hit.table), TableLock::RowExclusive);
    }
    locks
}

fn add(locks: &mut Locks, relations: BTreeSet<Oid>, mode: TableLock) {
    if mode == TableLock::None {
        return;
    }
    for relation in relations {
        let strongest = locks.entry(relation).or_insert(mode);
        *strongest = mode.max(*strongest);
    }
}

/// The mode's name in the manual.
pub(super) const fn name(mode: TableLock) -> &'static str {
    match mode {
        TableLock::None => "NONE",
        TableLock::AccessShare => "ACCESS SHARE",
        TableLock::RowShare => "ROW SHARE",
        TableLock::RowExclusive => "ROW EXCLUSIVE",
        TableLock::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
        TableLock::Share => "SHARE",
        TableLock::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
        TableLock::Exclusive => "EXCLUSIVE",
        TableLock::AccessExclusive => "ACCESS EXCLUSIVE",
    }
}

/// A mode as `pg_locks` names it.
fn mode_of(name: &str) -> Option<TableLock> {
    Some(match name {
        "AccessShareLock" => TableLock::AccessShare,
        "RowShareLock" => TableLock::RowShare,
        "RowExclusiveLock" => TableLock::RowExclusive,
        "ShareUpdateExclusiveLock" => TableLock::ShareUpdateExclusive,
        "ShareLock" => TableLock::Share,
        "ShareRowExclusiveLock" => TableLock::ShareRowExclusive,
        "ExclusiveLock" => TableLock::Exclusive,
        "AccessExclusiveLock" => TableLock::AccessExclusive,
        _ => return None,
    })
}

/// Whether two sessions cannot hold these at the same time.
pub(super) fn conflicts(a: TableLock, b: TableLock) -> bool {
    use TableLock as L;
    let (weak, strong) = if a <= b { (a, b) } else { (b, a) };
    match weak {
        L::None => false,
        L::AccessShare => strong == L::AccessExclusive,
        L::RowShare => strong >= L::Exclusive,
        L::RowExclusive => strong >= L::Share,
        L::ShareUpdateExclusive => strong >= L::ShareUpdateExclusive,
        // The only one of these that two sessions can hold.
        L::Share => strong != L::Share,
        L::ShareRowExclusive | L::Exclusive | L::AccessExclusive => true,
    }
}

/// Reads the answer to `locks.sql`. `None` when it is not one.
pub(super) fn in_the_way(json: &[u8], locks: &Locks) -> Option<InTheWay> {
    let rows: Vec<(i64, Oid, String, bool)> = match serde_json::from_slice(json).ok()? {
        Value::Array(rows) => rows
            .into_iter()
            .map(|row| serde_json::from_value(row).ok())
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let mut all = BTreeSet::new();
    let mut holding = BTreeSet::new();
    for (pid, relation, mode, granted) in rows {
        let theirs = mode_of(&mode)?;
        let ours = locks.get(&relation).copied().unwrap_or(TableLock::None);
        if conflicts(ours, theirs) {
            all.insert(pid);
            if granted {
                holding.insert(pid);
            }
        }
    }
    Some(InTheWay {
        all: all.len() as u64,
        holding: holding.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the manual, chapter 13.3.1, rows and columns from the weakest mode on.
    #[test]
    fn conflicts_are_the_manuals() {
        use TableLock as L;
        let modes = [
            L::AccessShare,
            L::RowShare,
            L::RowExclusive,
            L::ShareUpdateExclusive,
            L::Share,
            L::ShareRowExclusive,
            L::Exclusive,
            L::AccessExclusive,
        ];
        let manual = [
            ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
            "XXXXXXXX",
        ];
        for (a, line) in modes.iter().zip(manual) {
            for (b, cell) in modes.iter().zip(line.chars()) {
                assert_eq!(conflicts(*a, *b), cell == 'X', "{a:?} {b:?}");
            }
        }
        assert!(!conflicts(L::None, L::AccessExclusive));
    }

    #[test]
    fn sessions_are_counted_once_and_only_where_they_are_in_the_way() {
        let json = br#"[[7,100,"AccessShareLock",true],[7,101,"RowExclusiveLock",true],
            [8,100,"AccessExclusiveLock",false],[9,102,"AccessExclusiveLock",true]]"#;
        let locks = Locks::from([
            (100, TableLock::AccessExclusive),
            (101, TableLock::AccessExclusive),
        ]);
        let found = in_the_way(json, &locks).unwrap();
        assert_eq!(found, InTheWay { all: 2, holding: 1 });
        let harmless = Locks::from([(100, TableLock::RowShare)]);
        let found = in_the_way(json, &harmless).unwrap();
        assert_eq!(found, InTheWay { all: 1, holding: 0 });
        assert_eq!(in_the_way(b"{}", &locks), None);
        assert_eq!(in_the_way(br#"[[1,100,"NewLock",true]]"#, &locks), None);
    }
}
