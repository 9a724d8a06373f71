# SPDX-License-Identifier: MIT
"""Run the peers in other languages; run.sh says how.  bench/README.md (Other languages) says what a worker does."""

import argparse
import csv
import glob
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
WORKLOADS = "insert get_hit get_zipf get_miss put ycsb_a ycsb_b ycsb_c ycsb_f churn".split()
KEY_BYTES, VALUE_BYTES = 16, 100
NAME = f"shoal-bench-{os.getpid()}"


class Skip(Exception):
    pass


def build(words, directory, log):
    """Run a program of a language's own tools."""
    if shutil.which(words[0]) is None:
        raise Skip(f"there is no {words[0]} here")
    with open(log, "w") as out:
        done = subprocess.run(words, cwd=directory, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Skip(f"{words[0]} failed; {log} says why")


# -- Peers: how each is built, and the words that start a worker ------------------------------------------------------

JAVA_OPENS = [
    f"--add-{kind}=java.base/{package}=ALL-UNNAMED"
    for kind, packages in (
        ("exports", ["jdk.internal.ref", "sun.nio.ch"]),
        ("opens", ["java.lang", "java.lang.reflect", "java.io", "java.util", "java.nio", "sun.nio.ch", "jdk.internal.misc"]),
    )
    for package in packages
]


def build_java(into):
    jars, classes = into / "jars", into / "classes"
    build(
        ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"], HERE / "java", into / "maven.log"
    )
    build(["javac", "-d", str(classes), "-cp", f"{jars}/*", "src/main/java/Worker.java"], HERE / "java", into / "javac.log")
    opens = JAVA_OPENS + ["--add-exports=jdk.compiler/com.sun.tools.javac.file=ALL-UNNAMED"]
    return ["java", *opens, "-Dchronicle.analytics.disable=true", "-cp", f"{classes}:{jars}/*", "Worker"]


def build_rust(into):
    # A compiler from before cargo's "edition 2024" cannot build it.
    shutil.copytree(HERE / "rust", into / "rust", dirs_exist_ok=True)
    build(["cargo", "build", "--release", "-q"], into / "rust", into / "cargo.log")
    return [str(into / "rust" / "target" / "release" / "shoal-bench-rust")]


def build_python(package, module):
    def install(into):
        venv = into / "venv"
        python = str(venv / "bin" / "python")
        if not venv.exists():
            build([sys.executable, "-m", "venv", str(venv)], into, into / "venv.log")
        build([python, "-m", "pip", "install", "-q", *package.split()], into, into / f"pip-{module}.log")
        return [python, str(HERE / "python" / "worker.py"), module]

    return install


def build_nothing(reason):
    def never(_):
        raise Skip(reason)

    return never


class Peer:
    def __init__(self, name, group, workers_most, keys_most, make, settings, file=True):
        self.name, self.group, self.workers_most, self.keys_most = name, group, workers_most, keys_most
        self.make, self.settings, self.file = make, settings, file
        self.words = None


PEERS = [
    Peer("chronicle_map", "multi-process", 64, 10**8, build_java, "Chronicle Map on tmpfs, sizes told, putReturnsNull"),
    Peer("opendiskmap", "unsafe", 1, 10**6, build_rust, "MMapFile on tmpfs, 2 entries a key; one thread; no delete"),
    Peer(
        "concurrent_diskmap",
        "unsafe",
        1,
        10**6,
        build_nothing("the crate in the registry, 0.1.0, holds no table yet"),
        "",
    ),
    Peer(
        "shared_hashmap",
        "multi-process",
        64,
        10**5,
        build_python("shared-hashmap==0.2.0", "shared_hashmap"),
        "2 buckets a key",
        file=False,
    ),
    Peer(
        "ultradict",
        "multi-process",
        64,
        10**5,
        build_python("UltraDict==0.0.6 atomics psutil", "ultradict"),
        "shared_lock, a buffer for all; each process keeps a whole dict of its own",
        file=False,
    ),
    Peer(
        "diskhash",
        "unsafe",
        1,
        10**6,
        build_python("diskhash==0.4.2", "diskhash"),
        "StructHash on tmpfs, hexadecimal keys; neither replaces nor deletes",
    ),
]


# -- A session --------------------------------------------------------------------------------------------------------


def table_bytes():
    """What the file system gave to the table, whatever files it consists of."""
    paths = [p for p in glob.glob(f"/dev/shm/{NAME}*") for p in ([p] if os.path.isfile(p) else glob.glob(p + "/*"))]
    return sum(os.stat(p).st_blocks * 512 for p in paths if os.path.isfile(p))


def clean():
    for path in glob.glob(f"/dev/shm/{NAME}*"):
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def end(processes):
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def session(peer, keys_file, keys_n, workers_n, seconds):
    """{workload: (ops, seconds)}, bytes per entry or None, error or None."""
    clean()
    limit = time.monotonic() + 120 + keys_n / 1000 + seconds * 100
    table = f"/dev/shm/{NAME}" if peer.file and peer.name != "diskhash" else NAME
    with tempfile.TemporaryDirectory() as meeting:
        outs = [open(f"{meeting}/out.{i}", "w+") for i in range(workers_n)]
        processes = [
            subprocess.Popen(
                [*peer.words, keys_file, table, str(i), str(workers_n), str(seconds), meeting],
                stdout=outs[i],
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
            )
            for i in range(workers_n)
        ]
        per_entry, error = None, None
        try:
            while any(p.poll() is None for p in processes) and not any(p.poll() for p in processes):
                if time.monotonic() > limit:
                    error = "not done in time"
                    break
                time.sleep(0.005)
                lines = [open(f"{meeting}/out.{i}").read() for i in range(workers_n)] if per_entry is None else []
                if per_entry is None and all(line.startswith("insert ") for line in lines):
                    per_entry = table_bytes() / keys_n - KEY_BYTES - VALUE_BYTES
        finally:
            end(processes)
            clean()
        found, failed = {}, None
        for out in outs:
            out.seek(0)
            for line in out.read().splitlines():
                name, *rest = line.split(" ", 1 if line.startswith("failed") else -1)
                if name == "failed":
                    failed = rest[0]
                elif name in WORKLOADS and len(rest) == 3:
                    found.setdefault(name, []).append([int(x) for x in rest])
            out.close()
        if error is None and any(p.returncode for p in processes):
            error = failed or f"ended with status {[p.returncode for p in processes]}"
    whole = {name: rows for name, rows in found.items() if len(rows) == workers_n}
    figures = {
        name: (sum(r[0] for r in rows), (max(r[2] for r in rows) - min(r[1] for r in rows)) / 1e9)
        for name, rows in whole.items()
    }
    return figures, per_entry, error


def shoal_session(program, keys_n, workers_n, seconds, work):
    out = work / "shoal.csv"
    subprocess.run(
        [program, "--peers", "shoal", "--keys", str(keys_n), "--workers", str(workers_n), "--rounds", "1", "--seconds"]
        + [str(seconds), "--latency", "none", "--workloads", ",".join(WORKLOADS), "--csv", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    rows = csv.DictReader(line for line in out.open() if not line.startswith("#"))
    return {r["workload"]: (int(r["ops"]), float(r["seconds"])) for r in rows if r["peer"] == "shoal" and r["ops"]}


# -- Report -----------------------------------------------------------------------------------------------------------


class Report:
    def __init__(self, path):
        self.out = open(path, "a") if path else None
        self.rates = {}

    def add(self, peer, group, kind, keys_n, workers_n, round_n, figures, per_entry, error):
        head = lambda workload: f"{peer},{group},{kind},{workload},{KEY_BYTES},{VALUE_BYTES},{keys_n},{workers_n},{round_n}"
        lines = []
        for workload, (ops, took) in figures.items():
            lines.append(f"{head(workload)},{ops},{took:.6f},{ops / took:.0f},,,,,,,,,,,")
            self.rates.setdefault((workload, keys_n, workers_n, peer), []).append(ops / took)
        if per_entry is not None:
            lines.append(f"{head('bytes_per_entry')},,,,{per_entry:.2f},,,,,,,,,,")
        if error:
            text = error.replace(",", " ").replace('"', " ")
            lines.append(f"{head('bytes_per_entry')},,,,,{text},,,,,,,,,")
        if self.out:
            self.out.write("".join(line + "\n" for line in lines))
            self.out.flush()

    def table(self):
        print(f"\n{'workload':16}{'keys':>9}{'workers':>9}  {'peer':20}{'M/s':>9}{'min':>9}{'max':>9}{'shoal/it':>10}")
        for (workload, keys_n, workers_n, peer), rates in sorted(self.rates.items(), key=self.order):
            ratio = self.ratio(workload, keys_n, workers_n, peer)
            print(
                f"{workload:16}{keys_n:>9}{workers_n:>9}  {peer:20}"
                f"{statistics.median(rates) / 1e6:9.3f}{min(rates) / 1e6:9.3f}{max(rates) / 1e6:9.3f}"
                + (f"{ratio[0]:10.2f}" if ratio and peer != "shoal" else "")
            )

    def order(self, item):
        (workload, keys_n, workers_n, peer), _ = item
        return WORKLOADS.index(workload), keys_n, workers_n, peer != "shoal", peer

    def ratio(self, workload, keys_n, workers_n, peer):
        """Shoal's over the peer's by medians, and whether the rounds disagree."""
        own, its = (self.rates.get((workload, keys_n, workers_n, name)) for name in ("shoal", peer))
        if not own or not its:
            return None
        sides = {a >= b for a, b in zip(own, its)}
        return statistics.median(own) / statistics.median(its), len(sides) > 1

    def rows(self, peers):
        for (workload, keys_n, workers_n, name), _ in sorted(self.rates.items(), key=self.order):
            ratio = self.ratio(workload, keys_n, workers_n, name)
            if name != "shoal" and ratio:
                group = next(p.group for p in peers if p.name == name)
                tie = " tie" if ratio[1] else ""
                print(f"ratio {group} {workload} {keys_n} {workers_n} {name} {ratio[0]:.2f}{tie}")


def prepare(peers, into):
    into.mkdir(parents=True, exist_ok=True)
    ready = []
    for peer in peers:
        try:
            peer.words = peer.make(into)
            ready.append(peer)
            print(f"peer {peer.name}: {peer.settings}", flush=True)
        except Skip as reason:
            print(f"skipped: {peer.name} ({reason})", flush=True)
    return ready


def measure(asked, peers, program, work, report):
    failures = 0
    for keys_n in asked.keys:
        keys_file = str(work / "keys")
        subprocess.run([program, "--keys", str(keys_n), "--write-keys", keys_file], check=True)
        for round_n in range(1, asked.rounds + 1):
            for workers_n in asked.workers:
                shoal = shoal_session(program, keys_n, workers_n, asked.seconds, work)
                report.add("shoal", "subject", "processes", keys_n, workers_n, round_n, shoal, None, None)
                for peer in peers:
                    if workers_n > peer.workers_most or keys_n > peer.keys_most:
                        continue
                    figures, per_entry, error = session(peer, keys_file, keys_n, workers_n, asked.seconds)
                    report.add(peer.name, peer.group, "processes", keys_n, workers_n, round_n, figures, per_entry, error)
                    if error:
                        failures += 1
                        print(f"{peer.name}, {keys_n} keys, {workers_n} workers: {error}", file=sys.stderr)
    return failures


def number(text):
    scale = {"k": 1000, "M": 1000000}.get(text[-1], 1)
    return int(text.rstrip("kM")) * scale


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--keys", type=number, action="append")
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--csv")
    asked = parser.parse_args()
    asked.keys, asked.workers = asked.keys or [100000], asked.workers or [1, 2]
    peers = prepare([p for p in PEERS if p.name in asked.peers.split(",")], asked.build / "others")
    report = Report(asked.csv)
    with tempfile.TemporaryDirectory() as work:
        measure(asked, peers, str(asked.build / "bench" / "shoal-bench"), pathlib.Path(work), report)
    report.table()
    print()
    report.rows(peers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
