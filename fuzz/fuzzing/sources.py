"""PostgreSQL's own test scripts, from Debian's source package and the development package of the same version."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

WANTED = ("/src/test/regress/", "/src/test/isolation/specs/", "/src/pl/", "/contrib/", "/src/test/modules/")


def fetch(folder):
    """The unpacked tree below `folder`; fetched with apt-get unless it is there. Nothing is installed."""
    tree = folder / "tree"
    if tree.exists():
        return tree
    folder.mkdir(parents=True, exist_ok=True)
    apt(folder, "update")
    apt(folder, "source", "--download-only", "postgresql-15")
    archives = sorted(folder.glob("postgresql-15_*.orig.tar.*"))
    if not archives:
        raise SystemExit("fuzz: the source package of postgresql-15 is not to be had here")
    partial = folder / "tree.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(archives[-1]) as archive:
        for member in archive:
            below = "/" + member.name.partition("/")[2]
            if below.startswith(WANTED) and (member.isfile() or member.isdir()):
                member.name = below.lstrip("/")
                archive.extract(member, partial, filter="data")
    partial.rename(tree)
    return tree


def apt(folder, *words):
    """apt-get with source entries and lists of its own: the machine's stay as they are."""
    folder = folder.resolve()
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f"[signed-by={keyring}] " if keyring.exists() else ""
    (folder / "sources.list").write_text("".join(f"deb-src {signed}{uri} {suite} main\n" for uri, suite in archives()))
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    options = [f"Dir::Etc::sourcelist={folder}/sources.list", "Dir::Etc::sourceparts=/dev/null", f"Dir::State::lists={folder}/lists"]
    command = ["apt-get", "-q", *(word for option in options for word in ("-o", option)), *words]
    if subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL).returncode:
        raise SystemExit(f"fuzz: apt-get {words[0]} failed")


def archives():
    """Where this machine has Debian's packages from: (address, suite)."""
    form = "$(REPO_URI) $(CODENAME) $(COMPONENT) $(LABEL)"
    listed = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], capture_output=True, text=True).stdout
    found = sorted({(uri, suite) for uri, suite, component, label in map(str.split, listed.splitlines())
                    if component == "main" and label == "Debian"})
    if not found:
        raise SystemExit("fuzz: apt knows no packages of Debian's here (apt-get update?)")
    return found


def regress_library(folder, tree):
    """`regress.so`, whose C functions the scripts use, in a folder of its own; None where it cannot be built."""
    library = folder / "lib"
    if (library / "regress.so").exists():
        return library
    headers = folder / "dev"
    if not headers.exists():
        version = subprocess.run(["dpkg-query", "-Wf", "${Version}", "postgresql-15"], capture_output=True, text=True).stdout
        if subprocess.run(["apt-get", "-q", "download", f"postgresql-server-dev-15={version}"], cwd=folder, stdout=subprocess.DEVNULL).returncode:
            return None
        package = next(folder.glob("postgresql-server-dev-15_*.deb"))
        subprocess.run(["dpkg", "-x", package, headers], check=True)
    library.mkdir(exist_ok=True)
    include = headers / "usr/include/postgresql/15/server"
    done = subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-w", "-I", include, "-I", "/usr/include/postgresql",
                           "-o", library / "regress.so", tree / "src/test/regress/regress.c"])
    return library if done.returncode == 0 else None


def scripts(tree):
    """(database, file) in the order in which PostgreSQL's own schedules run them."""
    regress = tree / "src/test/regress"
    for line in (regress / "parallel_schedule").read_text().splitlines():
        if line.startswith("test:"):
            for name in line.split()[1:]:
                yield "regression", regress / "sql" / f"{name}.sql"
    for folder in sorted([*(tree / "contrib").glob("*/sql"), *(tree / "src/pl").glob("*/sql"), *(tree / "src/pl").glob("*/*/sql"),
                          *(tree / "src/test/modules").glob("*/sql")]):
        for path in sorted(folder.glob("*.sql")):
            yield "contrib_" + folder.parent.name.replace("-", "_"), path
