# SPDX-License-Identifier: MIT
"""Branches taken, by file, from what `llvm-cov export` says; the others, by line, into a file.

    coverage_left.py EXPORT.json LEFT.txt LEAST

A condition counts twice: once for each way out of it.  Exit status 1 if less than LEAST per cent were taken.
"""

import collections
import json
import pathlib
import sys

FOLDERS = ("src/memory", "src/table")


def source_of(name):
    """src/memory/heap.c, or None: not of interest."""
    at = name.rfind("src/")
    path = name[at:] if at >= 0 else ""
    return path if path.startswith(FOLDERS) and pathlib.Path(path).exists() else None


def read(export):
    """{file: {(line, column): [taken, not taken]}}; a function that several programs hold counts once."""
    files = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for unit in json.loads(pathlib.Path(export).read_text())["data"]:
        for file in unit["files"]:
            path = source_of(file["filename"])
            if path is None:
                continue
            for branch in file["branches"]:
                ways = files[path][branch[0], branch[1]]
                ways[0] += branch[4]
                ways[1] += branch[5]
    return files


def main(export, left, least):
    files, all_n, taken_n = read(export), 0, 0
    with open(left, "w", encoding="utf-8") as out:
        for path in sorted(files):
            source = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
            n = 2 * len(files[path])
            missed = [(at, way) for at, ways in sorted(files[path].items()) for way in (0, 1) if ways[way] == 0]
            print(f"{path:28} {n - len(missed):4} of {n:4} branches, {100 * (n - len(missed)) / n:5.1f} %")
            for (line, column), way in missed:
                what = "never true" if way == 0 else "never false"
                out.write(f"{path}:{line}:{column}: {what}: {source[line - 1].strip()}\n")
            all_n += n
            taken_n += n - len(missed)
    if all_n == 0:
        sys.exit("no branch of " + ", ".join(FOLDERS) + " was found")
    print(f"coverage: {taken_n} of {all_n} branches of {' and '.join(FOLDERS)}, {100 * taken_n / all_n:.2f} %")
    return 0 if 100 * taken_n >= float(least) * all_n else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
