use super::*;

fn seen(text: &str) -> Option<Retypes> {
    let text = text.to_owned();
    pool::submit(move || look(&text, true)).wait().flatten()
}

#[test]
fn columns_and_types_are_taken_from_the_text() {
    let found = seen(
        "ALTER TABLE s.t ALTER a TYPE varchar(50), ALTER b TYPE numeric(12,2) USING b + 1, \
         ALTER c TYPE s.kind[] USING c::s.kind[], ALTER d TYPE int USING d, ADD e int",
    )
    .unwrap();
    assert_eq!(found.table.to_string(), "s.t");
    assert_eq!(found.others, Rewrite::No);
    let shown: Vec<_> = found
        .columns
        .iter()
        .map(|one| (&*one.column, &*one.to, &one.modifiers[..], one.computed))
        .collect();
    let want: Vec<(&str, &str, &[i32], bool)> = vec![
        ("a", "\"pg_catalog\".\"varchar\"", &[50], false),
        ("b", "\"pg_catalog\".\"numeric\"", &[12, 2], true),
        ("c", "\"s\".\"kind\"[]", &[], false),
        ("d", "\"pg_catalog\".\"int4\"", &[], false),
    ];
    assert_eq!(shown, want);
    let with = seen("ALTER TABLE t ALTER a TYPE text, SET LOGGED").unwrap();
    assert_eq!(with.others, Rewrite::Yes);
    assert_eq!(seen("DROP TABLE t"), None);
}

/// Measured on PostgreSQL 15: whether `pg_relation_filenode` changed.
#[test]
fn rewrites_are_the_servers() {
    use Rewrite::{No, Possible, Yes};
    let types = |old, old_modifier, new, cast| Types {
        old,
        new,
        old_modifier,
        old_is_domain: false,
        checked: false,
        cast,
        utc: false,
    };
    let (text, int4, int8, inet, cidr, interval) = (25, 23, 20, 869, 650, 1186);
    for (to, types, want) in [
        ("bigint", types(int4, -1, int8, Some('f')), Yes),
        (
            "varchar(50)",
            types(oid::VARCHAR, 24, oid::VARCHAR, None),
            No,
        ),
        (
            "varchar(20)",
            types(oid::VARCHAR, 24, oid::VARCHAR, None),
            No,
        ),
        (
            "varchar(12)",
            types(oid::VARCHAR, 24, oid::VARCHAR, None),
            Yes,
        ),
        (
            "varchar(50)",
            types(oid::VARCHAR, -1, oid::VARCHAR, None),
            Yes,
        ),
        ("varchar", types(oid::VARCHAR, 24, oid::VARCHAR, None), No),
        ("text", types(oid::VARCHAR, 24, text, Some('b')), No),
        ("varchar", types(text, -1, oid::VARCHAR, Some('b')), No),
        ("varchar(50)", types(text, -1, oid::VARCHAR, Some('b')), Yes),
        ("text", types(oid::BPCHAR, 8, text, Some('f')), Yes),
        ("char(6)", types(oid::BPCHAR, 8, oid::BPCHAR, None), Yes),
        ("char(4)", types(oid::BPCHAR, 8, oid::BPCHAR, None), No),
        (
            "numeric(12,2)",
            types(oid::NUMERIC, (10 << 16 | 2) + 4, oid::NUMERIC, None),
            No,
        ),
        (
            "numeric(8,2)",
            types(oid::NUMERIC, (10 << 16 | 2) + 4, oid::NUMERIC, None),
            Yes,
        ),
        (
            "numeric(12,3)",
            types(oid::NUMERIC, (10 << 16 | 2) + 4, oid::NUMERIC, None),
            Yes,
        ),
        (
            "numeric",
            types(oid::NUMERIC, (10 << 16 | 2) + 4, oid::NUMERIC, None),
            No,
        ),
        (
            "timestamp(6)",
            types(oid::TIMESTAMP, 3, oid::TIMESTAMP, None),
            No,
        ),
        (
            "timestamp(0)",
            types(oid::TIMESTAMP, 3, oid::TIMESTAMP, None),
            Yes,
        ),
        (
            "timestamptz",
            types(oid::TIMESTAMP, -1, oid::TIMESTAMPTZ, Some('f')),
            Yes,
        ),
        ("inet", types(cidr, -1, inet, Some('b')), No),
        ("interval(3)", types(interval, -1, interval, None), Possible),
        ("int USING a * 2", types(int4, -1, int4, None), Yes),
    ] {
        let found = seen(&format!("ALTER TABLE t ALTER a TYPE {to}")).unwrap();
        assert_eq!(found.columns[0].rewrites(&types), want, "{to} {types:?}");
    }
    let utc = Types {
        utc: true,
        ..types(oid::TIMESTAMP, -1, oid::TIMESTAMPTZ, Some('f'))
    };
    let found = seen("ALTER TABLE t ALTER a TYPE timestamptz").unwrap();
    assert_eq!(found.columns[0].rewrites(&utc), No);
    let checked = Types {
        checked: true,
        ..types(text, -1, text, None)
    };
    let found = seen("ALTER TABLE t ALTER a TYPE room_code").unwrap();
    assert_eq!(found.columns[0].rewrites(&checked), Yes);
}
