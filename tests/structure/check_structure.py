#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shape of the source, as docs and style promise it.

    check_structure.py --source DIR --shared-object LIBSHOAL.SO

  floors     an include points down only: base <- format <- memory <- table <- map, and base <- store <- map;
             table and store do not see each other; programs see include/ alone
  places     system calls on memory and sleeping, and xxhash, each have one home
  exports    the shared library exports exactly the functions that the header declares
  orders     each access stronger than relaxed names its memory order; each name is listed in
             src/base/atomic.h, or in src/store/board.h for the store's page, and has a site on either side
  sizes      no file over 1000 lines, no function of src over 60

One line for each fault.  Exit status 1 if there is one.
"""

import argparse
import pathlib
import re
import subprocess
import sys

FLOORS = ["base", "format", "memory", "table", "store", "tier", "map"]
APART = {("store", floor) for floor in ("format", "memory", "table")}
ORDERS_IN = ("src/base/atomic.h", "src/store/board.h")
HOMES = {
    "sys/mman.h": "base/os.c",
    "linux/futex.h": "base/os.c",
    "sys/syscall.h": "base/os.c",
    "sys/random.h": "base/os.c",
    "sys/uio.h": "store/file.c",
    "xxhash.h": "base/hash.h",
}
FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 60
NAMES_MAX = 19

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
NAME = re.compile(r"(?<![\w\])])\[([a-z]+(?:-[a-z]+)*)\]")
READS = re.compile(r"load_acquire|load_seq|payload_read_fence")
WRITES = re.compile(r"store_release|store_seq|cas\w*\(|fetch_|exchange_|payload_write_fence|hazard_set\(")
ORDERED = re.compile(
    r"\b(?:(?:load_acquire|load_seq|store_release|store_seq|cas|fetch_add|fetch_or|fetch_and|exchange)_u\d\d"
    r"|payload_read_fence|payload_write_fence)\("
)
STATEMENT_END = re.compile(r"[;{)]\s*(?:/\*.*)?$")
STATEMENT_LINES_MAX = 3

faults = 0


def fault(text):
    global faults
    faults += 1
    print("not ok - " + text)


def sources(root, *parts):
    for part in parts:
        base = root / part
        for path in sorted(base.rglob("*")) if base.is_dir() else []:
            if path.suffix in (".c", ".h"):
                yield path


def includes(path):
    return [(kind == '"', name) for kind, name in INCLUDE.findall(path.read_text())]


# -- Floors -------------------------------------------------------------------------------------------


def check_floors(root):
    for floor_i, floor in enumerate(FLOORS):
        for path in sources(root, "src/" + floor):
            for quoted, name in includes(path):
                where = name.split("/")[0]
                if not quoted or name == "shoal/shoal.h":
                    continue
                if where not in FLOORS:
                    fault(f"{path.relative_to(root)} includes {name}, which is on no floor")
                elif FLOORS.index(where) > floor_i or (floor, where) in APART:
                    fault(f"{path.relative_to(root)} includes {name}: up or across from {floor} to {where}")


def check_programs(root):
    for path in sources(root, "src/cli", "examples"):
        for quoted, name in includes(path):
            own = (path.parent / name).is_file() and "/" not in name
            if name != "shoal/shoal.h" and (quoted or name.startswith("shoal/")) and not own:
                fault(f"{path.relative_to(root)} includes {name}: programs see include/shoal/shoal.h alone")


def check_homes(root):
    for path in sources(root, *("src/" + floor for floor in FLOORS)):
        place = str(path.relative_to(root / "src"))
        for _, name in includes(path):
            if name in HOMES and place != HOMES[name]:
                fault(f"src/{place} includes {name}, whose home is src/{HOMES[name]}")


# -- Exports -------------------------------------------------------------------------------------------


def declared(root):
    text = re.sub(r"/\*.*?\*/", "", (root / "include/shoal/shoal.h").read_text(), flags=re.S)
    return set(re.findall(r"\b(shoal_\w+)\s*\(", " ".join(re.findall(r"SHOAL_API\b[^;]*;", text))))


def exported(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True)
    words = (line.split() for line in lines.stdout.splitlines())
    return {word[-1].split("@")[0] for word in words if word[-2] != "A"}


def check_exports(root, library):
    wanted, found = declared(root), exported(library)
    for name in sorted(wanted - found):
        fault(f"the header declares {name}, the library does not export it")
    for name in sorted(found - wanted):
        fault(f"the library exports {name}, the header does not declare it")
    if not wanted:
        fault("the header declares no function")
    return len(wanted)


# -- Memory orders ----------------------------------------------------------------------------------------


def listed(root):
    """Name -> what the heads of ORDERS_IN say of it."""
    names = {}
    for place in ORDERS_IN:
        head = (root / place).read_text().split("#ifndef", 1)[0]
        parts = re.split(r"^ \*  \[([a-z-]+)\]", head, flags=re.M)
        names.update(zip(parts[1::2], parts[2::2]))
    return names


def sites(root):
    """Name -> the lines of code that carry it."""
    found = {}
    for path in sources(root, *("src/" + floor for floor in FLOORS)):
        for i, line in enumerate(path.read_text().splitlines()):
            for comment in re.findall(r"(?:/\*|^\s*\*)(.*)", line):
                for name in NAME.findall(comment):
                    found.setdefault(name, []).append((path.relative_to(root), i + 1, line.split("/*")[0]))
    return found


def unnamed(root):
    """(path, line) of each access stronger than relaxed whose statement carries no name."""
    for path in sources(root, *("src/" + floor for floor in FLOORS)):
        if str(path.relative_to(root)) in ORDERS_IN:
            continue
        lines = path.read_text().splitlines()
        for i, line in enumerate(lines):
            if not ORDERED.search(line.split("/*")[0]):
                continue
            end = i
            while not STATEMENT_END.search(lines[end]) and end < i + STATEMENT_LINES_MAX:
                end += 1
            comments = "".join(re.findall(r"/\*(.*)", "\n".join(lines[i : end + 1])))
            if not NAME.search(comments):
                yield path.relative_to(root), i + 1


def check_orders(root):
    names, used = listed(root), sites(root)
    for path, line in unnamed(root):
        fault(f"{path}:{line}: an access stronger than relaxed without the name of its order")
    if len(names) > NAMES_MAX:
        fault(f"{len(names)} names of memory orders; under 20 can be kept in mind")
    for name in sorted(set(used) - set(names)):
        path, line, _ = used[name][0]
        fault(f"{path}:{line}: [{name}] is listed in none of {', '.join(ORDERS_IN)}")
    for name, text in names.items():
        code = [c for path, _, c in used.get(name, []) if str(path) not in ORDERS_IN]
        relaxed = text.split()[0] == "relaxed"
        if not relaxed and not re.search(r"seq_cst|release:.*acquire:", text, re.S):
            fault(f"[{name}] does not say its release side and its acquire side")
        if not any(c.strip() for c in code):
            fault(f"[{name}] is listed and has no site")
        elif not relaxed:
            for side, pattern in (("release", WRITES), ("acquire", READS)):
                if not any(pattern.search(c) for c in code):
                    fault(f"[{name}] has no site on its {side} side")
    return len(names)


# -- Sizes ---------------------------------------------------------------------------------------------------


def check_files(root):
    for part in ("src", "include", "tests", "bench", "examples", "tools"):
        for path in sorted((root / part).rglob("*")):
            if path.suffix in (".c", ".h", ".py", ".sh", ".pml"):
                lines = len(path.read_text().splitlines())
                if lines > FILE_LINES_MAX:
                    fault(f"{path.relative_to(root)} has {lines} lines, {FILE_LINES_MAX} allowed")


def functions(lines):
    """(first line, lines) of each function: its body begins and ends with a brace in the first column."""
    begin = 0
    for i, line in enumerate(lines):
        if line == "{":
            begin = i
            while begin > 0 and lines[begin - 1].strip() and not lines[begin - 1].startswith(("}", "#", " *")):
                begin -= 1
        elif line.startswith("}") and lines[begin:i].count("{"):
            yield begin + 1, i + 1 - begin
            begin = i


def check_functions(root):
    n = 0
    for path in sources(root, "src"):
        for first, lines in functions(path.read_text().splitlines()):
            n += 1
            if lines > FUNCTION_LINES_MAX:
                fault(f"{path.relative_to(root)}:{first}: a function of {lines} lines, {FUNCTION_LINES_MAX} allowed")
    return n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, type=pathlib.Path)
    parser.add_argument("--shared-object", required=True)
    asked = parser.parse_args()
    check_floors(asked.source)
    check_programs(asked.source)
    check_homes(asked.source)
    exports = check_exports(asked.source, asked.shared_object)
    names = check_orders(asked.source)
    check_files(asked.source)
    n = check_functions(asked.source)
    print(f"{exports} exported functions, {names} names of memory orders, {n} functions: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
