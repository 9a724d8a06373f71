/* SPDX-License-Identifier: MIT
 *
 * Nothing may be thrown into the harness, which is C.
 */
#ifndef SHOAL_BENCH_GUARD_HPP
#define SHOAL_BENCH_GUARD_HPP

#include <exception>

#include "../driver.h"

template <class F> int guarded(F &&call)
{
    try {
        return call();
    } catch (const std::exception &problem) {
        return driver_fail("%s", problem.what());
    }
}

#endif
