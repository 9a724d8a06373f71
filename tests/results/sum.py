#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the lines of campaigns.tsv make together, for the library of a commit (default HEAD).

    sum.py [COMMIT]
    sum.py --library [COMMIT]     only say which library that is: a hash over its folders of src/

Lines of commits with another library are left out, and counted as such.  The command line is not part of it, but for
the fuzz targets that run nothing else: theirs are lines of commits with the same files of it.  same.tsv names pairs
whose counts may be added, and says why.
"""

import collections
import functools
import hashlib
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FOLDERS = ("base", "format", "map", "memory", "table")
FOLDERS_ABOVE_A_STORE = FOLDERS + ("store", "tier")  # before there was src/tier no map had a store
OF_COMMAND_LINE = {  # what fuzz targets run that run nothing of the library
    "fuzz records": ("src/cli/record.c", "src/cli/escape.c", "tests/fuzz/fuzz_records.c", "tests/fuzz/text.c"),
    "fuzz words": ("src/cli/record.c", "src/cli/escape.c", "src/cli/request.c", "tests/fuzz/fuzz_words.c", "tests/fuzz/text.c"),
}
COUNTS = {  # what is added up, by suite: (text, pattern)
    "kill": [
        ("kills at crash states", r"killed at (\d+) of \d+ crash states"),
        ("stops", r"stopped at (\d+) instructions"),
    ],
    "torture": [("random kills", r"^(\d+) kills"), ("stops", r"(\d+) stops"), ("calls", r"(\d+) calls,")],
    "random_kill": [("random kills", r"^(\d+) kills"), ("calls", r"(\d+) calls$")],
    "lincheck": [("histories", r"^(\d+) histories"), ("checked operations", r"(\d+) operations")],
    "schedules": [("executions", r"(\d+) executions"), ("whole spaces", r"(\d+) whole spaces")],
    "fuzz": [("executions", r"^(\d+) executions"), ("seconds of a processor", r"(\d+) s of a processor")],
    "images": [("images", r"^(\d+) images"), ("failed calls", r"(\d+) failed calls")],
    "get_pure": [("readers killed", r"(\d+) readers")],
    "sweep": [("damaged images opened", r"(\d+) opens")],
    "pidns": [("kills", r"^(\d+) kills")],
}


@functools.cache
def library_of(commit):
    """A hash, or None: there is no such commit."""
    has_tiers = subprocess.run(["git", "cat-file", "-e", f"{commit}:src/tier"], cwd=HERE, capture_output=True).returncode == 0
    folders = FOLDERS_ABOVE_A_STORE if has_tiers else FOLDERS
    return hash_of(commit, [f"src/{folder}" for folder in folders])


@functools.cache
def subject_of(suite, commit):
    """What a line of the suite is about: the library, or the files that it runs in its place."""
    return hash_of(commit, OF_COMMAND_LINE[suite]) if suite in OF_COMMAND_LINE else library_of(commit)


def hash_of(commit, paths):
    done = subprocess.run(["git", "rev-parse", *(f"{commit}:{path}" for path in paths)], cwd=HERE, capture_output=True, text=True)
    return hashlib.sha256(done.stdout.encode()).hexdigest()[:12] if done.returncode == 0 else None


@functools.cache
def same_as(wanted):
    """{library: why its counts stand for the wanted one, too}, over as many steps as there are; same.tsv is in their order."""
    rows = [line.split("\t") for line in (HERE / "same.tsv").read_text().splitlines() if not line.startswith("#")]
    same = {wanted: None}
    for earlier, later, why in reversed(rows):
        if later in same:
            same[earlier] = why + (f"; and {same[later]}" if same[later] else "")
    return same


def kill_points(counted):
    """(points, builds, variants): what the folder kill*/ of such a library holds, where a point counts once."""
    for folder in sorted(HERE.glob("kill*")):
        if (folder / "library").exists() and (folder / "library").read_text().strip() in counted:
            files = sorted(folder.glob("*.tsv"))
            lines = [line.split("\t") for file in files for line in file.read_text().splitlines()]
            return sum(int(line[3]) for line in lines), len(files), len(lines)
    return 0, 0, 0


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--library"]
    commit = arguments[0] if arguments else "HEAD"
    wanted, sums = library_of(commit), collections.defaultdict(lambda: [0, 0, collections.Counter()])
    if wanted is None:
        sys.exit(f"{commit} is no commit")
    if "--library" in sys.argv:
        print(wanted)
        return
    left_out, reasons = 0, {}
    for line in (HERE / "campaigns.tsv").read_text().splitlines()[1:]:
        _, of, _, _, suite, _, counts, failures = line.split("\t")
        name = suite + (" " + re.search(r"executions of (\w+)", counts)[1] if suite == "fuzz" else "")
        counted, subject = same_as(subject_of(name, commit)), subject_of(name, of)
        if subject not in counted:
            left_out += 1
            continue
        if counted[subject]:
            reasons[subject] = counted[subject]
        entry = sums[name]
        entry[0] += 1
        entry[1] += failures != "0"
        for text, pattern in COUNTS.get(suite, []):
            entry[2][text] += sum(int(n) for n in re.findall(pattern, counts)[:1])
    print(f"library {wanted}; {left_out} lines belong to others")
    for subject, why in reasons.items():
        print(f"with those of {subject}: {why}")
    for suite, (lines, failed, counts) in sorted(sums.items()):
        print(f"{suite:14} {lines:3} runs, {failed} failed: " + ", ".join(f"{n} {text}" for text, n in counts.items() if n))
    points, builds, variants = kill_points(same_as(wanted))
    print(f"kill/          {points} kill points: every instruction of {variants} variants on {builds} builds")


if __name__ == "__main__":
    main()
