#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The committed table for people: baselines.tsv -> baselines.md beside it, and docs/baselines.svg.

    report.py tests/results/baselines.tsv

Computes shares and sums, measures nothing.
"""

import collections
import pathlib
import sys

TITLES = {
    "shoal": "Shoal",
    "rwlock": "pthread rwlock",
    "robust_mutex": "robust mutex",
    "boost_interprocess": "Boost.Interprocess",
    "lmdb": "LMDB",
    "lmdb_writemap": "LMDB, WRITEMAP",
}
STEPS = {
    "shoal": "none",
    "rwlock": "none exists",
    "robust_mutex": "`pthread_mutex_consistent`, in the next lock",
    "boost_interprocess": "none exists",
    "lmdb": "`mdb_reader_check` by a survivor",
    "lmdb_writemap": "`mdb_reader_check` by a survivor",
}
COUNTS = [
    "instructions", "points", "blocked", "spinning", "wrong", "harness", "torn", "lost", "broken", "failed", "crashed",
    "recovered", "refused", "fresh_bytes", "room_bytes", "leaked_points", "leaked_max", "leaked_sum", "kept_points",
    "kept_max", "kept_sum", "held_max",
]  # fmt: skip
GREATEST = {"fresh_bytes", "room_bytes", "leaked_max", "kept_max", "held_max"}  # the rest adds up


def read(path):
    """Facts, and for each line of the table a dict."""
    facts, lines = {}, []
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            name, _, value = line[2:].partition(": ")
            facts[name] = value
        else:
            lines.append(line.split("\t"))
    rows = [dict(zip(lines[0], line)) for line in lines[1:]]
    for row in rows:
        for name in COUNTS:
            row[name] = int(row[name])
    return facts, rows


def joined(rows):
    total = dict(rows[0])
    for name in COUNTS:
        values = [row[name] for row in rows]
        total[name] = max(values) if name in GREATEST else sum(values)
    return total


def systems(rows):
    """(system, killed, stopped) over all operations, in the order of the file."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["system"], row["fate"]].append(row)
    for system in dict.fromkeys(row["system"] for row in rows):
        yield system, joined(groups[system, "killed"]), joined(groups[system, "stopped"])


def number(n):
    return f"{n:,}".replace(",", " ")


def percent(n, of):
    """Never 0 or 100 where it is not."""
    if n in (0, of):
        return "0 %" if n == 0 else "100 %"
    return f"{min(max(100 * n / of, 0.1), 99.9):.1f} %"


# -- The tables -------------------------------------------------------------------------------------------


def table(head, lines):
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for line in lines:
        yield "| " + " | ".join(str(cell) for cell in line) + " |"


def leak(row, kind):
    if row["blocked"] == row["points"]:
        return "not measurable"
    most = row[kind + "_max"]
    if most == 0:
        return "0 where they do not wait" if row["blocked"] else "0"
    return f"{number(most)} at {number(row[kind + '_points'])} points"


def summary(rows):
    head = ["", "kill points", "survivors wait for ever", "wrong", "bytes lost, most", "... after its recovery step",
            "recovery step", "stop points", "survivors wait", "wrong", "bytes held meanwhile, most"]  # fmt: skip
    lines = []
    for system, killed, stopped in systems(rows):
        lines.append([
            f"**{TITLES[system]}**" if system == "shoal" else TITLES[system],
            number(killed["points"]), percent(killed["blocked"], killed["points"]), number(killed["wrong"]),
            leak(killed, "leaked"), leak(killed, "kept"), STEPS[system],
            number(stopped["points"]), percent(stopped["blocked"], stopped["points"]),
            number(stopped["wrong"]), f"{number(stopped['held_max'])} of {number(stopped['room_bytes'])}",
        ])  # fmt: skip
    return table(head, lines)


def details(rows):
    head = ["system", "operation", "fate", "points", "blocked", "torn", "lost", "broken", "failed, crashed",
            "recovered", "refused", "bytes lost: points, most", "after recovery: points, most",
            "held, most"]  # fmt: skip
    lines = []
    for row in rows:
        lines.append([
            TITLES[row["system"]], row["operation"], row["fate"], number(row["points"]),
            f"{number(row['blocked'])} ({percent(row['blocked'], row['points'])})", row["torn"], row["lost"],
            row["broken"], row["failed"] + row["crashed"], number(row["recovered"]), number(row["refused"]),
            f"{number(row['leaked_points'])}, {number(row['leaked_max'])}",
            f"{number(row['kept_points'])}, {number(row['kept_max'])}",
            number(row["held_max"]) if row["fate"] == "stopped" else "",
        ])  # fmt: skip
    return table(head, lines)


HEAD = """# Killed and stopped: Shoal beside what people use instead

Made by `sh tests/baselines/table.sh BUILD`; not edited by hand."""

READING = """\
A victim process is stepped by ptrace through one operation (insert; update to a value of the same size; grow:
update to a bigger value; delete; get) and, before a chosen instruction, killed with SIGKILL or stopped with
SIGSTOP. A point is one instruction of one operation; shares are of instructions, not of time. Then a survivor
that has the map open gets, puts and deletes, on the victim's key and on others; a newcomer opens the map, does
the same, deletes everything and fills the map with records of 100 bytes. A third process has the map open
throughout and does nothing. Beside a stopped victim the survivor fills the map too, before the victim goes on.

* **wait for ever / blocked**: a survivor is asleep in a wait without timeout and nobody is left who could wake it
  (or, `spinning`, uses half a second of processor time on one operation). A survivor both reads and writes; one
  that only reads would go on in LMDB, whose readers take no lock, and beside another reader of the rwlock.
* **wrong**: `torn`, a value that nobody wrote; `lost`, neither the old nor the new value, or an acknowledged key is
  gone; `broken`, the structure contradicts itself when it is checked; a call that failed; a survivor that crashed.
* **bytes lost**: how much less fits than into a fresh map of that geometry, the one who held it being dead. Counted
  where survivors were not blocked; where they are, the whole map is out of use.
* **recovered**: points at which somebody had to mend something: EOWNERDEAD was answered, dead readers were cleared.
* **refused**: points at which a survivor's write was answered "full", though the map held two dozen keys.
* **held**: how much less fits while the victim is stopped.
  {held}

The maps under the rwlock and the robust mutex are one map (`tests/baselines/locked_map.c`), whose stores are ordered
so that a death in between costs as little as it can. A robust lock does not block survivors when its holder dies,
and does so as long as it is stopped."""


def held_text(rows):
    for system, _, stopped in systems(rows):
        if system == "shoal":
            return (
                f"Shoal's {number(stopped['held_max'])} bytes are spans (4 KiB in so small a heap, a thousandth of a "
                "large one) in\n  which the stopped process has a block, so that they cannot serve another size; it is no "
                "more after 2 100\n  calls of a survivor than after 42 (`--points 40 --rounds 100`)."
            )
    return ""


TORN_META = """
With MDB_WRITEMAP the meta page is changed in place, and nothing keeps the order of the stores. Killed before one
instruction of its commit, `mdb_txn_commit+0xd4e` in Debian's build of LMDB 0.9.24, the victim leaves survivors that die
of an assertion in `mdb_page_touch`: `baselines --system lmdb_writemap --act grow --kill-at 6735 --verbose` meets it. By
the disassembly a store of the new root follows that of the transaction's number there; that this is the cause is
inferred. It is one instruction of thousands, and not among the points of the table."""


def markdown(facts, rows):
    versions = dict.fromkeys(row["version"] for row in rows)
    yield HEAD
    yield ""
    for name, value in facts.items():
        yield f"* {name}: {f'`{value}`' if name == 'command' else value}"
    yield f"* versions: {', '.join(versions)}"
    yield ""
    yield from summary(rows)
    yield ""
    yield READING.format(held=held_text(rows))
    if any(row["system"] == "lmdb_writemap" for row in rows):
        yield TORN_META
    yield ""
    yield "## By operation"
    yield ""
    yield from details(rows)


# -- The picture --------------------------------------------------------------------------------------------

LEFT, BAR, ROW, TOP = 170, 330, 62, 78
WIDTH = LEFT + BAR + 370
COLOURS = {"killed": "#b03a2e", "stopped": "#ca8a04"}


def text(x, y, words, size=13, weight="normal", colour="#1f2937", anchor="start"):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}">{words}</text>'
    )


def bar(y, row, fate):
    share = row["blocked"] / row["points"]
    width = max(round(BAR * share), 1) if row["blocked"] else 0
    yield f'<rect x="{LEFT}" y="{y}" width="{BAR}" height="16" fill="#f3f4f6"/>'
    yield f'<rect x="{LEFT}" y="{y}" width="{width}" height="16" fill="{COLOURS[fate]}"/>'
    words = f"{fate}: {percent(row['blocked'], row['points'])}"
    inside = share > 0.4
    x, colour = (LEFT + 6, "#ffffff") if inside else (LEFT + width + 6, "#1f2937")
    yield text(x, y + 12.5, words, 11.5, colour=colour)


def costs(killed, stopped):
    """What else it costs: a short line beside each bar."""
    lost = f"bytes lost, at most: {number(killed['leaked_max'])}"
    if killed["leaked_max"] != killed["kept_max"]:
        lost += f" ({number(killed['kept_max'])} after recovery)"
    yield "for ever: the map is out of use" if killed["blocked"] else f"{lost}; wrong: {number(killed['wrong'])}"
    held = f"bytes held, at most: {number(stopped['held_max'])} of {number(stopped['room_bytes'])}"
    yield "; ".join(["until it goes on"] * (stopped["blocked"] > 0) + [held] * (stopped["held_max"] > 0))


def picture(facts, rows):
    found = list(systems(rows))
    height = TOP + ROW * len(found) + 30
    points = number(sum(killed["points"] + stopped["points"] for _, killed, stopped in found))
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" role="img" aria-label="Share of points at which survivors wait for ever">'
    )
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    question = "A process is killed, or stopped, in the middle of one operation: do the others wait?"
    what = f"Share of instructions at which they do; {points} points; insert, update, grow, delete, get"
    yield text(20, 28, question, 16, "bold")
    yield text(20, 50, what, 12, colour="#4b5563")
    for i, (system, killed, stopped) in enumerate(found):
        y = TOP + i * ROW
        yield text(20, y + 21, TITLES[system], 14, "bold" if system == "shoal" else "normal")
        yield from bar(y, killed, "killed")
        yield from bar(y + 20, stopped, "stopped")
        for k, words in enumerate(costs(killed, stopped)):
            yield text(LEFT + BAR + 14, y + 12.5 + 20 * k, words, 11.5)
    yield text(20, height - 12, f"tests/results/baselines.md; {facts.get('date', '')}", 10.5, colour="#6b7280")
    yield "</svg>"


def main():
    source = pathlib.Path(sys.argv[1])
    facts, rows = read(source)
    source.with_suffix(".md").write_text("\n".join(markdown(facts, rows)) + "\n")
    docs = source.resolve().parents[2] / "docs"
    (docs / "baselines.svg").write_text("\n".join(picture(facts, rows)) + "\n")


if __name__ == "__main__":
    main()
