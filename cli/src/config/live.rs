//! Which parts of a configuration a running process takes up, and which need a restart.
//!
//! Compares two files as written, before secrets are looked up: what a reference points at is read at the start only.

use std::collections::BTreeSet;

use toml::{Table, Value};

/// Sections that are taken up as a whole.
const LIVE_SECTIONS: [&str; 8] = [
    "policy", "rule", "protect", "agent", "person", "group", "schedule", "route",
];
/// Keys of a `[[target]]` that are taken up; its place and its credentials are not.
const LIVE_TARGET_KEYS: [&str; 3] = ["environment", "sessions_max", "vouched_functions"];

/// What of a configuration stays as it is until the next start.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed(Table);

impl Fixed {
    /// Of a file that was read without mistakes.
    pub fn of(source: &str) -> Option<Self> {
        let mut table: Table = source.parse().ok()?;
        for section in LIVE_SECTIONS {
            table.remove(section);
        }
        if let Some(Value::Array(targets)) = table.get_mut("target") {
            for target in targets.iter_mut().filter_map(Value::as_table_mut) {
                for key in LIVE_TARGET_KEYS {
                    target.remove(key);
                }
            }
            // Their order means nothing.
            targets.sort_by_key(name_of);
        }
        Some(Self(table))
    }

    /// What differs, as people would name it: `[proxy] listen`, `[[target]] clinic: address`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let mut found = Vec::new();
        for key in keys {
            let (one, two) = (self.0.get(key), other.0.get(key));
            if one == two {
                continue;
            }
            match (one, two) {
                (Some(Value::Table(one)), Some(Value::Table(two))) => {
                    found.extend(unequal(one, two).map(|inner| format!("[{key}] {inner}")));
                }
                (Some(Value::Array(one)), Some(Value::Array(two))) => {
                    found.extend(entries(key, one, two));
                }
                _ => found.push(format!("[{key}]")),
            }
        }
        found
    }
}

fn unequal<'a>(one: &'a Table, two: &'a Table) -> impl Iterator<Item = &'a String> {
    let keys: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
    keys.into_iter()
        .filter(|key| one.get(*key) != two.get(*key))
}

/// Entries that came, went or changed, by their names.
fn entries(key: &str, one: &[Value], two: &[Value]) -> Vec<String> {
    let named = |list: &[Value], name: &str| {
        let mut entries = list.iter();
        entries.find(|entry| name_of(entry) == name).cloned()
    };
    let names: BTreeSet<String> = one.iter().chain(two).map(name_of).collect();
    let mut found = Vec::new();
    for name in names {
        match (named(one, &name), named(two, &name)) {
            (Some(Value::Table(one)), Some(Value::Table(two))) => {
                found.extend(unequal(&one, &two).map(|inner| format!("[[{key}]] {name}: {inner}")));
            }
            (Some(one), Some(two)) if one == two => {}
            (Some(_), None) => found.push(format!("[[{key}]] {name} is gone")),
            (None, Some(_)) => found.push(format!("[[{key}]] {name} is new")),
            _ => found.push(format!("[[{key}]] {name}")),
        }
    }
    found
}

fn name_of(entry: &Value) -> String {
    let name = entry.get("name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"
[proxy]
listen = "127.0.0.1:1"
[[target]]
name = "a"
address = "h:1"
environment = "test"
[[target]]
name = "b"
address = "h:2"
[[rule]]
name = "r"
[policy]
default = "deny"
"#;

    fn differences(after: &str) -> Vec<String> {
        let (before, after) = (Fixed::of(BEFORE).unwrap(), Fixed::of(after).unwrap());
        before.differences(&after)
    }

    #[test]
    fn rules_agents_and_labels_are_taken_up() {
        let after = r#"
[[agent]]
name = "new"
[proxy]
listen = "127.0.0.1:1"
[[target]]
name = "b"
address = "h:2"
sessions_max = 3
[[target]]
name = "a"
address = "h:1"
environment = "production"
[policy]
default = "hold"
"#;
        assert_eq!(differences(after), Vec::<String>::new());
    }

    #[test]
    fn places_and_ports_need_a_restart() {
        let after = BEFORE
            .replace("127.0.0.1:1", "127.0.0.1:2")
            .replace("h:1", "h:3")
            .replace("name = \"b\"", "name = \"c\"");
        assert_eq!(
            differences(&after),
            [
                "[proxy] listen",
                "[[target]] a: address",
                "[[target]] b is gone",
                "[[target]] c is new"
            ]
        );
        assert_eq!(
            differences(&format!("{BEFORE}\n[slack]\nmode=\"socket\"")),
            ["[slack]"]
        );
    }
}
