#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shoal program: every command, its output, its exit statuses.

    test_cli.py SHOAL [WORD ...]      only the tests whose names hold one of the words

One line for each check: "ok - ..." or "not ok - ...".  Exit status 1 if one failed.
"""

import base64
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time

SHOAL = os.path.abspath(sys.argv[1])
NAME = f"cli.{os.getpid()}"
failed = 0


def check(holds, what, *seen):
    global failed
    print(("ok" if holds else "not ok") + " - " + what, flush=True)
    if not holds:
        failed += 1
        for thing in seen:
            print(f"    {thing!r}", flush=True)


class Run:
    def __init__(self, *words, stdin=b"", **options):
        done = subprocess.run([SHOAL, *words], input=stdin, capture_output=True, timeout=60, **options)
        self.words, self.status, self.out, self.err = words, done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"shoal {' '.join(map(repr, self.words))[:200]}: {self.status}, {self.out[:300]!r}, {self.err[:300]!r}"

    def json(self):
        return json.loads(self.out)


def expect(status, *words, out=None, err=None, stdin=b"", what=None):
    """Run; check the status, stdout exactly, stderr by a pattern, and that failures and only they speak."""
    run = Run(*words, stdin=stdin)
    holds = run.status == status and (out is None or run.out == out)
    if err is not None:
        holds = holds and re.search(err, run.err.decode("utf-8")) is not None
    holds = holds and (run.err == b"" if status == 0 else run.err.startswith(b"shoal"))
    shown = " ".join(w if isinstance(w, str) and len(w) < 60 else "..." for w in words)
    check(holds, what or f"shoal {shown}: {status}", run)
    return run


def fresh(*options):
    Run("rm", NAME)
    run = Run("create", NAME, *options)
    if run.status != 0:
        check(False, "create", run)


def records(map_name=NAME):
    """The map by its JSON dump: {key: (type, value)} in bytes."""
    found = {}
    for line in Run("dump", map_name).out.splitlines():
        record = json.loads(line)
        value = record["value"] if "value" in record else base64.b64decode(record["value_base64"])
        if isinstance(value, str):
            value = value.encode()
        key = record["key"].encode() if "key" in record else base64.b64decode(record["key_base64"])
        found[key] = (record.get("type", "raw"), value)
    return found


# -- One key -------------------------------------------------------------------------


def test_get_put_add_del():
    fresh()
    expect(1, "get", NAME, "a", out=b"", err="shoal: a: ")
    expect(0, "put", NAME, "a", "one", out=b"")
    expect(0, "get", NAME, "a", out=b"one")
    expect(1, "add", NAME, "a", "two", out=b"", err="shoal: a: ")
    expect(0, "get", NAME, "a", out=b"one", what="add left the value as it was")
    expect(0, "add", NAME, "b", "two", out=b"")
    expect(0, "put", NAME, "a", "", what="an empty value")
    expect(0, "get", NAME, "a", out=b"")
    expect(0, "del", NAME, "a", out=b"")
    expect(1, "del", NAME, "a", err="shoal: a: ")
    expect(0, "put", NAME, "--", "-k", "-v", what="-- before a key that begins with -")
    expect(0, "get", NAME, "--", "-k", out=b"-v")


def test_values_from_stdin():
    fresh("--heap", "64M")
    big = os.urandom(5_000_000)
    expect(0, "put", NAME, "big", "-", stdin=big, what="5 MB from standard input")
    expect(0, "get", NAME, "big", out=big, what="the same 5 MB to standard output")
    expect(0, "put", NAME, "nul", "-", stdin=b"a\0b\xff\n")
    expect(0, "get", NAME, "nul", out=b"a\0b\xff\n")
    expect(0, "put", NAME, "dash", "--escaped", "\\x2d", what="a lone - as a value")
    expect(0, "get", NAME, "dash", out=b"-")


def test_escaped_arguments():
    fresh()
    expect(0, "put", "--escaped", NAME, r"k\x00\xff\t\\", r"v\n\r")
    expect(0, "get", "--escaped", NAME, r"k\x00\xff\t\\", out=b"v\n\r")
    expect(0, "list", NAME, out=b"k\\x00\\xff\\t\\\\\n")
    expect(0, "list", NAME, "--escaped", "--prefix", r"k\x00", out=b"k\\x00\\xff\\t\\\\\n")
    expect(2, "get", "--escaped", NAME, r"k\q", err="backslash")
    expect(0, "del", "--escaped", NAME, r"k\x00\xff\t\\")


def test_incr():
    fresh()
    expect(0, "incr", NAME, "n", out=b"1\n")
    expect(0, "incr", NAME, "n", "41", out=b"42\n")
    expect(0, "incr", NAME, "n", "-2", out=b"40\n", what="a negative number is a DELTA")
    expect(0, "incr", NAME, "n", "-2", "--json", what="and with an option behind it")
    expect(0, "incr", NAME, "--", "n", "-8", out=b"30\n")
    expect(0, "get", NAME, "n", out=b"30\n", what="get prints an integer in decimal")
    expect(0, "get", "--raw", NAME, "n", out=(30).to_bytes(8, sys.byteorder), what="get --raw prints its bytes")
    expect(0, "incr", NAME, "max", str(2**63 - 1), out=b"9223372036854775807\n")
    expect(0, "incr", NAME, "max", out=b"-9223372036854775808\n", what="overflow wraps")
    expect(2, "incr", NAME, "n", str(2**63), err="not an integer")
    expect(2, "incr", NAME, "n", "1x", err="not an integer")
    expect(0, "put", NAME, "text", "12")
    expect(2, "incr", NAME, "text", what="incr of a value that is no integer: usage")
    expect(0, "get", NAME, "text", out=b"12")


def test_types_and_versions():
    fresh()
    expect(0, "put", "--type", "i64", NAME, "n", "7")
    expect(0, "incr", NAME, "n", out=b"8\n")
    expect(2, "put", "--type", "i64", NAME, "n", "seven", err="not an integer")
    expect(2, "put", "--type", "nonsense", NAME, "n", "7", err="type")
    expect(2, "put", "--type", "256", NAME, "n", "7", err="type")
    expect(0, "put", "--type", "200", NAME, "u", "x")
    run = expect(0, "get", "--json", NAME, "u")
    check(run.json()["type"] == 200 and run.json()["value"] == "x", "a type of the application's own", run)
    first = Run("put", "--json", NAME, "v", "1").json()["version"]
    check(first.isdigit(), "put --json tells the version")
    second = expect(0, "put", "--json", "--if-version", first, NAME, "v", "2").json()["version"]
    expect(1, "put", "--if-version", first, NAME, "v", "3", err="shoal: v: ")
    expect(1, "put", "--if-version", "0", NAME, "v", "3")
    expect(0, "put", "--if-version", "0", NAME, "w", "3")
    expect(1, "del", "--if-version", first, NAME, "v")
    check(Run("get", "--json", NAME, "v").json()["version"] == second, "get --json tells the same version")
    expect(0, "del", "--if-version", second, NAME, "v")


# -- JSON ------------------------------------------------------------------------------


def test_json_everywhere():
    fresh()
    for words in (["put", NAME, "k", "v"], ["get", NAME, "k"], ["incr", NAME, "n", "5"], ["stat", NAME],
                  ["check", NAME], ["reap", NAME], ["add", NAME, "j", "v"], ["del", NAME, "j"],
                  ["rm", NAME], ["create", NAME]):
        run = Run(*words, "--json")
        answer = run.json() if run.out else {}
        check(run.status == 0 and answer.get("code") == 0 and answer.get("result") == "done" and
              run.out.count(b"\n") == 1, f"{words[0]} --json: done", run)
    fresh()
    expect(0, "put", NAME, "k", "v")
    for code, result, status, words in (
            (1, "missing", 1, ["get", NAME, "none"]), (1, "missing", 1, ["del", NAME, "none"]),
            (2, "exists", 1, ["add", NAME, "k", "v"]), (3, "changed", 1, ["put", NAME, "k", "v", "--if-version", "1"]),
            (-4, "no-map", 3, ["get", NAME + ".none", "k"]), (-4, "no-map", 3, ["list", NAME + ".none"]),
            (-4, "no-map", 3, ["dump", NAME + ".none"]), (-4, "no-map", 3, ["load", NAME + ".none"]),
            (-4, "no-map", 3, ["rm", NAME + ".none"]), (-5, "map-exists", 3, ["create", NAME]),
            (-1, "invalid", 2, ["incr", NAME, "k"])):
        run = Run(*words, "--json")
        answer = run.json() if run.out else {}
        check(run.status == status and answer.get("code") == code and answer.get("result") == result and
              answer.get("text") and run.err.startswith(b"shoal: "), f"{words[0]} --json: {result}", run)
    lines = Run("list", "--json", NAME).out.splitlines()
    check([json.loads(line) for line in lines] == [{"key": "k"}], "list --json", lines)
    lines = Run("list", "--json", "--values", NAME).out.splitlines()
    check([json.loads(line) for line in lines] == [{"key": "k", "value": "v"}], "list --json --values", lines)
    run = Run("load", "--json", NAME, stdin=b'{"key": "l", "value": "m"}\n')
    check(run.json() == {"code": 0, "result": "done", "line": 1, "records": 1}, "load --json", run)
    run = Run("load", "--json", NAME, stdin=b'{"key": "l", "value": "m"}\nx\n')
    answer = run.json()
    check(run.status == 2 and answer["line"] == 2 and answer["records"] == 1 and answer["code"] == -1,
          "load --json names the line that failed", run)
    Run("put", NAME, "--escaped", "\\xff", "\\xfe")
    run = Run("get", "--json", "--escaped", NAME, "\\xff")
    check(run.json()["key_base64"] == "/w==" and run.json()["value_base64"] == "/g==", "get --json of bytes", run)


def test_stat_check_reap():
    fresh("--capacity", "5000", "--max-threads", "7")
    for i in range(5):
        Run("put", NAME, f"key{i}", "v" * i)
    stat = Run("stat", "--json", NAME).json()
    check(stat["count"] == 5 and stat["capacity"] >= 5000 and stat["max_threads"] == 7 and stat["unlinked"] == 0,
          "stat counts the keys", stat)
    check(stat["heap_bytes"] == sum(stat[p + "_bytes"] for p in
          ("live", "free", "owned", "retired", "dead", "overhead")), "stat: every byte of the heap in one place", stat)
    check(stat["payload_bytes"] == 5 * 4 + 10, "stat: payload", stat)
    text = Run("stat", NAME).out.decode()
    check(re.search(r"^count +5$", text, re.M), "stat as text", text)
    report = Run("check", "--json", NAME).json()
    check(report["problems"] == 0 and report["slots_live"] == 5 and report["counted"] == 5, "check", report)
    check(re.search(r"^problems +0$", Run("check", NAME).out.decode(), re.M), "check as text")
    check(set(Run("reap", "--json", NAME).json()) >= {"dead", "undecided", "aborted", "completed", "blocks"}, "reap")


def test_store_and_sync():
    with tempfile.TemporaryDirectory() as folder:
        store = folder + "/store"
        fresh("--capacity", "200", "--heap", "64K", "--store", store, "--spill")
        lines = b"".join(b'{"key": "key %d", "value": "%s"}\n' % (i, b"v" * 100) for i in range(3000))
        expect(0, "load", NAME, "-", out=b"3000 records\n", stdin=lines, what="load of fifteen times the capacity")
        expect(0, "get", NAME, "key 0", out=b"v" * 100, what="the first of them")
        stat = Run("stat", "--json", NAME).json()
        check(stat["evicted"] > 1000 and stat["store_records"] > 1000 and stat["store_file_bytes"] > 0, "stat of the store", stat)
        expect(0, "sync", NAME, out=b"")
        expect(0, "check", NAME)
        check(len(records()) == 3000, "dump gives all of them")
        Run("rm", NAME)
        expect(3, "create", NAME + "-other", "--store", folder + "/none/store", err="none/store")
        expect(0, "create", NAME, "--capacity", "200", "--heap", "64K", "--store", store,
               what="a new map above the same store")
        check(len(records()) == 3000, "it has them all")
        run = Run("warm", NAME)
        warmed = int(run.out.split()[0]) if run.status == 0 else 0
        check(100 < warmed < 1000, "warm brings up what fits", run)
        check(Run("stat", "--json", NAME).json()["promoted"] == warmed, "stat says so")
        check(Run("warm", "--json", NAME).json()["records"] < warmed / 2, "most are there already")
        check(len(records()) == 3000, "and all are still there once")
        expect(0, "del", NAME, "key 0", what="delete what is in the store alone")
        expect(1, "get", NAME, "key 0", out=b"", err="shoal: key 0: ")
        Run("rm", NAME)
    expect(2, "create", NAME, "--spill", err="--spill needs --store DIRECTORY")
    fresh()
    expect(2, "sync", NAME, err="has no store to sync with")
    expect(2, "warm", NAME, err="has no store to warm up with")


def test_compact():
    with tempfile.TemporaryDirectory() as folder:
        store = folder + "/store"
        fresh("--capacity", "200", "--heap", "64K", "--store", store, "--spill")
        lines = b"".join(b'{"key": "key %d", "value": "%s"}\n' % (i, b"v" * 100) for i in range(4000))
        expect(0, "load", NAME, "-", stdin=lines, what="load")
        expect(0, "sync", NAME)
        before = Run("store-stat", "--json", NAME).json()
        check(before["records"] == 4000 and before["durable_transaction"] == before["transaction"] > 0 and
              before["pages"] > 100 and before["levels"] >= 1 and before["pins"] == before["backup"] == 0 and
              before["bytes_per_record"] * 4000 == before["file_bytes"] and len(before["id"]) == 32, "store-stat", before)
        there = Run("store-stat", "--json", store).json()
        check(there["id"] == before["id"] and there["records"] == 4000, "store-stat of the directory", there)
        check(re.search(r"^records +4000$", Run("store-stat", NAME).out.decode(), re.M), "store-stat as text")
        fresh("--capacity", "200", "--heap", "64K", "--store", store, "--spill")
        keep = records()
        for i in range(0, 4000, 100):
            expect_quiet = Run("del", NAME, f"key {i}")
            del keep[b"key %d" % i]
            if expect_quiet.status != 0:
                check(False, "del", expect_quiet)
        expect(0, "compact", NAME, out=b"")
        check(records() == keep, "compact keeps every record")
        after = Run("store-stat", "--json", NAME).json()
        live = after["pages"] - after["free_pages"] - after["held_pages"]
        check(after["records"] == len(keep) and after["pages"] <= live + live // 8 + 32 and
              after["file_bytes"] <= before["file_bytes"], "the file is as small as what is in it", after)
        expect(0, "check", NAME)
        run = Run("sync", "--progress", NAME)
        check(run.status == 0 and run.out == b"" and re.search(rb"\r\x1b\[K\d+ of about \d+ groups", run.err) and
              run.err.endswith(b"\r\x1b[K"), "sync --progress", run)
        run = Run("check", "--progress", NAME)
        check(run.status == 0 and re.search(rb"\r\x1b\[K\d+ of about \d+", run.err) and
              run.err.endswith(b"\r\x1b[K"), "check --progress", run)
        run = Run("compact", "--progress", NAME)
        check(run.status == 0 and run.out == b"" and re.search(rb"\r\x1b\[K\d+ of about \d+", run.err) and
              run.err.endswith(b"\r\x1b[K"), "compact --progress", run)
        check(Run("compact", "--progress", "--json", NAME).err == b"", "--json shows no progress")
        Run("rm", NAME)
    fresh()
    expect(2, "compact", NAME, err="has no store to compact with")
    expect(2, "store-stat", NAME, err="has no store")
    expect(3, "store-stat", "/dev/shm/", err="pages")


def flip_byte(file, whole, at, by=1):
    file.seek(at)
    file.write(bytes([whole[at] ^ by]))
    file.flush()


def test_backup_and_restore():
    with tempfile.TemporaryDirectory() as folder:
        store, backup, restored = folder + "/store", folder + "/backup", folder + "/restored"
        fresh("--capacity", "200", "--heap", "64K", "--store", store, "--spill")
        lines = b"".join(b'{"key": "key %d", "value": "%s"}\n' % (i, b"v" * 100) for i in range(3000))
        expect(0, "load", NAME, "-", stdin=lines, what="load")
        expect(0, "backup", NAME, backup, out=b"")
        expect(0, "put", NAME, "later", "x" * 5000)
        expect(0, "put", NAME, "big", "-", stdin=b"y" * 40000)
        expect(0, "backup", NAME, backup, out=b"", what="again, into the same one")
        then = records()
        expect(0, "del", NAME, "later")
        check(Run("store-stat", "--json", backup).json()["backup"] == 1, "store-stat of a backup")
        expect(3, "backup", NAME, store, err="store/pages: is a store, or damaged, and no backup")
        expect(3, "backup", NAME, folder + "/none/backup", err="none/backup")
        expect(3, "create", NAME + "-other", "--store", backup, err="is a backup")
        expect(3, "restore", store, restored, err="is no backup")
        expect(3, "restore", backup, store, err="is there already")
        with open(backup + "/pages", "r+b") as file:
            whole = file.read()
            at = whole.index(b"y" * 4096)  # of the record that is there: not every page of the file is in use
            flip_byte(file, whole, at)
            expect(4, "restore", backup, restored, err=r"backup/pages, page \d+: ", what="a flipped bit in the backup")
            expect(3, "create", NAME + "-other", "--store", restored + "/none", err="restored/none")
            flip_byte(file, whole, at, by=0)
        run = Run("restore", "--progress", backup, restored)
        check(run.status == 0 and b" pages" in run.err, "restore --progress", run)
        expect(3, "restore", backup, restored, err="is there already")
        Run("rm", NAME)
        expect(0, "create", NAME, "--capacity", "200", "--heap", "64K", "--store", restored, "--spill",
               what="a map above the restored store")
        check(records() == then, "has what the backup had")
        expect(0, "check", NAME)
        Run("rm", NAME)
        os.mkdir(folder + "/closed", 0o500)
        fresh("--capacity", "200", "--store", store)
        if os.getuid() != 0:
            expect(3, "backup", NAME, folder + "/closed", err="closed/pages: open: Permission denied")
        Run("rm", NAME)
    fresh()
    expect(2, "backup", NAME, "/tmp/none", err="has no store to back up with")
    expect(2, "backup", NAME, err="an argument is missing")


def test_check_of_a_store():
    """A flipped bit anywhere is named with file and page, or is in what nobody reads."""
    with tempfile.TemporaryDirectory() as folder:
        store, named = folder + "/store", 0
        fresh("--capacity", "200", "--heap", "64K", "--store", store, "--spill")
        lines = b"".join(b'{"key": "key %d", "value": "%s"}\n' % (i, b"v" * 100) for i in range(1500))
        expect(0, "load", NAME, "-", stdin=lines, what="load")
        expect(0, "put", NAME, "big", "-", stdin=b"y" * 30000)
        expect(0, "sync", NAME)
        expect(0, "check", NAME)
        pages = os.path.getsize(store + "/pages") // 4096
        used = Run("store-stat", "--json", NAME).json()
        with open(store + "/pages", "r+b") as file:
            for page in range(0, pages, max(1, pages // 40)):
                at = page * 4096 + 100
                file.seek(at)
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 16]))
                file.flush()
                run = Run("check", NAME)
                where = re.search(rb"store/pages, page (\d+): ", run.err)
                if run.status == 4 and where and page - 8 < int(where[1]) <= page:  # the value's first one, of eight
                    named += 1
                elif run.status != 0:
                    check(False, f"check with a flipped bit in page {page}", run)
                file.seek(at)
                file.write(byte)
                file.flush()
        check(named > 10, f"{named} flipped bits are named with file and page", used)
        expect(0, "check", NAME)
        Run("rm", NAME)


def test_dump_and_load_of_both_tiers():
    with tempfile.TemporaryDirectory() as folder:
        fresh("--capacity", "200", "--heap", "64K", "--store", folder + "/store", "--spill")
        lines = b"".join(b'{"key_base64": "%s", "value": "%s"}\n' %
                         (base64.b64encode(b"key\x00\xff %d" % i), b"v" * (i % 300)) for i in range(3000))
        expect(0, "load", NAME, "-", stdin=lines, what="load of fifteen times the capacity")
        expect(0, "incr", NAME, "n", "42")
        stat = Run("stat", "--json", NAME).json()
        check(stat["evicted"] > 1000, "most of it is in the store alone", stat)
        for format in ([], ["--tsv"]):
            dump = Run("dump", *format, NAME).out
            other = NAME + "-second"
            Run("rm", other)
            expect(0, "create", other, "--capacity", "10000", "--heap", "4M")
            expect(0, "load", *format, other, "-", stdin=dump, out=b"3001 records\n", what="load elsewhere")
            check(records(other) == records(), "it is equal")
            Run("rm", other)
            expect(0, "create", other, "--capacity", "300", "--heap", "64K", "--store", folder + "/other" + str(len(format)),
                   "--spill")
            expect(0, "load", *format, other, "-", stdin=dump, out=b"3001 records\n", what="load into another spilling map")
            check(records(other) == records(), "it is equal")
            Run("rm", other)
        Run("rm", NAME)


# -- create ----------------------------------------------------------------------------


def test_create():
    for words in (["--capacity", "1M", "--heap", "64M"], ["--for", "10K,16,100"], ["--max-threads", "4096"],
                  ["--max-key", "100", "--max-value", "1K"], ["--mtime"], ["--checksum"], ["--preallocate"],
                  ["--heap", "2M", "--preallocate", "--mtime", "--checksum"], ["--group", str(os.getgid())]):
        Run("rm", NAME)
        expect(0, "create", NAME, *words)
        expect(0, "put", NAME, "k", "v")
        expect(0, "get", NAME, "k", out=b"v")
        expect(0, "check", NAME)
    fresh("--capacity", "1M")
    check(Run("stat", "--json", NAME).json()["capacity"] >= 1 << 20, "1M is 2^20")
    fresh("--for", "1000,100,1000")
    for i in range(1000):
        value = b"x" * 1000
        key = f"{i:0100}"
        if Run("put", NAME, key, "-", stdin=value).status != 0:
            break
    check(Run("stat", "--json", NAME).json()["count"] == 1000, "--for 1000,100,1000 holds 1000 such records")
    Run("rm", NAME)
    for mode in ("600", "640", "666"):
        expect(0, "create", NAME, "--mode", mode)
        seen = os.stat(f"/dev/shm/{NAME}").st_mode & 0o7777
        check(seen == int(mode, 8), f"--mode {mode} whatever the umask says", oct(seen))
        Run("rm", NAME)
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/file.map"
        expect(0, "create", path, what="a path makes a file")
        expect(0, "put", path, "k", "v", what="put into it")
        expect(0, "get", path, "k", out=b"v", what="get from it")
        check(os.path.exists(path), "the file is there")
        expect(0, "rm", path, what="rm removes it")
        check(not os.path.exists(path), "the file is gone")


def test_create_limits():
    fresh("--max-key", "10", "--max-value", "20")
    expect(0, "put", NAME, "k" * 10, "v" * 20)
    expect(2, "put", NAME, "k" * 11, "v", what="a key over --max-key: usage")
    expect(2, "put", NAME, "k", "v" * 21, what="a value over --max-value: usage")
    expect(2, "load", NAME, stdin=b'{"key": "%s", "value": ""}\n' % (b"k" * 11), err="line 1:")


# -- Exit statuses ----------------------------------------------------------------------


def test_usage_errors():
    fresh()
    for words in ([], ["nonsense"], ["get"], ["get", NAME], ["get", NAME, "a", "b"], ["put", NAME, "a"],
                  ["add", NAME, "a"], ["del", NAME], ["incr", NAME], ["list"], ["load"], ["dump"], ["stat"],
                  ["check"], ["reap"], ["rm"], ["create"], ["get", "--nonsense", NAME, "a"], ["list", NAME, "x"],
                  ["create", NAME + "x", "--capacity", "1x"], ["create", NAME + "x", "--capacity", "-1"],
                  ["create", NAME + "x", "--capacity", "99999999999999999999"],
                  ["create", NAME + "x", "--heap", "1Q"], ["create", NAME + "x", "--heap", "16777216T"],
                  ["create", NAME + "x", "--for", "1,2"], ["create", NAME + "x", "--for", "1,2,3,4"],
                  ["create", NAME + "x", "--for", "1,2,x"], ["create", NAME + "x", "--capacity"],
                  ["create", NAME + "x", "--for", "1,2,3", "--capacity", "5"],
                  ["create", NAME + "x", "--mode", "9"], ["create", NAME + "x", "--mode", "77777"],
                  ["create", NAME + "x", "--group", "no such group"],
                  ["create", NAME + "x", "--max-threads", "99999999"], ["create", NAME + "x", "--capacity", "0"],
                  ["dump", NAME, "--tsv", "--json"], ["put", NAME, "a", "b", "--if-version", "x"],
                  ["get", NAME, ""], ["put", NAME, "", "v"], ["put", NAME, "k" * 65536, "v"],
                  ["get", NAME, "k" * 65536]):
        run = Run(*words)
        shown = " ".join(word if len(word) < 40 else "..." for word in words)
        check(run.status == 2 and run.out == b"" and run.err != b"", f"usage: shoal {shown}", run)
    check(not os.path.exists(f"/dev/shm/{NAME}x"), "none of them made a map")


def test_map_names():
    for name in ("", ".", "..", ".hidden", "per%cent", "n" * 65, "blank name", "tab\tname"):
        for command in (["create", name], ["get", name, "k"], ["rm", name]):
            run = Run(*command)
            check(run.status == 2 and run.err.startswith(b"shoal: "), f"{command[0]} with the name {name[:20]!r}", run)
    run = Run("get", "esc\x1b[31mape", "k")
    check(b"\x1b" not in run.err, "a control character in a name does not reach the terminal", run)
    expect(0, "create", ("n" * 50 + NAME)[-64:], what="a name of 64 bytes or fewer")
    Run("rm", ("n" * 50 + NAME)[-64:])


def test_system_errors():
    fresh()
    expect(3, "create", NAME, err=NAME, what="create where the map exists")
    for command in (["get", "k"], ["put", "k", "v"], ["add", "k", "v"], ["del", "k"], ["incr", "k"], ["list"], ["load"],
                    ["dump"], ["stat"], ["check"], ["reap"], ["rm"]):
        expect(3, command[0], NAME + ".none", *command[1:], err="none", what=f"{command[0]}: no such map")
    expect(3, "load", NAME, "/nonexistent/file", err="/nonexistent/file")
    expect(3, "load", NAME, "/", err="line|director", what="load from a directory")
    expect(3, "create", "/nonexistent/folder/map")
    fresh("--max-threads", "1")
    Run("put", NAME, "k", "v")
    holder = subprocess.Popen([SHOAL, "load", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdin.write(b'{"key": "held", "value": "1"}\n' + b'{"key": "x", "value": "1"}\n' * 100000)
    holder.stdin.flush()
    expect(3, "put", NAME, "k", "w", what="the attachment table is full")
    expect(0, "get", NAME, "k", out=b"v", what="get needs no attachment")
    expect(0, "check", NAME)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    expect(0, "put", NAME, "k", "w", what="the place of a killed process is free again")
    expect(0, "check", NAME)
    for stream in (holder.stdin, holder.stdout):
        try:
            stream.close()
        except BrokenPipeError:
            pass
    with open("/dev/full", "wb") as full:
        run = subprocess.run([SHOAL, "get", NAME, "k"], stdout=full, stderr=subprocess.PIPE)
        check(run.returncode == 3 and b"standard output" in run.stderr, "standard output is full", run)
        run = subprocess.run([SHOAL, "dump", NAME], stdout=full, stderr=subprocess.PIPE)
        check(run.returncode == 3 and b"standard output" in run.stderr, "and for dump", run)
        run = subprocess.run([SHOAL, "stat", "--json", NAME], stdout=full, stderr=subprocess.PIPE)
        check(run.returncode == 3 and b"standard output" in run.stderr, "and with --json", run)


def test_corrupt_and_foreign_files():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/map"
        for what, content, statuses in (("empty", b"", (3, 4)), ("text", b"this is no map\n" * 1000, (3, 4)),
                                        ("zeroes", bytes(1 << 20), (3, 4))):
            with open(path, "wb") as file:
                file.write(content)
            run = Run("get", path, "k")
            check(run.status in statuses and run.err.startswith(b"shoal: "), f"a file of {what}: {run.status}", run)
        os.unlink(path)
        Run("create", path)
        Run("put", path, "k", "v")
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        expect(4, "get", path, "k", what="a truncated map is corrupt")
        expect(4, "check", path, what="and so says check")
        run = Run("get", folder + "/", "k")
        check(run.status in (2, 3), "a directory", run)


def test_salvage():
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/map"
        expect(0, "create", path, "--checksum", "--capacity", "100")
        lines = b"".join(b'{"key": "key %d", "type": "str", "value": "value %d"}\n' % (i, i) for i in range(90))
        expect(0, "load", path, out=b"90 records\n", stdin=lines, what="load of ninety records")
        expect(0, "incr", path, "n", "-5")
        dumped = sorted(line[:-1] for line in Run("dump", path).out.splitlines())
        with open(path, "r+b") as file:  # as one that was in use in another life of the machine
            file.seek(640)
            file.write(b"another life....\0\0\0\0\0\0\0\0")
        if subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True).stdout.strip() in (b"tmpfs", b"ramfs"):
            print("skipped: a map of another life is refused (the temporary folder is in memory)")
        else:
            expect(4, "get", path, "n", err="was not closed when the machine stopped.*`shoal salvage`")
            expect(4, "put", path, "k", "v", err="`shoal salvage`")
        run = Run("salvage", path)
        check(run.status == 0 and run.err.endswith(b"map: 91 named, 0 loose, 0 unsure; 0 older ones left out; 0 damaged; 0 pieces unreadable\n"),
              "salvage", run)
        found = sorted(line[:-len(b', "salvaged": "named"}')] for line in run.out.splitlines())
        check(found == dumped and len(found) == 91, "what dump printed, with a mark", found[:3], dumped[:3])
        fresh()
        expect(0, "load", NAME, out=b"91 records\n", stdin=run.out, what="load takes it")
        expect(0, "get", NAME, "n", out=b"-5\n")
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        run = Run("salvage", path)
        check(run.status == 0 and run.out.count(b"\n") <= 91, "of a file that was cut", run)
        with open(path, "r+b") as file:
            file.seek(40)
            file.write(b"\xff")
        expect(4, "salvage", path, out=b"", err="header checksum")
        Run("rm", path)
        Run("create", path)
        Run("put", path, "k", "v")
        expect(2, "salvage", path, out=b"", err="without SHOAL_CHECKSUM.*--unverified")
        check(Run("salvage", "--unverified", path).out == b'{"key": "k", "value": "v", "salvaged": "unsure"}\n', "salvage --unverified")
        expect(3, "salvage", folder + "/none", out=b"", err="no such map")


def test_full():
    fresh("--capacity", "64", "--heap", "64K")
    status = 0
    for i in range(10000):
        run = Run("put", NAME, f"key{i}", "v" * 200)
        if run.status != 0:
            break
    check(run.status == 5 and run.err.startswith(b"shoal: "), "put into a full map: 5", run)
    run = Run("put", "--json", NAME, "another", "v" * 200)
    check(run.status == 5 and run.json()["result"] == "full", "full in JSON", run)
    before = records()
    lines = b'{"key": "key0", "value": "new"}\n' + b"".join(b'{"key": "more%d", "value": "%s"}\n' % (j, b"v" * 200)
                                                             for j in range(1000))
    run = Run("load", NAME, stdin=lines)
    line = re.search(rb"line (\d+): .*\((\d+) records before", run.err)
    check(run.status == 5 and line and int(line[1]) == int(line[2]) + 1, "load into a full map names the line", run)
    after = records()
    kept = {key: after.get(key) for key in before if key != b"key0"}
    check(kept == {key: before[key] for key in before if key != b"key0"} and after[b"key0"] == ("raw", b"new") and
          len(after) == len(before) + int(line[2]) - 1, "what came before the line is kept")
    expect(0, "del", NAME, "key0", what="del works on a full map")
    expect(0, "check", NAME)


def test_load_keeps_the_order_of_a_key_when_room_comes():
    """Lines of one batch: a record that does not fit, then smaller ones for those that fill the map, then its key again."""
    fresh("--capacity", "100", "--heap", "256K")
    big = "x" * 20000
    lines = [{"key": f"fill{i}", "value": big} for i in range(20)]
    run = Run("load", NAME, stdin=b"\n".join(json.dumps(line).encode() for line in lines))
    fit = int(re.search(rb"\((\d+) records", run.err)[1])
    lines = [{"key": "late", "value": big}] + [{"key": f"fill{i}", "value": "x"} for i in range(fit)]
    lines += [{"key": "late", "value": "last"}]
    expect(0, "load", NAME, out=b"%d records\n" % len(lines), stdin=b"\n".join(json.dumps(line).encode() for line in lines),
           what="load into room that the batch makes")
    check(records()[b"late"] == ("raw", b"last"), "the later line of a key stays")


# -- list, load, dump -------------------------------------------------------------------


def test_list():
    fresh()
    for key in ("a/1", "a/2", "b/1"):
        Run("put", NAME, key, "v" + key)
    lines = sorted(Run("list", NAME).out.splitlines())
    check(lines == [b"a/1", b"a/2", b"b/1"], "list", lines)
    lines = sorted(Run("list", NAME, "--prefix", "a/").out.splitlines())
    check(lines == [b"a/1", b"a/2"], "list --prefix", lines)
    lines = sorted(Run("list", NAME, "--prefix", "a/", "--values").out.splitlines())
    check(lines == [b"a/1\tva/1", b"a/2\tva/2"], "list --prefix --values", lines)
    expect(0, "list", NAME, "--prefix", "zzz", out=b"")
    lines = Run("dump", NAME, "--prefix", "b").out
    check(json.loads(lines) == {"key": "b/1", "value": "vb/1"}, "dump --prefix", lines)


NASTY = [b"plain", b"\0", b"\0\0", b"a\0b", b"\t", b"\n", b"\r\n", b"\\", b"\\n", b"\\x41", b'"', b"'", b"\xff", b"\xc0\x80",
         b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", "ünïcödé €𝄞".encode(), "\u0085\u009b31m".encode(),
         b"\x1b[31m", b"\x7f", b" lead and trail ", b"k" * 65535, bytes(range(256)), b"{\"key\":1}", b"#", b"-", b"null",
         "\ufeffbom".encode(), "\ufffe\uffff".encode(), b"tab\tin\tside", b"7"]


def fill_nasty():
    """Every nasty key with every kind of value, through load; what must be in the map."""
    lines, expected = [], {}
    types = ["raw", "str", "bigint", "f64", "bool", "none", "json", "pickle", 9, 77, 128, 255]
    for i, key in enumerate(NASTY):
        for j, value in enumerate((NASTY[(i * 7 + 3) % len(NASTY)], b"", os.urandom(i))):
            kind = types[(i + j) % len(types)]
            full_key = key[:65530] + b"/%d" % j
            expected[full_key] = (kind, value)
            lines.append({"key_base64": base64.b64encode(full_key).decode(), "type": kind,
                          "value_base64": base64.b64encode(value).decode()})
    for i, number in enumerate((0, 1, -1, 2**63 - 1, -2**63)):
        expected[b"int%d" % i] = ("i64", number)
        lines.append({"key": f"int{i}", "type": "i64", "value": number})
    expected[b"odd i64"] = ("i64", b"12")
    lines.append({"key": "odd i64", "type": "i64", "value_base64": base64.b64encode(b"12").decode()})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines), expected


def test_round_trips():
    lines, expected = fill_nasty()
    fresh("--capacity", "1000", "--heap", "16M")
    expect(0, "load", NAME, stdin=lines, out=b"%d records\n" % len(expected), what="load nasty keys and values")
    check(records() == expected, "dump shows every byte of them",
          [key for key in expected if records().get(key) != expected[key]][:5])
    for form in ([], ["--tsv"]):
        dump = Run("dump", NAME, *form)
        other = NAME + ".copy"
        Run("rm", other)
        Run("create", other, "--capacity", "1000", "--heap", "16M")
        run = Run("load", other, *form, stdin=dump.out)
        check(run.status == 0 and records(other) == expected, f"load reads back what dump {''.join(form)} wrote", run)
        again = Run("dump", other, *form)
        check(sorted(again.out.splitlines()) == sorted(dump.out.splitlines()), "and dump writes the same lines")
        check(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", dump.out), "no control characters in them")
        dump.out.decode("utf-8")
        Run("rm", other)
    lines = Run("list", NAME).out
    check(lines.count(b"\n") == len(expected), "list: one line for each key, whatever is in it")


def test_round_trip_of_random_bytes():
    import random
    random.seed(20)
    expected = {}
    for i in range(2000):
        key = bytes(random.choice(b"\0\t\n\\x41\xc3\xa9\xff\r nrt") for _ in range(random.randint(1, 12)))
        expected[key] = ("raw", bytes(random.randrange(256) for _ in range(random.randint(0, 40))))
    lines = b"".join(json.dumps({"key_base64": base64.b64encode(k).decode(),
                                 "value_base64": base64.b64encode(v[1]).decode()}).encode() + b"\n"
                     for k, v in expected.items())
    fresh("--capacity", "4000", "--heap", "4M")
    Run("load", NAME, stdin=lines)
    for form in ([], ["--tsv"]):
        dump = Run("dump", NAME, *form).out
        fresh("--capacity", "4000", "--heap", "4M")
        Run("load", NAME, *form, stdin=dump)
        check(records() == expected, f"2000 random records through dump {''.join(form)} and load")


def test_bad_json_lines():
    good = b'{"key": "good%d", "value": "v"}\n'
    for what, line in (("no JSON", b"nonsense"), ("broken UTF-8 in a value", b'{"key": "k", "value": "\xff"}'),
                       ("broken UTF-8 in a key", b'{"key": "a\xc3", "value": ""}'),
                       ("an array", b"[1]"), ("no key", b'{"value": "v"}'), ("no value", b'{"key": "k"}'),
                       ("two keys", b'{"key": "k", "key_base64": "aa==", "value": ""}'),
                       ("a key twice", b'{"key": "k", "key": "l", "value": ""}'),
                       ("bad base64", b'{"key_base64": "a", "value": ""}'),
                       ("base64 with a stray character", b'{"key_base64": "a*==", "value": ""}'),
                       ("base64 with bits to spare", b'{"key_base64": "YR==", "value": ""}'),
                       ("an empty key", b'{"key": "", "value": "v"}'), ("a key that is a number", b'{"key": 1, "value": "v"}'),
                       ("a value that is an object", b'{"key": "k", "value": {}}'),
                       ("a value that is a float", b'{"key": "k", "value": 1.5}'),
                       ("an integer too large", b'{"key": "k", "value": 9223372036854775808}'),
                       ("an unknown type", b'{"key": "k", "value": "v", "type": "blob"}'),
                       ("a type of 256", b'{"key": "k", "value": "v", "type": 256}'),
                       ("a string for an i64", b'{"key": "k", "value": "7", "type": "i64"}'),
                       ("an integer for a str", b'{"key": "k", "value": 7, "type": "str"}'),
                       ("an unknown member", b'{"key": "k", "value": "v", "tpye": "str"}'),
                       ("a second object", b'{"key": "k", "value": "v"} {}'), ("a cut line", b'{"key": "k", "val'),
                       ("a key of 65536 bytes", b'{"key": "%s", "value": ""}' % (b"k" * 65536)),
                       ("a NUL byte", b'{"key": "k\0", "value": "v"}')):
        fresh()
        run = Run("load", NAME, stdin=good % 1 + good % 2 + b"\n" + line + b"\n" + good % 3)
        check(run.status == 2 and b"line 4: " in run.err and run.out == b"" and
              sorted(records()) == [b"good1", b"good2"], f"{what}: the line is named, what came before is kept", run)
    fresh()
    expect(0, "load", NAME, stdin=b'{"key": "k\\u0000", "value": "\\u0000"}\n{"key": "n", "value": 3}', out=b"2 records\n",
           what="\\u0000, an integer, and no newline at the end")
    check(records() == {b"k\0": ("raw", b"\0"), b"n": ("i64", 3)}, "are what they are", records())
    expect(0, "load", NAME, stdin=b"", out=b"0 records\n", what="nothing to load")
    expect(0, "load", NAME, "-", stdin=b"\n\n", out=b"0 records\n", what="empty lines")


def test_bad_tsv_lines():
    for what, line in (("no tab", b"key"), ("a bad escape in a key", b"k\\q\tv"), ("a bad escape in a value", b"k\tv\\x4"),
                       ("a backslash at the end", b"k\tv\\"), ("an unknown type", b"k\tv\tblob"),
                       ("a type of 256", b"k\tv\t256"), ("four columns", b"k\tv\tstr\tx"),
                       ("an i64 that is no number", b"k\tv\ti64"), ("an i64 with a blank", b"k\t 7\ti64"),
                       ("an i64 too large", b"k\t9223372036854775808\ti64"), ("an empty key", b"\tv"),
                       ("a type with a NUL byte", b"k\tv\tstr\0")):
        fresh()
        run = Run("load", "--tsv", NAME, stdin=b"good1\tv\ngood2\tv\n\n" + line + b"\ngood3\tv\n")
        check(run.status == 2 and b"line 4: " in run.err and sorted(records()) == [b"good1", b"good2"],
              f"TSV, {what}: the line is named, what came before is kept", run)
    fresh()
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"a\t1\ti64\nb\t\nraw\0byte\xff\tx\nc\tlast")
        file.flush()
        expect(0, "load", "--tsv", NAME, file.name, out=b"4 records\n", what="TSV from a file")
    check(records() == {b"a": ("i64", 1), b"b": ("raw", b""), b"raw\0byte\xff": ("raw", b"x"), b"c": ("raw", b"last")},
          "TSV: integers, empty values, raw bytes, no newline at the end", records())


def test_killed_load():
    """SIGKILL in the middle of a load: a prefix of its lines is in the map, and the map is sound."""
    fresh("--capacity", "20000", "--heap", "8M")
    sound, stored = True, []
    for i in range(30):
        load = subprocess.Popen([SHOAL, "load", NAME], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        lines = b"".join(b'{"key": "%d/%d", "value": "%s"}\n' % (i, j, b"v" * (j % 300)) for j in range(800))
        load.stdin.write(lines)  # more than a pipe holds: when this returns it is at work
        time.sleep(i / 20000)
        load.send_signal(signal.SIGKILL)
        load.wait()
        try:
            load.stdin.close()
        except BrokenPipeError:
            pass
        sound = sound and Run("reap", NAME).status == 0
        there = {key: value for key, value in records().items() if key.startswith(b"%d/" % i)}
        expected = {b"%d/%d" % (i, j): ("raw", b"v" * (j % 300)) for j in range(len(there))}
        stored.append(len(there))
        sound = sound and there == expected and Run("check", NAME).status == 0
    check(sound, f"30 loads killed after {min(stored)} to {max(stored)} of 800 lines: a prefix of each is in the map, which is sound")


# -- Terminals, help --------------------------------------------------------------------


def on_terminal(*words):
    """What a terminal would get to see, without its own translation of newlines."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(SHOAL, [SHOAL, *words])
    seen = b""
    try:
        while True:
            part = os.read(terminal, 65536)
            if not part:
                break
            seen += part
    except OSError:
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return seen.replace(b"\r\n", b"\n")


def has_terminals():
    try:
        for end in pty.openpty():
            os.close(end)
        return True
    except OSError:
        return False


def test_terminals():
    if not has_terminals():
        print("skipped: what a terminal shows (no pseudo-terminals here)")
        return
    fresh()
    Run("put", NAME, "k", "-", stdin=b"\x1b[31mred\x07\x7f\xff\xc2\x9b\nsecond\tline \\ \xc3\xa9")
    check(Run("get", NAME, "k").out == b"\x1b[31mred\x07\x7f\xff\xc2\x9b\nsecond\tline \\ \xc3\xa9", "get to a pipe: raw")
    seen = on_terminal("get", NAME, "k")
    check(seen == b"\\x1b[31mred\\x07\\x7f\\xff\\xc2\\x9b\nsecond\tline \\ \xc3\xa9\n", "get to a terminal: escaped", seen)
    check(b"\x1b" in on_terminal("get", "--raw", NAME, "k"), "get --raw to a terminal: raw")
    Run("put", NAME, "--escaped", "\\x1bkey", "v")
    for words in (["list", NAME], ["list", "--values", NAME], ["list", "--json", NAME], ["dump", NAME],
                  ["get", "--json", NAME, "k"], ["get", NAME, "no\x1bkey"]):
        seen = on_terminal(*words)
        check(seen and not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", seen), f"{words[0]} to a terminal", seen)


def test_help_and_version():
    run = expect(0, "--help")
    commands = ("create", "get", "put", "add", "del", "incr", "list", "load", "dump", "stat", "check", "reap", "sync", "warm", "compact",
                "backup", "restore", "store-stat", "rebuild", "salvage", "rm")
    check(all(re.search(rf"^  {name} ", run.out.decode(), re.M) for name in commands), "--help names every command")
    for name in commands:
        run = Run(name, "--help")
        check(run.status == 0 and f"Usage: shoal {name}".encode() in run.out and b"--json" in run.out, f"{name} --help", run)
    run = expect(0, "--version")
    check(re.fullmatch(rb"shoal \S+\n", run.out), "--version", run)


def test_rm():
    fresh()
    expect(0, "rm", NAME, out=b"")
    expect(3, "rm", NAME, err="no")
    fresh()
    Run("put", NAME, "k", "v")
    fresh()
    expect(1, "get", NAME, "k", what="a map made anew is empty")


# -- Several at once ---------------------------------------------------------------------


def test_many_programs_at_once():
    fresh("--capacity", "10000", "--heap", "4M")
    lines = b"".join(b'{"key": "k%d", "value": "v%d"}\n' % (i, i) for i in range(2000))
    loads = [subprocess.Popen([SHOAL, "load", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for load in loads:
        load.stdin.write(lines)
        load.stdin.close()
    for _ in range(20):
        Run("incr", NAME, "n")
    check(all(load.wait() == 0 and load.stdout.read() == b"2000 records\n" for load in loads), "four loads at once")
    for load in loads:
        load.stdout.close()
    found = records()
    check(len(found) == 2001 and found[b"n"] == ("i64", 20) and
          all(found.get(b"k%d" % i) == ("raw", b"v%d" % i) for i in range(2000)), "everything is there", len(found))
    expect(0, "check", NAME)


def main():
    os.umask(0o027)
    try:
        for name, test in list(globals().items()):
            if name.startswith("test_") and (len(sys.argv) < 3 or any(word in name for word in sys.argv[2:])):
                print(f"# {name[5:].replace('_', ' ')}")
                try:
                    test()
                except Exception as error:  # say so, go on with the next
                    check(False, f"{name} ended early", error)
    finally:
        for left in os.listdir("/dev/shm"):
            if left.startswith(NAME):
                Run("rm", left)
    print(f"{failed} failed" if failed else "all passed")
    sys.exit(1 if failed else 0)


main()
