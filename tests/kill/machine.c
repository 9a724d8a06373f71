/* SPDX-License-Identifier: MIT
 *
 * Clock and chance (machine.h).
 *
 * The clock is read by a system call: the vDSO reads it again whenever the kernel has changed it meanwhile, at each tick,
 * and who is stepped needs longer than one for those forty instructions where the machine is busy.  He would never end.
 */
#include "kill/machine.h"

#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "lib/random.h"

static uint64_t chance; /* 0: the kernel's */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) { return (int)syscall(SYS_clock_gettime, clock, ret); }

void machine_seed(uint64_t seed) { chance = random_mix(seed) | 1; }

void __real_os_random(void *buf, size_t bytes);
void __wrap_os_random(void *buf, size_t bytes);
void __wrap_os_random(void *buf, size_t bytes)
{
    uint8_t *to = buf;
    if (chance == 0) {
        __real_os_random(buf, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(random_next(&chance) >> 56);
}
