/* SPDX-License-Identifier: MIT
 *
 * Texts: every code has one, and each thread has its own last failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/error.h"

static void every_code_has_a_text_of_its_own(void **state)
{
    (void)state;
    const char *unknown = shoal_strerror(SHOAL_END + 1);
    assert_string_equal(shoal_strerror(SHOAL_EOS - 1), unknown);
    for (int a = SHOAL_EOS; a <= SHOAL_END; a++) {
        assert_string_not_equal(shoal_strerror(a), unknown);
        for (int b = SHOAL_EOS; b < a; b++)
            assert_string_not_equal(shoal_strerror(a), shoal_strerror(b));
    }
}

static void *look(void *ret_same)
{
    int empty = shoal_error_text()[0] == '\0';
    (void)error_set(SHOAL_EINVAL, "other");
    *(int *)ret_same = empty && strcmp(shoal_error_text(), "other") == 0;
    return NULL;
}

static void each_thread_has_its_own_text(void **state)
{
    (void)state;
    int fine = 0;
    pthread_t thread;
    assert_int_equal(error_set(SHOAL_ENOMAP, "%s: %d", "mine", 5), SHOAL_ENOMAP);
    assert_int_equal(pthread_create(&thread, NULL, look, &fine), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(fine);
    assert_string_equal(shoal_error_text(), "mine: 5");
}

static void errno_stays_and_is_told(void **state)
{
    (void)state;
    errno = ENOSPC;
    assert_int_equal(error_os("jobs: %d bytes", 7), SHOAL_EOS);
    assert_int_equal(errno, ENOSPC);
    assert_string_equal(shoal_error_text(), "jobs: 7 bytes: No space left on device");
    assert_int_equal(error_set(SHOAL_EFULL, "jobs"), SHOAL_EFULL);
    assert_int_equal(errno, ENOSPC);
    assert_string_equal(shoal_error_text(), "jobs");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(error_set(SHOAL_EINVAL, "%s", text), SHOAL_EINVAL);
    assert_int_equal(strlen(shoal_error_text()), 511);
    errno = EIO;
    assert_int_equal(error_os("%s", text), SHOAL_EOS);
    assert_int_equal(strlen(shoal_error_text()), 511);
}

static void the_last_text_may_go_into_the_next(void **state)
{
    (void)state;
    (void)error_set(SHOAL_EINVAL, "inner");
    (void)error_set(SHOAL_EINVAL, "outer: %s", shoal_error_text());
    assert_string_equal(shoal_error_text(), "outer: inner");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_text_of_its_own), cmocka_unit_test(each_thread_has_its_own_text),
        cmocka_unit_test(errno_stays_and_is_told),          cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(the_last_text_may_go_into_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
