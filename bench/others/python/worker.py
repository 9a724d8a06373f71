# SPDX-License-Identifier: MIT
"""A worker of the comparison for tables of Python's registry: shared-hashmap, UltraDict, diskhash.

   python worker.py PEER KEYS_FILE TABLE WORKER WORKERS SECONDS MEETING

bench/README.md (Other languages) says what a worker does.  Values are made before the clock starts, two for each key, and
every value read is compared with both: to compute them here would take longer than the tables do.
"""

import os
import sys
import time

CHUNK = 64
MASK = (1 << 64) - 1
STEP = 0xD1342543DE82EF95


def value_of(key, version, size):
    """What keyset_value() in bench/keyset.c makes."""
    seed = (int.from_bytes(key[:8], "little") * 0x9FB21C651E98DF25 & MASK) ^ ((version + 1) * 0xE7037ED1A0B428DB & MASK)
    words = [(seed & 0xFFFFFFFF00000000) | version]
    words += [(seed + j * STEP) & MASK for j in range(1, size // 8 + 1)]
    return b"".join(word.to_bytes(8, "little") for word in words)[:size]


class Keys:
    def __init__(self, path):
        with open(path, "rb") as file:
            fields = file.readline().split()
            self.keys_n, draws_n, size, self.value_bytes, coins_n = map(int, fields[1:])
            self.key_bytes = size
            streams = [
                [data[at : at + size] for at in range(0, n * size, size)]
                for n in (self.keys_n, self.keys_n, draws_n, draws_n)
                for data in [file.read(n * size)]
            ]
            self.coins = file.read(coins_n)
        self.present, self.absent, uniform, zipf = streams
        one = {key: key for key in self.present}  # equal keys share one object, and its hash
        self.uniform = [one[key] for key in uniform]
        self.zipf = [one[key] for key in zipf]
        self.values = {key: tuple(value_of(key, v, self.value_bytes) for v in (0, 1)) for key in self.present + self.absent}


# -- The tables: get answers None where there is nothing --------------------------------------------------------------


class SharedHashMapTable:
    can = "insert get_hit get_zipf get_miss put ycsb_a ycsb_b ycsb_c ycsb_f churn"

    def __init__(self, name, keys, create):
        from shared_hashmap import SharedHashMap

        self.map = SharedHashMap(name, 2 * keys.keys_n, keys.key_bytes, keys.value_bytes, create)
        self.get, self.put, self.delete = self.map.get, self.map.set, self.map.delete

    def insert(self, key, value):
        if key in self.map:
            raise RuntimeError("insert of a new key finds it")
        self.put(key, value)


class UltraDictTable:
    """A whole dict in each process; what is written goes through a buffer to the others, under a lock between processes."""

    can = SharedHashMapTable.can

    def __init__(self, name, keys, create):
        from UltraDict import UltraDict

        size = keys.keys_n * (keys.key_bytes + keys.value_bytes + 64) * 2
        self.map = UltraDict(
            name=name, create=create, buffer_size=size, full_dump_size=size, shared_lock=True, auto_unlink=False
        )
        self.get, self.put = self.map.get, self.map.__setitem__

    def insert(self, key, value):
        if key in self.map:
            raise RuntimeError("insert of a new key finds it")
        self.put(key, value)

    def delete(self, key):
        del self.map[key]
        return True


class DiskhashTable:
    """Its keys end at a NUL, hence hexadecimal ones, made once; it can neither replace nor delete."""

    can = "insert get_hit get_zipf get_miss ycsb_c"

    def __init__(self, name, keys, create):
        import diskhash

        self.map = diskhash.StructHash("/dev/shm/" + name, 2 * keys.key_bytes + 1, f"{keys.value_bytes}s", "rw")
        if create:
            self.map.reserve(keys.keys_n)
        self.name_of = {key: key.hex() for key in keys.present + keys.absent}

    def insert(self, key, value):
        if not self.map.insert(self.name_of[key], value):
            raise RuntimeError("insert of a new key finds it")

    def get(self, key):
        found = self.map.lookup(self.name_of[key])
        return None if found is None else found[0]


TABLES = {"shared_hashmap": SharedHashMapTable, "ultradict": UltraDictTable, "diskhash": DiskhashTable}


# -- Workloads --------------------------------------------------------------------------------------------------------


class Worker:
    def __init__(self, table, keys, index, workers_n):
        self.table, self.keys, self.index, self.workers_n = table, keys, index, workers_n
        self.first = keys.keys_n * index // workers_n
        self.share_n = keys.keys_n * (index + 1) // workers_n - self.first
        self.at = {}
        self.coin = len(keys.coins) * index // workers_n
        self.churned = 0

    def next_key(self, stream):
        at = self.at.get(id(stream), len(stream) * self.index // self.workers_n)
        self.at[id(stream)] = (at + 1) % len(stream)
        return stream[at]

    def check(self, key):
        value = self.table.get(key)
        if value is None:
            raise RuntimeError("get of a present key answered that it is missing")
        if bytes(value) not in self.keys.values[key]:
            raise RuntimeError("a value is torn or of another key")

    def write(self, key):
        self.table.put(key, self.keys.values[key][self.coin & 1])

    def gets(self, stream):
        for _ in range(CHUNK):
            self.check(self.next_key(stream))

    def misses(self):
        for _ in range(CHUNK):
            if self.table.get(self.next_key(self.keys.absent)) is not None:
                raise RuntimeError("get of an absent key found a value")

    def mix(self, stream, reads_percent, modifies=False):
        for _ in range(CHUNK):
            key = self.next_key(stream)
            self.coin = (self.coin + 1) % len(self.keys.coins)
            reads = self.keys.coins[self.coin] < reads_percent
            if reads or modifies:
                self.check(key)
            if not reads:
                self.write(key)

    def churn(self):
        for _ in range(CHUNK // 2):
            at, back = self.first + self.churned % self.share_n, self.churned // self.share_n % 2
            old, new = self.keys.present[at], self.keys.absent[at]
            if back:
                old, new = new, old
            if not self.table.delete(old):
                raise RuntimeError("delete of a present key answered that it is missing")
            self.table.insert(new, self.keys.values[new][0])
            self.churned += 1

    def insert_all(self):
        for key in self.keys.present[self.first : self.first + self.share_n]:
            self.table.insert(key, self.keys.values[key][0])

    def warm(self):
        for key in self.keys.present:
            self.check(key)

    def chunk(self, workload):
        keys = self.keys
        return {
            "get_hit": lambda: self.gets(keys.uniform),
            "get_zipf": lambda: self.gets(keys.zipf),
            "get_miss": self.misses,
            "put": lambda: self.mix(keys.uniform, 0),
            "ycsb_a": lambda: self.mix(keys.zipf, 50),
            "ycsb_b": lambda: self.mix(keys.zipf, 95),
            "ycsb_c": lambda: self.gets(keys.zipf),
            "ycsb_f": lambda: self.mix(keys.zipf, 50, modifies=True),
            "churn": self.churn,
        }[workload]


def meet(meeting, name, index, workers_n):
    open(f"{meeting}/{name}.{index}", "x").close()
    while not all(os.path.exists(f"{meeting}/{name}.{i}") for i in range(workers_n)):
        time.sleep(0.001)


def run_for(chunk, seconds):
    ops, start = 0, time.monotonic_ns()
    while True:
        chunk()
        ops, now = ops + CHUNK, time.monotonic_ns()
        if now >= start + seconds * 1e9:
            return ops, start, now


def main():
    peer, keys_file, name, index, workers_n, seconds, meeting = sys.argv[1:]
    index, workers_n, seconds = int(index), int(workers_n), float(seconds)
    keys = Keys(keys_file)
    table = TABLES[peer](name, keys, True) if index == 0 else None
    meet(meeting, "made", index, workers_n)
    worker = Worker(table or TABLES[peer](name, keys, False), keys, index, workers_n)
    meet(meeting, "insert", index, workers_n)
    start = time.monotonic_ns()
    worker.insert_all()
    print("insert", worker.share_n, start, time.monotonic_ns(), flush=True)
    meet(meeting, "warm", index, workers_n)
    worker.warm()
    for workload in worker.table.can.split()[1:]:
        meet(meeting, workload, index, workers_n)
        print(workload, *run_for(worker.chunk(workload), seconds), flush=True)
    meet(meeting, "end", index, workers_n)
    sys.stdout.flush()
    os._exit(0)  # the packages' own ends print warnings; what they leave is removed by who started this


if __name__ == "__main__":
    try:
        main()
    except Exception as problem:  # whatever a table throws is an answer
        print("failed", f"{type(problem).__name__}: {problem}".replace("\n", " "), flush=True)
        os._exit(1)
