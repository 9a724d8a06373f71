/* SPDX-License-Identifier: MIT
 *
 * What readers call of liburcu, inline: its headers let everybody have these.  The writers' side is called by its names.
 */
#ifndef SHOAL_BASE_RCU_H
#define SHOAL_BASE_RCU_H

#include <urcu/urcu-bp.h>

#ifdef RCU_BY_CALL /* liburcu makes its readers at addresses that their type's alignment forbids: not for UBSan */
#define RCU_READ_LOCK urcu_bp_read_lock
#define RCU_READ_UNLOCK urcu_bp_read_unlock
#define RCU_LOAD urcu_bp_dereference
#else
#include <urcu/static/pointer.h>
#include <urcu/static/urcu-bp.h>
#define RCU_READ_LOCK _urcu_bp_read_lock
#define RCU_READ_UNLOCK _urcu_bp_read_unlock
#define RCU_LOAD _rcu_dereference
#endif

#endif
