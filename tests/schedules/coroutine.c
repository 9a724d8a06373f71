/* SPDX-License-Identifier: MIT */
#include "schedules/coroutine.h"

#ifdef __x86_64__

/* swapcontext makes two system calls, for signal masks that nobody changes here.  This saves what the callee
 * must keep, and the stack. */
void coroutine_swap(void **save, void *to);
__asm__(".text\n"
        ".globl coroutine_swap\n"
        ".type coroutine_swap, @function\n"
        "coroutine_swap:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size coroutine_swap, .-coroutine_swap\n");

void coroutine_make(struct coroutine *c, uint8_t *stack, void (*main)(void))
{
    uintptr_t top = ((uintptr_t)stack + COROUTINE_STACK) & ~(uintptr_t)15;
    uint64_t *at = (uint64_t *)top;
    *--at = 0; /* a caller's return address: main begins with the stack at 8 modulo 16 */
    *--at = (uint64_t)(uintptr_t)main;
    for (uint32_t i = 0; i < 6; i++)
        *--at = 0;
    c->stack_pointer = at;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    coroutine_swap(&from->stack_pointer, to->stack_pointer);
}

#else

void coroutine_make(struct coroutine *c, uint8_t *stack, void (*main)(void))
{
    (void)getcontext(&c->context);
    c->context.uc_stack.ss_sp = stack;
    c->context.uc_stack.ss_size = COROUTINE_STACK;
    c->context.uc_link = NULL;
    makecontext(&c->context, main, 0);
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    (void)swapcontext(&from->context, &to->context);
}

#endif
