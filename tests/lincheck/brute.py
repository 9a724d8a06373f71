#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second judge of small histories, written apart from the first: it tries every order.

    brute.py LINCHECK N             have LINCHECK write N times some small histories, and compare verdicts
    brute.py --judge FILE           judge the histories of a file

Every permutation of a key's operations that respects their stamps is run against a dictionary-like record;
each operation that was cut off is tried as having happened and as not.  No memo, no pruning but the stamps
and the first wrong answer.
"""

import collections
import os
import subprocess
import sys
import tempfile

RAW, I64 = 0, 2
OK, MISSING, EXISTS, CHANGED, SHORT, TIMEOUT, EINVAL = 0, 1, 2, 3, 4, 5, -1
VALUE, TYPE, BYTES, VERSION = 1, 2, 4, 8
WORD = 1 << 64

Op = collections.namedtuple(
    "Op", "kind key life invoked returned pending code value bytes type seen shows got got_bytes got_type version"
)
Record = collections.namedtuple("Record", "value bytes type")

READS = {"get", "getv", "peek", "info", "view", "get_many", "update_keep"}
DELETES = {"delete", "delete_many", "update_remove", "take"}
PUTS = {"put", "put_with", "put_many"}
GIVES_NEW_VERSION = {"put_with", "put_if", "put_many"}


def read_histories(file):
    for line in file:
        words = line.split()
        if words[0] == "h":
            head, ops = words[1:], []
        elif words[0] == "o":
            ops.append(Op(words[1], *map(int, words[2:])))
        elif words[0] == "e":
            number, keys, moves, verdict, what = head
            yield int(number), moves == "1", verdict == "ok", what, ops


def version_table(ops, moves):
    """Version -> (key, value); None where two facts contradict each other."""
    value_of, version_of = {}, {}
    for op in ops:
        if op.pending or op.version == 0:
            continue
        if op.kind in GIVES_NEW_VERSION:
            if op.code != OK:
                continue
            value = op.value
        elif op.shows & VALUE and op.shows & VERSION:
            value = op.got
        else:
            continue
        if value_of.setdefault(op.version, (op.key, value)) != (op.key, value):
            return None
        if not moves and version_of.setdefault((op.key, value), op.version) != op.version:
            return None
    return value_of


class Judge:
    """One key of one history."""

    def __init__(self, ops, table, moves):
        self.ops, self.table, self.moves = ops, table, moves

    def version_may_be(self, version, record):
        """Can the record (or None) have this version?"""
        if version == 0 or record is None:
            return version == 0 and record is None
        return version not in self.table or self.table[version][1] == record.value

    def version_may_not_be(self, version, record):
        if version == 0 or record is None:
            return not (version == 0 and record is None)
        return self.moves or version not in self.table or self.table[version][1] != record.value

    def shown(self, op, record):
        if record is None:
            return False
        if op.shows & VALUE and op.got != record.value:
            return False
        if op.shows & BYTES and op.got_bytes != record.bytes:
            return False
        if op.shows & TYPE and op.got_type != record.type:
            return False
        return not op.shows & VERSION or self.version_may_be(op.version, record)

    def met(self, op, record):
        return self.shown(op, record) if op.code == OK else op.code == MISSING and record is None

    def effects(self, op, record):
        """What the record may be after a call with these arguments: {code: record}."""
        new = Record(op.value, op.bytes, op.type)
        if op.kind in PUTS or op.kind == "update_store":
            return {OK: new}
        if op.kind == "add":
            return {EXISTS: record} if record else {OK: new}
        if op.kind == "replace":
            return {OK: new} if record else {MISSING: record}
        if op.kind == "incr":
            if record and (record.type, record.bytes) != (I64, 8):
                return {EINVAL: record}
            return {OK: Record(((record.value if record else 0) + op.value) % WORD, 8, I64)}
        if op.kind in DELETES:
            return {OK: None} if record else {MISSING: None}
        if op.kind in ("put_if", "delete_if"):
            if op.kind == "delete_if" and record is None:
                return {MISSING: None}
            answers = {}
            if self.version_may_be(op.seen, record):
                answers[OK] = new if op.kind == "put_if" else None
            if self.version_may_not_be(op.seen, record):
                answers[CHANGED] = record
            return answers
        raise ValueError(op.kind)

    def after(self, op, record):
        """The record after op has answered so; False = it cannot have."""
        if op.kind in READS:
            return record if self.met(op, record) else False
        if op.kind == "wait":
            if op.code == TIMEOUT:
                return record if self.version_may_be(op.seen, record) else False
            good = op.code == OK and op.version != op.seen and self.version_may_be(op.version, record)
            return record if good else False
        if op.kind == "take" and op.code == SHORT:
            return record if self.shown(op, record) else False
        if op.kind in ("update_store", "update_remove", "take", "delete", "delete_many"):
            if not self.met(op, record):
                return False
            return Record(op.value, op.bytes, op.type) if op.kind == "update_store" else None
        answers = self.effects(op, record)
        if op.code not in answers:
            return False
        if op.kind == "incr" and op.code == OK and answers[OK].value != op.got:
            return False
        return answers[op.code]

    def search(self, left, record):
        if not left:
            return True
        for i, op in enumerate(left):
            if any(other.returned < op.invoked for other in left):
                continue
            rest = left[:i] + left[i + 1 :]
            if op.pending:
                if self.search(rest, record):
                    return True
                after = self.effects(op, record).get(OK, False)
            else:
                after = self.after(op, record)
            if after is not False and self.search(rest, after):
                return True
        return False


def judge(ops, moves):
    table = version_table(ops, moves)
    if table is None:
        return False
    return all(
        Judge([op for op in ops if op.key == key], table, moves).search([op for op in ops if op.key == key], None)
        for key in {op.key for op in ops}
    )


def compare(file):
    count, wrong = collections.Counter(), 0
    for number, moves, accepted, what, ops in read_histories(file):
        mine = judge(ops, moves)
        count[what, mine] += 1
        should = {"-": True, "at_random": mine}.get(what, False)
        if mine != accepted or mine != should:
            wrong += 1
            print(f"not ok - history {number} ({what}): lincheck {accepted}, brute force {mine}")
    kinds = sorted(what for what, mine in count if what not in ("-", "at_random") and not mine)
    print(", ".join(f"{kind} {count[kind, False]}" for kind in kinds))
    right = sum(n for (_, mine), n in count.items() if mine)
    changed = count["at_random", True] + count["at_random", False]
    print(
        f"brute: {sum(count.values())} small histories, {right} linearizable; of {changed} changed at random "
        f"{count['at_random', False]} not; {len(kinds)} kinds of mutation, none linearizable; {wrong} disagreements"
    )
    return wrong


def main():
    if sys.argv[1] == "--judge":
        with open(sys.argv[2]) as file:
            return 1 if compare(file) else 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "small")
        done = subprocess.run([sys.argv[1], "--small", sys.argv[2], path], stdout=subprocess.PIPE, text=True)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            return 1
        with open(path) as file:
            return 1 if compare(file) else 0


if __name__ == "__main__":
    sys.exit(main())
