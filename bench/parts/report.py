"""The result as a page for people."""


def markdown(result):
    machine = result["machine"]
    lines = [
        "# What Abeyance costs", "",
        f"{machine['processors']} processors ({machine['processor']}), kernel {machine['kernel']}, load {machine['load_at_start']:.1f} at the start.", "",
    ]
    if "throughput" in result:
        lines += throughput(result)
    if "texts" in result:
        lines += texts(result["texts"])
    if "held" in result:
        lines += held(result["held"])
    return "\n".join(lines) + "\n"


def throughput(result):
    settings = result["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    pinned = "proxies pinned to one processor" if settings["pinned"] else "not pinned"
    lines = [
        "## Queries that pass", "",
        f"`pgbench -S`, {settings['rounds']} rounds of {settings['seconds']} s a cell in turns, medians; {pinned}; {versions}.",
        "Processor time is the proxy process's own. Added latency is the median of all queries, less the direct one.", "",
        "| mode | clients | way | queries/s | CPU µs/query | p50 µs | p99 µs | added p50 µs |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    direct = {(row["mode"], row["clients"]): row for row in result["throughput"] if row["way"] == "direct"}
    for row in result["throughput"]:
        base = direct.get((row["mode"], row["clients"]))
        added = "" if row["way"] == "direct" or not base else f"{row['p50_us'] - base['p50_us']:.0f}"
        cpu = "" if row["cpu_us_per_query"] is None else f"{row['cpu_us_per_query']:.1f}"
        lines.append(f"| {row['mode']} | {row['clients']} | {row['way']} | {row['tps']:.0f} | {cpu} | {row['p50_us']:.0f} | {row['p99_us']:.0f} | {added} |")
    return lines + [""]


def texts(rows):
    lines = [
        "## Reading statements", "",
        "Processor time of the proxy for each statement of a simple query, at 4 clients: a text that comes again, and one whose",
        "literals are always new, so that it is read, resolved and judged each time.", "",
        "| statement | again µs | new µs |", "| --- | ---: | ---: |",
    ]
    return lines + [f"| {row['text']} | {row['cached_us']:.1f} | {row['uncached_us']:.1f} |" for row in rows] + [""]


def held(found):
    kib = 1024
    return [
        "## Sessions that wait", "",
        f"{found['sessions']} sessions held at once in one process, each with its own connection to the database.", "",
        "| what | value |", "| --- | ---: |",
        f"| resident memory, no session | {found['rss_empty'] / kib / kib:.1f} MiB |",
        f"| per connected session | {found['bytes_per_idle_session'] / kib:.1f} KiB |",
        f"| per held session, connection included | {found['bytes_per_held_session'] / kib:.1f} KiB |",
        f"| all held after | {found['hold_seconds']:.2f} s |",
        f"| processor time while all wait | {found['idle_cpu_percent']:.2f} % of one processor |",
        f"| all approved through the API after | {found['approve_seconds']:.2f} s |",
        f"| all resumed and finished after | {found['resume_seconds']:.2f} s |",
        f"| rows changed | {found['rows_changed']} |", "",
    ]
