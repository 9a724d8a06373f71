// SPDX-License-Identifier: MIT

// Porcupine's verdicts on the histories that lincheck wrote (../history.h says how).
//
//	porcupine FILE
//
// Prints a line for each history: number, what was done to it (- = nothing), operations, processes, those
// that overlap another, pending, the first 16 digits of the SHA-256 of its lines, lincheck's verdict,
// Porcupine's.  The specification is written here once more, from the header, not from model.c.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	codeOK      = 0
	codeMissing = 1
	codeExists  = 2
	codeChanged = 3
	codeShort   = 4
	codeTimeout = 5
	codeInvalid = -1

	showsValue   = 1
	showsType    = 2
	showsBytes   = 4
	showsVersion = 8

	typeI64 = 2

	patience = 60 * time.Second // for one history
)

// One line of the file.
type op struct {
	kind              string
	key, life         int
	invoked, returned int64
	pending           bool
	code              int
	value             uint64
	bytes, typ        int
	seen              uint64
	shows             int
	got               uint64
	gotBytes, gotType int
	version           uint64
}

// What a key is; the zero value is an absent one.
type record struct {
	present    bool
	value      uint64
	bytes, typ int
}

type keyValue struct {
	key   int
	value uint64
}

// What all operations of a history share.
type facts struct {
	moves  bool
	values map[uint64]keyValue // what each version stands for
}

type history struct {
	number, what, verdict string
	moves                 bool
	ops                   []op
	digest                [32]byte
}

func (f *facts) mayBe(version uint64, r record) bool {
	if version == 0 || !r.present {
		return version == 0 && !r.present
	}
	known, ok := f.values[version]
	return !ok || known.value == r.value
}

func (f *facts) mayDiffer(version uint64, r record) bool {
	if version == 0 || !r.present {
		return version != 0 || r.present
	}
	known, ok := f.values[version]
	return f.moves || !ok || known.value != r.value
}

func (f *facts) shown(o *op, r record) bool {
	return r.present &&
		(o.shows&showsValue == 0 || o.got == r.value) &&
		(o.shows&showsBytes == 0 || o.gotBytes == r.bytes) &&
		(o.shows&showsType == 0 || o.gotType == r.typ) &&
		(o.shows&showsVersion == 0 || f.mayBe(o.version, r))
}

func (f *facts) met(o *op, r record) bool {
	if o.code == codeOK {
		return f.shown(o, r)
	}
	return o.code == codeMissing && !r.present
}

// The record behind an operation that answered as it did; false = it cannot have.
func (f *facts) after(o *op, r record) (record, bool) {
	stored := record{true, o.value, o.bytes, o.typ}
	switch o.kind {
	case "get", "getv", "peek", "info", "view", "get_many", "update_keep":
		return r, f.met(o, r)
	case "wait":
		if o.code == codeTimeout {
			return r, f.mayBe(o.seen, r)
		}
		return r, o.code == codeOK && o.version != o.seen && f.mayBe(o.version, r)
	case "put", "put_with", "put_many":
		return stored, o.code == codeOK
	case "add":
		if r.present {
			return r, o.code == codeExists
		}
		return stored, o.code == codeOK
	case "replace":
		if !r.present {
			return r, o.code == codeMissing
		}
		return stored, o.code == codeOK
	case "put_if":
		if o.code == codeOK {
			return stored, f.mayBe(o.seen, r)
		}
		return r, o.code == codeChanged && f.mayDiffer(o.seen, r)
	case "delete_if":
		if !r.present {
			return r, o.code == codeMissing
		}
		if o.code == codeOK {
			return record{}, f.mayBe(o.seen, r)
		}
		return r, o.code == codeChanged && f.mayDiffer(o.seen, r)
	case "delete", "delete_many", "update_remove":
		return record{}, f.met(o, r)
	case "take":
		if o.code == codeShort {
			return r, f.shown(o, r)
		}
		return record{}, f.met(o, r)
	case "update_store":
		return stored, f.met(o, r)
	case "incr":
		if r.present && (r.typ != typeI64 || r.bytes != 8) {
			return r, o.code == codeInvalid
		}
		sum := r.value + o.value
		return record{true, sum, 8, typeI64}, o.code == codeOK && sum == o.got
	}
	panic("kind " + o.kind)
}

// Where an operation that was cut off may have left the record, beside where it was.
func (f *facts) perhaps(o *op, r record) (record, bool) {
	full := *o
	full.pending = false
	full.shows = 0
	full.code = codeOK
	switch o.kind {
	case "incr":
		full.got = r.value + o.value
	case "update_store":
		if !r.present {
			full.code = codeMissing
		}
	}
	return f.after(&full, r)
}

func (f *facts) step(state, input, _ interface{}) []interface{} {
	o, r := input.(*op), state.(record)
	if !o.pending {
		if next, ok := f.after(o, r); ok {
			return []interface{}{next}
		}
		return nil
	}
	if next, ok := f.perhaps(o, r); ok && next != r {
		return []interface{}{r, next}
	}
	return []interface{}{r}
}

// False: one version stands for two values, or, where nothing was moved, two for one.
func (f *facts) learn(ops []op) bool {
	f.values = map[uint64]keyValue{}
	versions := map[keyValue]uint64{}
	for i := range ops {
		o := &ops[i]
		value := o.got
		switch {
		case o.pending || o.version == 0:
			continue
		case o.kind == "put_with" || o.kind == "put_if" || o.kind == "put_many":
			if o.code != codeOK {
				continue
			}
			value = o.value
		case o.shows&showsValue == 0 || o.shows&showsVersion == 0:
			continue
		}
		this := keyValue{o.key, value}
		if known, ok := f.values[o.version]; ok && known != this {
			return false
		}
		if known, ok := versions[this]; ok && known != o.version && !f.moves {
			return false
		}
		f.values[o.version] = this
		versions[this] = o.version
	}
	return true
}

func byKey(operations []porcupine.Operation) [][]porcupine.Operation {
	parts := map[int][]porcupine.Operation{}
	for _, o := range operations {
		key := o.Input.(*op).key
		parts[key] = append(parts[key], o)
	}
	all := [][]porcupine.Operation{}
	for _, part := range parts {
		all = append(all, part)
	}
	return all
}

func judge(h *history) string {
	f := &facts{moves: h.moves}
	if !f.learn(h.ops) {
		return "bad"
	}
	model := porcupine.NondeterministicModel{
		Partition: byKey,
		Init:      func() []interface{} { return []interface{}{record{}} },
		Step:      f.step,
	}
	operations := make([]porcupine.Operation, len(h.ops))
	for i := range h.ops {
		o := &h.ops[i]
		operations[i] = porcupine.Operation{ClientId: o.life, Input: o, Call: o.invoked, Return: o.returned}
	}
	switch porcupine.CheckOperationsTimeout(model.ToModel(), operations, patience) {
	case porcupine.Ok:
		return "ok"
	case porcupine.Illegal:
		return "bad"
	}
	return "unknown"
}

func overlapping(ops []op) int {
	n := 0
	for i := range ops {
		for j := range ops {
			a, b := &ops[i], &ops[j]
			if a.life != b.life && a.key == b.key && a.returned >= b.invoked && b.returned >= a.invoked {
				n++
				break
			}
		}
	}
	return n
}

func unsigned(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func small(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		panic(err)
	}
	return n
}

func stamp(word string) int64 {
	if n := unsigned(word); n < math.MaxInt64 {
		return int64(n)
	}
	return math.MaxInt64
}

func parse(w []string) op {
	return op{
		kind: w[1], key: small(w[2]), life: small(w[3]), invoked: stamp(w[4]), returned: stamp(w[5]),
		pending: w[6] == "1", code: small(w[7]), value: unsigned(w[8]), bytes: small(w[9]), typ: small(w[10]),
		seen: unsigned(w[11]), shows: small(w[12]), got: unsigned(w[13]), gotBytes: small(w[14]),
		gotType: small(w[15]), version: unsigned(w[16]),
	}
}

func report(h *history) {
	lives, pending := map[int]bool{}, 0
	for i := range h.ops {
		lives[h.ops[i].life] = true
		if h.ops[i].pending {
			pending++
		}
	}
	fmt.Printf("%s\t%s\t%d\t%d\t%d\t%d\t%x\t%s\t%s\n", h.number, h.what, len(h.ops), len(lives), overlapping(h.ops),
		pending, h.digest[:8], h.verdict, judge(h))
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	h, text := &history{}, []byte{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		switch w[0] {
		case "h":
			h, text = &history{number: w[1], moves: w[3] == "1", verdict: w[4], what: w[5]}, nil
		case "o":
			h.ops = append(h.ops, parse(w))
			text = append(append(text, lines.Text()...), '\n')
		case "e":
			h.digest = sha256.Sum256(text)
			report(h)
		}
	}
}
