/* SPDX-License-Identifier: MIT
 *
 * What readers call of liburcu, inline: its headers let everybody have these.  The writers' side is called by its names.
 */
#ifndef SHOAL_BASE_RCU_H
#define SHOAL_BASE_RCU_H

#include <stddef.h>

#include <urcu/urcu-bp.h>

#include "base/hot.h"

#ifdef RCU_BY_CALL /* liburcu makes its readers at addresses that their type's alignment forbids: not for UBSan */
#define RCU_READ_LOCK urcu_bp_read_lock
#define RCU_READ_UNLOCK urcu_bp_read_unlock
#define RCU_LOAD urcu_bp_dereference
#define RCU_CAN_ENTER true
typedef char *rcu_section;
HOT_INLINE rcu_section rcu_enter(void)
{
    static char here;
    urcu_bp_read_lock();
    return &here;
}
HOT_INLINE void rcu_leave(rcu_section section)
{
    (void)section;
    urcu_bp_read_unlock();
}
#else
#include <urcu/static/pointer.h>
#include <urcu/static/urcu-bp.h>
#define RCU_READ_LOCK _urcu_bp_read_lock
#define RCU_READ_UNLOCK _urcu_bp_read_unlock
#define RCU_LOAD _rcu_dereference
/* The lock for few loads, where the kernel has membarrier.  NULL: not locked; the thread is not known to liburcu yet, or has the
 * lock already, which RCU_READ_LOCK counts. */
#define RCU_CAN_ENTER (urcu_bp_has_sys_membarrier != 0)
typedef unsigned long *rcu_section;
HOT_INLINE rcu_section rcu_enter(void)
{
    struct urcu_bp_reader *reader = URCU_TLS(urcu_bp_reader);
    cmm_barrier();
    if (caa_unlikely(reader == NULL || (reader->ctr & URCU_BP_GP_CTR_NEST_MASK) != 0))
        return NULL;
    _CMM_STORE_SHARED(reader->ctr, _CMM_LOAD_SHARED(urcu_bp_gp.ctr));
    cmm_barrier();
    return &reader->ctr;
}
HOT_INLINE void rcu_leave(rcu_section section)
{
    cmm_barrier();
    _CMM_STORE_SHARED(*section, 0); /* one phase or the other: nobody looks at it */
    cmm_barrier();
}
#endif

#endif
