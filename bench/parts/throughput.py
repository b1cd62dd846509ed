"""pgbench -S by each way in turn: processor time of the proxy per query, and latency."""

import glob
import os
import re
import statistics
import subprocess
import sys

from . import machine, servers

MODES = ("simple", "extended", "prepared")

PROGRESS = re.compile(r"progress: ([\d.]+) s, ([\d.]+) tps")


def measure(ways, args, scratch, placement):
    """One row per mode, number of clients and way; the median of the rounds."""
    rows = []
    for mode in args.modes:
        for clients in args.clients:
            runs = {name: [] for name in ways}
            for turn in range(args.rounds):
                for name in rotated(list(ways), turn):
                    print(f"bench: {mode}, {clients} clients, {name}, round {turn + 1}", file=sys.stderr)
                    runs[name].append(run(ways[name], name, mode, clients, args.seconds, scratch, placement))
            rows += [{"mode": mode, "clients": clients, "way": name, **median(found)} for name, found in runs.items()]
    return rows


def rotated(names, turn):
    """Nobody always goes first: the first to run finds a machine in another state."""
    turn %= len(names)
    return names[turn:] + names[:turn]


def run(way, name, mode, clients, seconds, scratch, placement):
    """One pgbench run. Its first second is for connecting and warming up, and is not counted."""
    prefix = scratch / "latency"
    command = [
        str(servers.postgres_bin() / "pgbench"), "-n", "-S", "-M", mode, "-c", str(clients), "-j", str(min(clients, 2)),
        "-T", str(seconds + 1), "-P", "1", "-l", "--log-prefix", str(prefix), servers.DATABASE,
    ]
    pgbench = subprocess.Popen(command, env=servers.client_env(way.port), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, preexec_fn=lambda: os.sched_setaffinity(0, placement.rest))
    samples, lines = [], []
    for line in pgbench.stderr:
        lines.append(line)
        if found := PROGRESS.match(line):
            samples.append((float(found[1]), float(found[2]), machine.cpu_seconds(way.pid)))
    if pgbench.wait() or len(samples) < 2:
        raise SystemExit(f"bench: pgbench failed by way of {name}\n{''.join(lines[-5:])}")
    queries = sum(tps * (now - before) for (before, _, _), (now, tps, _) in zip(samples, samples[1:]))
    elapsed = samples[-1][0] - samples[0][0]
    latencies = sorted(logged(prefix, elapsed))
    return {
        "tps": queries / elapsed,
        # The database forks a process a client, so its own figure would mean nothing.
        "cpu_us_per_query": None if name == "direct" else (samples[-1][2] - samples[0][2]) * 1e6 / queries,
        "p50_us": at(latencies, 0.50),
        "p99_us": at(latencies, 0.99),
    }


def logged(prefix, seconds):
    """Latencies in microseconds from pgbench's logs, without those of the warm-up."""
    entries = []
    for path in glob.glob(f"{prefix}.*"):
        with open(path) as log:
            entries += [(int(second) + int(micros) / 1e6, int(latency)) for _, _, latency, _, second, micros in map(str.split, log)]
        os.unlink(path)
    start = max(when for when, _ in entries) - seconds
    return [latency for when, latency in entries if when >= start]


def at(ordered, share):
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def median(runs):
    return {key: None if runs[0][key] is None else statistics.median(one[key] for one in runs) for key in runs[0]}
