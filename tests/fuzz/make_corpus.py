#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of the corpora: make_corpus.py FOLDER.  What fuzzers found later lies beside them under other names.

The segment's seeds are edit scripts (edit.h), one for each operation and region, and some that a person would think of.
"""

import argparse
import pathlib
import struct

(SET, FLIP, ZERO, ONES, NEIGHBOUR, OFFSET, ADD, COPY, SLOT, SPAN, H, PLACE, NAME, LAYOUT) = range(14)
HEADER, WAIT, ENTRIES, TABLE, SPANS, HINTS, HEADS, HEAP = range(8)
SMALL, CHECKED, LARGE, LARGE_CHECKED = range(4)
SIGN = 0x80
TENT, LIVE, BELOW, TOMB, ABRT = range(1, 6)
READY, DRAIN, CONT, CLOSED = 2, 3, 4, 5
BIG = 110  # the class of blocks in a run of their own


def edit(operation, region, word, *operands):
    return struct.pack("<BH", operation | region << 4, word) + bytes(operands)


def u16(n):
    return n & 255, n >> 8


def segment():
    yield "sound", bytes([SMALL])
    for operation, operands in ((ZERO, ()), (ONES, ()), (NEIGHBOUR, ()), (OFFSET, ()), (FLIP, (61,)), (ADD, (1,)),
                                (SET, (1, 2, 3, 4, 5, 6, 7, 8)), (COPY, (HEADS, 0, 0))):
        for region in range(8):
            kind = (operation + region) % 4
            yield f"operation-{operation}-region-{region}", bytes([kind]) + edit(operation, region, 9, *operands)
    for state in range(8):
        yield f"slot-{state}", bytes([CHECKED]) + edit(SLOT, 0, 2, state, 5, 3) + edit(SLOT, 0, 9, state, 4, 3)
        yield f"span-{state}", bytes([SMALL]) + edit(SPAN, 0, 1, state, *u16(BIG), 2)
        yield f"h-{state}", bytes([SMALL]) + edit(H, 0, 3, state, 1) + edit(H, 0, 5, state | 8, 2)
    yield "two-slots-one-block", bytes([SMALL]) + edit(SLOT, 0, 1, LIVE, 2, 6) + edit(SLOT, 0, 8, LIVE, 2, 6)
    yield "tent-of-nobody", bytes([SMALL]) + b"".join(edit(SLOT, 0, i, TENT, i, i) for i in range(12))
    yield "run-over-neighbours", bytes([SMALL]) + edit(SPAN, 0, 0, READY, *u16(BIG), 8)
    yield "run-beyond-the-heap", bytes([SMALL]) + edit(SPAN, 0, 7, READY, *u16(BIG), 200)
    yield "cont-of-itself", bytes([SMALL]) + edit(SPAN, 0, 2, CONT, 0, 0, 0) + edit(SPAN, 0, 3, CONT, 0, 0, 1)
    yield "cont-before-the-first", bytes([SMALL]) + b"".join(edit(SPAN, 0, i, CONT, 0, 0, 200) for i in range(11))
    yield "blocks-over-blocks", bytes([SMALL]) + b"".join(edit(SPAN, 0, i, READY, i * 7, 0, 1) for i in range(6))
    yield "all-closed", bytes([LARGE]) + b"".join(edit(SPAN, 0, i, CLOSED, i, 0, 1) for i in range(20))
    yield "all-draining", bytes([SMALL]) + b"".join(edit(SPAN, 0, i, DRAIN, i, 0, 1) for i in range(9))
    yield "longest-key", bytes([SMALL]) + edit(PLACE, 0, 1, 1, 255, 255, 0, 0)
    yield "longest-value", bytes([LARGE]) + edit(PLACE, 0, 3, 1, *u16(8), *u16(0x7fff)) + edit(ONES, HEADS, 17)
    yield "names-everywhere", bytes([SMALL]) + b"".join(edit(NAME, 0, i, i, i & 1) for i in range(8, 60))
    yield "names-of-others", bytes([CHECKED]) + b"".join(edit(NAME, 0, 128 + i, i, i & 1) for i in range(8, 120))
    yield "claim-of-all", bytes([SMALL]) + edit(SET, ENTRIES, 139, 9, 0, 0, 0, 0, 0, 0, 0) + edit(ONES, ENTRIES, 11)
    yield "all-entries-used", bytes([SMALL]) + edit(ONES, HEADER, 69) + b"".join(edit(ONES, ENTRIES, i) for i in range(0, 512, 64))
    yield "generation-wraps", bytes([SMALL]) + edit(ONES, HEADER, 72)
    yield "bounds-beyond", bytes([SMALL]) + b"".join(edit(ONES, TABLE, 8 + 8 * i) for i in range(9))
    yield "signed-capacity", bytes([SMALL | SIGN]) + edit(ADD, HEADER, 3, 1)
    yield "signed-ones", bytes([SMALL | SIGN]) + edit(ONES, HEADER, 5)
    yield "signed-seed", bytes([SMALL | SIGN]) + edit(FLIP, HEADER, 21, 7)
    yield "signed-no-checksums", bytes([CHECKED | SIGN]) + edit(ZERO, HEADER, 23)
    for capacity, spans, entries, flags in ((27, 8, 3, 1), (27, 8, 3, 2), (10, 8, 3, 0), (60, 8, 2, 0), (1, 8, 4, 3)):
        yield f"layout-{capacity}-{entries}-{flags}", bytes([SMALL]) + edit(LAYOUT, 0, 0, capacity, spans, entries, flags)


def salvage():
    yield "whole", bytes([CHECKED, 255])
    yield "unchecked", bytes([SMALL, 255])
    for cut in range(0, 256, 16):
        yield f"cut-{cut:03}", bytes([LARGE_CHECKED, cut])
    for region in (TABLE, SPANS, HEADS, HEAP):
        for operation in (ZERO, ONES, NEIGHBOUR, OFFSET):
            yield f"operation-{operation}-region-{region}", bytes([CHECKED]) + edit(operation, region, 9) + b"\xff"
    yield "no-spans", bytes([CHECKED]) + b"".join(edit(ZERO, SPANS, i) for i in range(11)) + b"\xff"
    yield "longest-key", bytes([CHECKED]) + edit(PLACE, 0, 1, 1, 255, 255, 0, 0) + b"\xff"
    yield "longest-value", bytes([LARGE_CHECKED]) + edit(PLACE, 0, 3, 1, *u16(8), *u16(0x7fff)) + edit(ONES, HEADS, 17) + b"\xff"
    yield "two-slots-one-block", bytes([CHECKED]) + edit(SLOT, 0, 1, LIVE, 2, 6) + edit(SLOT, 0, 8, LIVE, 2, 6) + b"\xff"
    yield "slots-free", bytes([CHECKED]) + b"".join(edit(SLOT, 0, i, 0, 0, 0) for i in range(20)) + b"\xff"
    yield "signed-seed", bytes([CHECKED | SIGN]) + edit(FLIP, HEADER, 21, 7) + b"\xff"


def store():
    def change(page, operation, word, operand=0):
        return struct.pack("<BBHQ", page, operation, word, operand)

    yield "sound", bytes([0, 0])
    yield "sound-in-this-life", bytes([2, 0])
    yield "sound-read-only", bytes([4, 0])
    for cut in range(0, 256, 32):
        yield f"cut-{cut:03}", bytes([8, cut])
    for page in range(24):
        for how in (0, 1, 3):
            yield f"page-{page:02}-{how}", bytes([how, 0]) + change(page, (ZERO, ONES, NEIGHBOUR, ADD)[page % 4], 4 + page % 9, 1)
    for page in range(0, 24, 3):
        yield f"copy-{page:02}", bytes([page & 3, 0]) + change(page, 7, 0, page + 1)
    for word in range(12):
        for operation in (ZERO, ONES, FLIP):
            yield f"lock-{word:02}-{operation}", bytes([2, 0]) + change(255, operation, word, 7 * word)


def words():
    for i, text in enumerate((b"", b"0", b"1K", b"18446744073709551615", b"18446744073709551616", b"16777215T", b"16777216T",
                              b"-9223372036854775808", b"9223372036854775808", b"+7", b"1kk", b" 1", b"0x10", b"007", b"i64",
                              b"pickle", b"255", b"256", b"\\t\\n\\r\\\\\\x00\\xff", b"\\", b"\\x4", b"\\q",
                              "é€😀".encode(), b"\xc2\x9b31m", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe0\x9f\xbf", b"\xc0\x80",
                              b"\x1b[2J\x7f\0", b"QUJD", b"QUI=", b"QQ==", b"QR==", b"Q===", b"====", b"QUJ", b"\"\\/")):
        yield f"{i:02}", text


def records():
    lines = (b'{"key": "a", "value": "b"}', b'{"key_base64": "AP8=", "value_base64": ""}', b'{"key": "n", "type": "i64", "value": -7}',
             b'{"key": "n", "type": 200, "value": "x"}', b'{"key": "n", "value": 9223372036854775807}',
             b'{"key": "n", "type": "i64", "value_base64": "AAECAwQFBgc="}', b'{"key": "n", "value": 1.5}',
             b'{"key": "n", "value": 9223372036854775808}', b'{"key": "k", "key": "k", "value": ""}', b'{"value": "v"}',
             b'{"key": "k", "value": "v", "ttl": 1}', b'{"key": "\\u0000\\ud83d\\ude00\\u009b", "value": "\\u2028"}', b"[]", b"{", b"",
             b"key\tvalue", b"key\tvalue\tstr", b"n\t-7\ti64", b"n\t12345678\t2", b"n\t\\x00\\xff\t255", b"k\tv\t256", b"k\tv\t",
             b"k\\tk\t\\\\\\n", b"k", b"\t", b"k\t9223372036854775808\ti64", b"k\t 1\ti64", b"\x02\x01k\x01\x02\x03\x04\x05\x06\x07\x08",
             b"\x02\x02k\xff1234567", b"\x00\x01\xc3\xa9\xff\xfe")
    for i, line in enumerate(lines):
        yield f"{i:02}", line


def load():
    json = b'{"key": "a", "value": "b"}\n{"key": "n", "type": "i64", "value": 5}\n'
    yield "empty", b"\0"
    yield "json", b"\0" + json
    yield "json-blank-lines", b"\0\n\n" + json + b"\n\n"
    yield "json-no-end", b"\0" + json.rstrip()
    yield "json-bad-third", b"\0" + json + b"{]\n" + json
    yield "json-nul", b'\0{"key": "a", "value": "b"}\0\n'
    yield "json-empty-key", b"\0" + json + b'{"key": "", "value": "b"}\n'
    yield "json-twice", b"\0" + json + json
    yield "tsv", b"\1a\tb\nn\t5\ti64\n\\x00\\xff\t\\t\\n\t200\n"
    yield "tsv-bad-second", b"\1a\tb\nno tab\nc\td\n"
    yield "tsv-return", b"\1a\tb\r\nc\td\r\n"
    yield "tsv-does-not-fit", b"\1" + b"".join(b"%d\t%s\n" % (i, b"x" * 300) for i in range(9)) + b"\ty\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    root = parser.parse_args().folder
    for make in (segment, salvage, store, words, records, load):
        folder = root / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in make():
            (folder / ("seed-" + name)).write_bytes(content)


if __name__ == "__main__":
    main()
