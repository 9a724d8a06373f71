/* SPDX-License-Identifier: MIT
 *
 * A decoder of memory operands: prefixes, opcode map, ModRM, SIB, displacement.  It need not know an
 * instruction's length: the processor steps.
 */
#include "lib/decode.h"

#include <string.h>

enum map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A };

struct prefixes {
    enum map map;
    uint8_t x, b; /* extend index and base */
    bool vector;  /* VEX or EVEX */
};

static bool legacy_prefix(uint8_t byte, struct instruction *instruction)
{
    switch (byte) {
    case 0xf0:
        instruction->what |= INSN_LOCKED;
        return true;
    case 0x64:
    case 0x65:
        instruction->what |= INSN_SEGMENT;
        return true;
    case 0x66:
    case 0x67:
    case 0xf2:
    case 0xf3:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x26:
        return true;
    default:
        return false;
    }
}

/* Everything before the opcode byte. */
static const uint8_t *read_prefixes(const uint8_t *at, struct prefixes *prefixes, struct instruction *instruction)
{
    while (legacy_prefix(*at, instruction))
        at++;
    if ((*at & 0xf0) == 0x40) { /* REX */
        prefixes->x = (uint8_t)((*at >> 1) & 1);
        prefixes->b = (uint8_t)(*at & 1);
        at++;
    }
    if (*at == 0xc5) { /* VEX, two bytes */
        prefixes->map = MAP_0F;
        prefixes->vector = true;
        return at + 2;
    }
    if (*at == 0xc4 || *at == 0x62) { /* VEX, three bytes; EVEX, four */
        const bool evex = *at == 0x62;
        prefixes->x = (uint8_t)(~at[1] >> 6 & 1);
        prefixes->b = (uint8_t)(~at[1] >> 5 & 1);
        prefixes->map = (enum map)(at[1] & 3);
        prefixes->vector = true;
        instruction->what |= evex ? INSN_WIDE : 0;
        return at + (evex ? 4 : 3);
    }
    if (*at == 0x0f) {
        prefixes->map = at[1] == 0x38 ? MAP_0F38 : at[1] == 0x3a ? MAP_0F3A : MAP_0F;
        return at + (prefixes->map == MAP_0F ? 1 : 2);
    }
    return at;
}

static bool has_modrm_one(uint8_t op)
{
    if (op < 0x40)
        return (op & 7) < 4;
    return op == 0x63 || op == 0x69 || op == 0x6b || (op >= 0x80 && op <= 0x8f) || op == 0xc0 || op == 0xc1 ||
           op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3) || (op >= 0xd8 && op <= 0xdf) || op == 0xf6 ||
           op == 0xf7 || op == 0xfe || op == 0xff;
}

static bool has_modrm_0f(uint8_t op)
{
    if (op <= 0x0b && op >= 0x05)
        return false;
    if ((op >= 0x30 && op <= 0x37) || op == 0x77 || (op >= 0x80 && op <= 0x8f) || (op >= 0xc8 && op <= 0xcf))
        return false;
    return !(op >= 0xa0 && op <= 0xa2) && !(op >= 0xa8 && op <= 0xaa) && op != 0x0e;
}

static bool stores_one(uint8_t op, uint8_t reg)
{
    if (op < 0x38)
        return (op & 7) < 2;
    switch (op) {
    case 0x80:
    case 0x81:
    case 0x83:
        return reg != 7;
    case 0xf6:
    case 0xf7:
        return reg == 2 || reg == 3;
    case 0xfe:
    case 0xff:
        return reg < 2;
    default:
        return op == 0x86 || op == 0x87 || op == 0x88 || op == 0x89 || op == 0x8c || op == 0x8f || op == 0xc0 ||
               op == 0xc1 || op == 0xc6 || op == 0xc7 || (op >= 0xd0 && op <= 0xd3);
    }
}

static bool stores_0f(uint8_t op, uint8_t reg)
{
    static const uint8_t stores[] = { 0x11, 0x13, 0x17, 0x29, 0x2b, 0x7e, 0x7f, 0xd6, 0xe7, 0xb0, 0xb1, 0xc0,
                                      0xc1, 0xc3, 0xc7, 0xab, 0xb3, 0xbb, 0xa4, 0xa5, 0xac, 0xad };
    if (op >= 0x90 && op <= 0x9f)
        return true;
    return memchr(stores, op, sizeof stores) != NULL || (op == 0xba && reg >= 5);
}

/* Base, index, displacement of a ModRM byte whose mod is not 3. */
static void read_operand(const uint8_t *modrm, const struct prefixes *prefixes, struct instruction *instruction)
{
    const uint8_t mod = *modrm >> 6, rm = *modrm & 7;
    const uint8_t *at = modrm + 1;
    instruction->base = (int8_t)(rm | prefixes->b << 3);
    if (rm == 4) {
        const uint8_t sib = *at++;
        const uint8_t index = (uint8_t)((sib >> 3 & 7) | prefixes->x << 3);
        instruction->scale = (uint8_t)(1 << (sib >> 6));
        instruction->index = (int8_t)(index == 4 ? -1 : index);
        instruction->base = (int8_t)((sib & 7) | prefixes->b << 3);
        if ((sib & 7) == 5 && mod == 0)
            instruction->base = -1;
    } else if (rm == 5 && mod == 0) {
        instruction->base = 16;
    }
    if (mod == 1) {
        instruction->displacement = (int8_t)*at;
        instruction->byte_displacement = true;
    } else if (mod == 2 || (mod == 0 && (instruction->base == -1 || instruction->base == 16))) {
        memcpy(&instruction->displacement, at, 4);
    }
}

static bool string_op(uint8_t op, struct instruction *instruction)
{
    if (!((op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf)))
        return false;
    instruction->what |= INSN_STRING | INSN_MEMORY;
    if (op == 0xa4 || op == 0xa5 || op == 0xaa || op == 0xab)
        instruction->what |= INSN_STORES;
    return true;
}

static void decode_memory(const uint8_t *op, const struct prefixes *prefixes, struct instruction *instruction)
{
    const uint8_t reg = op[1] >> 3 & 7;
    const bool one = prefixes->map == MAP_ONE;
    const bool hint = prefixes->map == MAP_0F && !prefixes->vector && ((*op >= 0x18 && *op <= 0x1f) || *op == 0x0d);
    if ((one && *op == 0x8d) || hint) /* lea; prefetches and long nops */
        return;
    instruction->what |= INSN_MEMORY;
    if (one ? stores_one(*op, reg) : prefixes->map == MAP_0F && stores_0f(*op, reg))
        instruction->what |= INSN_STORES;
    if (one && (*op == 0x86 || *op == 0x87))
        instruction->what |= INSN_XCHG;
    read_operand(op + 1, prefixes, instruction);
}

struct instruction decode(const uint8_t *at)
{
    struct instruction instruction = { .base = -1, .index = -1, .scale = 1 };
    struct prefixes prefixes = { MAP_ONE, 0, 0, false };
    const uint8_t *op = read_prefixes(at, &prefixes, &instruction);
    if (prefixes.map == MAP_ONE && string_op(*op, &instruction))
        return instruction;
    if (prefixes.map == MAP_0F && !prefixes.vector && *op == 0x05)
        instruction.what |= INSN_SYSCALL;
    if ((prefixes.map == MAP_ONE && !has_modrm_one(*op)) || (prefixes.map == MAP_0F && !has_modrm_0f(*op)))
        return instruction;
    if (op[1] >> 6 != 3)
        decode_memory(op, &prefixes, &instruction);
    else if (prefixes.map == MAP_0F && !prefixes.vector && *op == 0xae && (op[1] >> 3 & 7) >= 5)
        instruction.what |= INSN_FENCE;
    return instruction;
}

static uint64_t register_value(const struct user_regs_struct *regs, int number)
{
    const unsigned long long values[] = { regs->rax, regs->rcx, regs->rdx, regs->rbx, regs->rsp, regs->rbp,
                                          regs->rsi, regs->rdi, regs->r8,  regs->r9,  regs->r10, regs->r11,
                                          regs->r12, regs->r13, regs->r14, regs->r15, regs->rip };
    return number < 0 ? 0 : values[number];
}

static bool within(uint64_t address, uint64_t from, uint64_t bytes)
{
    return address + 63 >= from && address < from + bytes; /* an operand may begin before the range */
}

bool decode_touches(const struct instruction *instruction, const struct user_regs_struct *regs, uint64_t from,
                    uint64_t bytes)
{
    if (!(instruction->what & INSN_MEMORY) || (instruction->what & INSN_SEGMENT))
        return false;
    if (instruction->what & INSN_STRING)
        return within(regs->rsi, from, bytes) || within(regs->rdi, from, bytes);
    const uint64_t at = register_value(regs, instruction->base) +
                        register_value(regs, instruction->index) * instruction->scale;
    const int64_t displacement = instruction->displacement;
    if ((instruction->what & INSN_WIDE) && instruction->byte_displacement)
        return within(at, from, bytes) || within(at + (uint64_t)(displacement * 64), from, bytes) ||
               within(at + (uint64_t)(displacement * 32), from, bytes) ||
               within(at + (uint64_t)(displacement * 16), from, bytes);
    return within(at + (uint64_t)displacement, from, bytes);
}
