#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does docs/proof.md say what tests/planted/mutants.toml holds?

    check_proof.py --source DIR

  fault      each that the table of faults names is listed, and noticed by a catcher of the suite of its row
  left out   each that is listed is named there; those that nothing can notice anywhere on the page
  letter     each row's suite is named beside its letter in the table of guarantees, and no letter is without a fault

One line for each contradiction.  Exit status 1 if there is one.
"""

import argparse
import pathlib
import re
import sys
import tomllib

LETTERS = "ABCDEFGH"
NAME = re.compile(r"`(\w+)`")


def rows(text, heading):
    """The cells of each row of the table behind a heading."""
    part = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines if line[0].strip() in list(LETTERS)]


def listed(source):
    """{mutant: the suite that notices it, None = nothing can}"""
    with open(source / "tests/planted/mutants.toml", "rb") as file:
        text = tomllib.load(file)
    suites = {name: catcher["target"].split("/")[1] for name, catcher in text["catcher"].items()}
    return {m["name"]: suites[m["caught_by"]] if "caught_by" in m else None for m in text["mutant"]}


def contradictions(text, mutants):
    attackers = {row[0]: NAME.findall(row[1]) for row in rows(text, "By guarantee")}
    named, letters = set(), set()
    for letter, suite_cell, faults in (row[:3] for row in rows(text, "Faults")):
        suite = NAME.findall(suite_cell)[0]
        letters.add(letter)
        if suite not in attackers.get(letter, []):
            yield f"{letter}: {suite} is not among what attacks it"
        for name in NAME.findall(faults):
            named.add(name)
            if name not in mutants:
                yield f"{letter}: no fault {name} is listed"
            elif mutants[name] != suite:
                yield f"{letter}: {name} is noticed by {mutants[name]}, not by {suite}"
    for name, suite in mutants.items():
        if suite and name not in named:
            yield f"{name} of {suite} is left out"
        if not suite and f"`{name}`" not in text:
            yield f"{name}, which nothing can notice, is left out"
    for letter in LETTERS:
        if letter not in letters:
            yield f"{letter} is without a fault"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, type=pathlib.Path)
    source = parser.parse_args().source
    mutants = listed(source)
    found = list(contradictions((source / "docs/proof.md").read_text(), mutants))
    for text in found:
        print("not ok - docs/proof.md: " + text)
    print(f"{len(mutants)} faults: {len(found)} contradictions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
