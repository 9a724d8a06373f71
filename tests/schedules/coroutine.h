/* SPDX-License-Identifier: MIT
 *
 * Stacks to switch between, in one thread.  A stack that is left for good needs no end: what it held is
 * reset with the world.
 */
#ifndef SCHEDULES_COROUTINE_H
#define SCHEDULES_COROUTINE_H

#include <stdint.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#define COROUTINE_STACK (256u << 10)

struct coroutine {
#ifdef __x86_64__
    void *stack_pointer;
#else
    ucontext_t context;
#endif
};

/* `main` never returns.  The stack is of COROUTINE_STACK bytes. */
void coroutine_make(struct coroutine *c, uint8_t *stack, void (*main)(void));
void coroutine_switch(struct coroutine *from, struct coroutine *to);

#endif
