#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `meson test` did, in a page.

    read_log.py BUILD TESTS [SUITE ...]

Prints each failure with its log, each `skipped: NAME (why)`, the time of each suite, and last the line
"N passed, N failed".  A suite (a folder of TESTS, or one of those named) without a test is a failure.
"""

import collections
import json
import pathlib
import re
import sys

NO_SUITES = {"lib", "results", "models"}  # shared code; counts of long runs; run by themselves
LOG_LINES = 60
TELLS = re.compile(r"not ok|FAIL|ERROR|LINE|[Ee]rror:|WARNING: |SUMMARY: ")


def suite_and_name(result):
    where, _, name = result["name"].rpartition(" / ")
    return where.rpartition(":")[2].split("+")[0], name


def shortened(text):
    """Of a long log the lines that tell of failures, and its end."""
    lines = text.rstrip("\n").split("\n")
    if len(lines) <= LOG_LINES:
        return lines
    half = LOG_LINES // 2
    return [line for line in lines[:-half] if TELLS.search(line)][:half] + ["..."] + lines[-half:]


def show_failure(suite, name, result):
    print(f"failed: {suite} / {name} ({result['result']}, status {result['returncode']})")
    for stream in ("stdout", "stderr"):
        for line in shortened(result.get(stream, "")):
            if line:
                print("    " + line)


def main():
    build, tests, wanted = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    log = build / "meson-logs/testlog.json"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    seconds, count, passed, failed = collections.Counter(), collections.Counter(), 0, 0
    for result in results:
        suite, name = suite_and_name(result)
        seconds[suite] += result["duration"]
        count[suite] += 1
        for line in result.get("stdout", "").splitlines():
            if line.startswith("skipped: "):
                print(line)
        if result["result"] == "OK":
            passed += 1
        elif result["result"] == "SKIP":
            print(f"skipped: {name} (it says so)")
        else:
            failed += 1
            show_failure(suite, name, result)
    folders = {path.name for path in tests.iterdir() if path.is_dir()} - NO_SUITES
    for suite in sorted(set(wanted) if wanted else folders):
        if not count[suite]:
            failed += 1
            print(f"failed: suite {suite} has no test")
    for suite in sorted(count):
        print(f"{suite:<12}{count[suite]:4} tests {seconds[suite]:8.1f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
