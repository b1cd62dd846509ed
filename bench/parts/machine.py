"""The machine: who runs what where, and what it has cost so far."""

import os
import pwd
import platform
import signal
import socket
import subprocess
import time
from pathlib import Path

STOP_SECONDS = 10


class Placement:
    """Which processors the proxies and everything else run on."""

    def __init__(self, pin):
        every = sorted(os.sched_getaffinity(0))
        split = pin and len(every) > 1
        self.proxy = every[:1] if split else every
        self.rest = every[1:] if split else every


class Process:
    """A program that was started here and ends with the `with` block."""

    def __init__(self, command, log, cpus, user=None, env=None, cwd=None):
        self.name = Path(command[0]).name
        self.log = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                env={**os.environ, **(env or {})}, preexec_fn=lambda: os.sched_setaffinity(0, cpus), **as_user(user),
            )

    @property
    def pid(self):
        return self.child.pid

    def wait_until(self, condition, what, seconds=30):
        """Polls `condition` until it is true; fails when the program ends or time is up."""
        end = time.monotonic() + seconds
        while not condition():
            if self.child.poll() is not None or time.monotonic() > end:
                tail = Path(self.log).read_text(errors="replace")[-2000:]
                raise SystemExit(f"bench: {self.name} did not get to: {what}\n{tail}")
            time.sleep(0.02)

    def stop(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def unprivileged():
    """Who runs servers that refuse to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def as_user(name):
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def cpu_seconds(pid):
    """User and system time of a process so far, all its threads, ended ones included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"bench: process {pid} has no VmRSS")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def describe():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"processor": model, "processors": os.cpu_count(), "kernel": platform.release(), "load_at_start": os.getloadavg()[0]}
