"""Compares what was said with what is true: how far off numbers are, by how they are known, and what must not be wrong at all."""

import math

KNOWN = ("exact", "at_most", "estimated", "bounded", "unknown")
# What a statement changes through a trigger is no cascade.
BY_TRIGGERS = {"audit_log"}


def judged(found, explained):
    """All figures, and under `wrong` whatever is called exact, a bound, or all there is, and is not."""
    rows, cascades, wrong = [], [], []
    for one in found:
        blast, truth = one["blast"], one["truth"]
        actual = truth["rows"] if truth["rows"] is not None else 0
        rows.append(compared(one["id"], blast["rows"], actual))
        cascades += along(one, wrong)
        rewritten(one, wrong)
    quick = [compared(one["id"], explained[one["id"]]["rows"], one["truth"]["rows"] or 0) for one in found if one["id"] in explained]
    for what, numbers in (("rows", rows), ("cascade", cascades), ("explain", quick)):
        wrong += [f"{what} {number['id']}: {number['known']} {number['said']}, but {number['actual']}" for number in numbers if not number["holds"]]
    return {
        "rows": summary(rows), "cascades": summary(cascades), "explain": summary(quick), "wrong": wrong,
        "unknown": [f"{one['id']}: {one['note']}" for one in rows + cascades if one["known"] == "unknown"],
        "held_ms": {"median": at([one["held_ms"] for one in found], 0.5), "p95": at([one["held_ms"] for one in found], 0.95)},
        "each": {"rows": rows, "cascades": cascades, "explain": quick}, "found": found,
    }


def compared(name, estimate, actual):
    known, said = estimate["source"], estimate["rows"]
    if said is None:
        known = "unknown"
    told = said is not None
    holds = {"exact": said == actual, "at_most": told and actual <= said, "bounded": told and actual > said}.get(known, True)
    ratio = None if known == "unknown" else max(said, 1) / max(actual, 1)
    return {"id": name, "known": known, "said": said, "actual": actual, "ratio": ratio, "holds": holds, "note": estimate["note"]}


def along(one, wrong):
    """Rows of other tables, by the blast radius and in truth."""
    blast, changes = one["blast"], one["truth"]["changes"]
    if blast["cascades"] is None:
        return []
    numbers, said = [], set()
    for cascade in blast["cascades"]:
        gone, written = changes.get(cascade["relation"], [0, 0])
        actual = written if cascade["action"] in ("set_null", "set_default", "update") else gone
        if one["target"] == cascade["relation"] and cascade["action"] == "delete":
            # Rows of a table that refers to itself: those the statement names are not taken along.
            actual -= one["truth"]["rows"]
        said.add(cascade["relation"])
        numbers.append(compared(f"{one['id']}: {cascade['relation']}", cascade["rows"], actual))
    changed = {relation for relation, (gone, written) in changes.items() if gone or written}
    for relation in changed - said - BY_TRIGGERS - set(one["own"]):
        wrong.append(f"cascade {one['id']}: {relation} is not told of")
    return numbers


def rewritten(one, wrong):
    said, true = one["blast"]["rewrite"], one["truth"]["rewritten"]
    if true is not None and said != "unknown" and (said != "no") != true:
        wrong.append(f"rewrite {one['id']}: said {said}, {'all' if true else 'nothing'} was written anew")


def summary(numbers):
    """By how known: how many, median and 95th percentile of estimate/actual and of how many times too many or too few."""
    found = {}
    for known in KNOWN:
        ratios = [one["ratio"] for one in numbers if one["known"] == known]
        told = [ratio for ratio in ratios if ratio is not None]
        off = [max(ratio, 1 / ratio) for ratio in told]
        found[known] = {"count": len(ratios), "ratio_median": at(told, 0.5), "ratio_p95": at(told, 0.95), "off_median": at(off, 0.5), "off_p95": at(off, 0.95)}
    return found


def at(values, share):
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)] if ordered else None


def markdown(result):
    lines = [
        "# How good the blast radius is", "",
        f"{result['statements']} statements on {result['rows_loaded']:,} rows, PostgreSQL {result['postgresql']}; a hold came after {result['held_ms']['median']:.0f} ms (median), "
        f"{result['held_ms']['p95']:.0f} ms (95th percentile).", "",
    ]
    for what, title in (("rows", "Rows of the statement itself, as its hold shows them"), ("cascades", "Rows that foreign keys and CASCADE take along"),
                        ("explain", "Rows by `abeyance explain`, which asks the target for its catalog alone")):
        lines += ["## " + title, "", "| how known | numbers | estimate/actual, median | p95 | off by a factor of, median | p95 |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
        for known, row in result[what].items():
            cells = [number(row[cell]) for cell in ("ratio_median", "ratio_p95", "off_median", "off_p95")]
            shown = {"at_most": "at most", "bounded": "more than"}.get(known, known)
            lines.append(f"| {shown} | {row['count']} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Unknown", ""] + [f"- {line}" for line in result["unknown"]] + [""]
    lines += ["## Wrong", ""] + ([f"- {line}" for line in result["wrong"]] or ["Nothing: what is called exact is, and every bound holds."]) + [""]
    lines += ["## Each", "", "| statement | said | actual | how known | note |", "| --- | ---: | ---: | --- | --- |"]
    for one in result["each"]["rows"] + result["each"]["cascades"]:
        said = "" if one["said"] is None else f"{one['said']:,}"
        lines.append(f"| {one['id']} | {said} | {one['actual']:,} | {one['known']} | {one['note'] or ''} |")
    return "\n".join(lines) + "\n"


def number(value):
    return "" if value is None else f"{value:.2f}"
