/* SPDX-License-Identifier: MIT
 *
 * What one x86-64 instruction does to memory: enough to see a load from, or a store to, a known range.
 */
#ifndef TESTS_LIB_DECODE_H
#define TESTS_LIB_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

enum instruction_what {
    INSN_MEMORY = 1u << 0, /* has a memory operand that is read or written */
    INSN_STORES = 1u << 1, /* writes it */
    INSN_LOCKED = 1u << 2, /* lock prefix */
    INSN_XCHG = 1u << 3,   /* xchg with memory: locked without the prefix */
    INSN_FENCE = 1u << 4,  /* mfence, lfence, sfence */
    INSN_SYSCALL = 1u << 5,
    INSN_STRING = 1u << 6, /* rsi and/or rdi, maybe repeated */
    INSN_WIDE = 1u << 7,   /* EVEX: its 8-bit displacement counts in operand sizes */
    INSN_SEGMENT = 1u << 8 /* fs: or gs: */
};

struct instruction {
    uint16_t what;
    int8_t base, index; /* number of the register, -1 = none, 16 = rip */
    uint8_t scale;
    bool byte_displacement;
    int32_t displacement;
};

struct instruction decode(const uint8_t *at);

/* May the instruction touch [from, from + bytes) with these registers? */
bool decode_touches(const struct instruction *instruction, const struct user_regs_struct *regs, uint64_t from,
                    uint64_t bytes);

#endif
