/* SPDX-License-Identifier: MIT
 *
 * Views: what a view shows never changes, whatever becomes of the key, the thread and the map (guarantee
 * C), and the memory behind it comes back when it ends, not before.
 */
#include "unit/frame.h"

#include <pthread.h>
#include <stdlib.h>

#define PINNED 24 /* views of one thread that pin; more are private copies */
#define VIEWS 40

static void key_of(int i, char *ret_key) { (void)snprintf(ret_key, 16, "key%d", i); }
static void value_of(int i, char *ret_value) { (void)snprintf(ret_value, 32, "value of %d", i); }

static void fill(struct shoal *map, int n)
{
    char key[16], value[32];
    for (int i = 0; i < n; i++) {
        key_of(i, key);
        value_of(i, value);
        assert_int_equal(put_text(map, key, value), 0);
    }
}

static void assert_shows(const struct shoal_view *view, const char *value)
{
    assert_int_equal(view->bytes, strlen(value));
    assert_memory_equal(view->value, value, view->bytes);
    assert_int_equal((uintptr_t)view->value % 8, 0);
}

static void view_text(struct shoal *map, const char *key, struct shoal_view *ret_view)
{
    assert_int_equal(shoal_view(map, key, strlen(key), ret_view), 0);
}

/* Writes enough for every free block to be used again. */
static void churn(struct shoal *map)
{
    char value[64];
    for (int i = 0; i < 3000; i++) {
        memset(value, 'a' + i % 26, sizeof value);
        assert_int_equal(shoal_put(map, &(int){ i % 16 }, sizeof(int), value, (size_t)(i % 64)), 0);
    }
    assert_int_equal(shoal_reap(map, NULL), 0);
}

static void a_view_of_nothing_is_untouched(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_view view;
    uint8_t before[sizeof view];
    memset(&view, 0xa5, sizeof view);
    memcpy(before, &view, sizeof view);
    assert_int_equal(shoal_view(map, "none", 4, &view), SHOAL_MISSING);
    assert_memory_equal(&view, before, sizeof view);
    assert_refused(shoal_view(map, "", 0, &view), SHOAL_EINVAL, "key has 0 bytes");
    assert_memory_equal(&view, before, sizeof view);
    view = (struct shoal_view){ 0 };
    shoal_view_end(&view); /* ends nothing */
    shoal_view_end(NULL);
}

static void views_outlast_delete_replace_and_reuse(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_view replaced, deleted, taken, counted;
    fill(map, 3);
    assert_int_equal(shoal_incr(map, "n", 1, 5, NULL), 0);
    view_text(map, "key0", &replaced);
    view_text(map, "key1", &deleted);
    view_text(map, "key2", &taken);
    view_text(map, "n", &counted);
    char buf[32];
    assert_int_equal(put_text(map, "key0", "another value"), 0);
    assert_int_equal(shoal_delete(map, "key1", 4), 0);
    assert_int_equal(shoal_take(map, "key2", 4, buf, sizeof buf, NULL), 0);
    assert_int_equal(shoal_incr(map, "n", 1, 1, NULL), 0);
    churn(map);
    assert_shows(&replaced, "value of 0");
    assert_shows(&deleted, "value of 1");
    assert_shows(&taken, "value of 2");
    assert_int_equal(*(const int64_t *)counted.value, 5);
    assert_true(stats_of(map).retired_bytes > 0);
    shoal_view_end(&replaced);
    shoal_view_end(&deleted);
    shoal_view_end(&taken);
    shoal_view_end(&counted);
    assert_int_equal(shoal_reap(map, NULL), 0);
    assert_int_equal(stats_of(map).retired_bytes, 0); /* what they held back is free */
}

static void views_beyond_24_are_private_copies(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_view view[VIEWS];
    char key[16], value[32];
    fill(map, VIEWS);
    for (int i = 0; i < VIEWS; i++) {
        key_of(i, key);
        view_text(map, key, &view[i]);
        assert_int_equal(shoal_delete(map, key, strlen(key)), 0);
    }
    churn(map);
    for (int i = 0; i < VIEWS; i++) {
        value_of(i, value);
        assert_shows(&view[i], value);
    }
    for (int i = 0; i < PINNED / 2; i++)
        shoal_view_end(&view[i]);
    fill(map, PINNED / 2); /* as many can pin again */
    for (int i = 0; i < PINNED / 2; i++) {
        key_of(i, key);
        view_text(map, key, &view[i]);
    }
    for (int i = VIEWS - 1; i >= 0; i--) {
        value_of(i, value);
        assert_shows(&view[i], value);
        shoal_view_end(&view[i]);
    }
    assert_int_equal(shoal_reap(map, NULL), 0);
    assert_int_equal(stats_of(map).retired_bytes, 0);
}

static void ending_twice_is_allowed(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_view one, other, copies[PINNED + 1];
    fill(map, 2);
    view_text(map, "key0", &one);
    shoal_view_end(&one);
    view_text(map, "key1", &other); /* may have the place of the first one */
    shoal_view_end(&one);
    shoal_view_end(&one);
    assert_int_equal(shoal_delete(map, "key1", 4), 0);
    churn(map);
    assert_shows(&other, "value of 1");
    for (int i = 0; i <= PINNED; i++)
        view_text(map, "key0", &copies[i]);
    for (int i = 0; i <= PINNED; i++) {
        shoal_view_end(&copies[i]);
        shoal_view_end(&copies[i]);
    }
    shoal_view_end(&other);
    shoal_view_end(&other);
}

static void views_of_empty_values(void **state)
{
    struct shoal *map = frame_small(*state);
    struct shoal_view view[PINNED + 1]; /* the last one is a copy */
    assert_int_equal(put_text(map, "empty", ""), 0);
    for (int i = 0; i <= PINNED; i++) {
        view_text(map, "empty", &view[i]);
        assert_non_null(view[i].value);
        assert_shows(&view[i], "");
    }
    for (int i = 0; i <= PINNED; i++)
        shoal_view_end(&view[i]);
}

/* -- Close ------------------------------------------------------------------------------------------------- */

static void views_outlast_close(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f), *again;
    struct shoal_view view[PINNED + 1]; /* the last one is a copy */
    fill(map, 1);
    for (int i = 0; i <= PINNED; i++)
        view_text(map, "key0", &view[i]);
    shoal_close(map);
    f->map = NULL;
    assert_refused(shoal_get(map, "key0", 4, NULL, 0, NULL), SHOAL_EINVAL, "closed");
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &again), 0);
    assert_int_equal(stats_of(again).attached, 2); /* the entry stays as long as its views */
    assert_int_equal(shoal_delete(again, "key0", 4), 0);
    churn(again);
    for (int i = 0; i <= PINNED; i++) {
        assert_shows(&view[i], "value of 0");
        shoal_view_end(&view[i]);
    }
    assert_int_equal(stats_of(again).attached, 1);
    f->map = again;
}

static void views_of_a_read_only_map_are_copies(void **state)
{
    struct frame *f = *state;
    struct shoal *map = frame_small(f), *reader;
    struct shoal_view view;
    fill(map, 1);
    assert_int_equal(shoal_open(frame_path(f, "map"), SHOAL_RDONLY, &reader), 0);
    view_text(reader, "key0", &view);
    assert_int_equal(shoal_delete(map, "key0", 4), 0);
    churn(map);
    shoal_close(reader);
    assert_shows(&view, "value of 0");
    shoal_view_end(&view);
}

/* -- Threads ---------------------------------------------------------------------------------------------------- */

struct handover {
    struct shoal *map;
    struct shoal_view view[PINNED + 1];
};

static void *take_views(void *arg)
{
    struct handover *h = arg;
    for (int i = 0; i <= PINNED; i++)
        view_text(h->map, "key0", &h->view[i]);
    return NULL;
}

static void *end_views(void *arg)
{
    struct handover *h = arg;
    for (int i = 0; i <= PINNED; i++)
        shoal_view_end(&h->view[i]);
    return NULL;
}

static void run_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void views_outlast_their_thread(void **state)
{
    struct handover h = { .map = frame_small(*state) };
    fill(h.map, 1);
    run_thread(take_views, &h);
    assert_int_equal(stats_of(h.map).attached, 2);
    assert_int_equal(shoal_delete(h.map, "key0", 4), 0);
    churn(h.map);
    for (int i = 0; i <= PINNED; i++)
        assert_shows(&h.view[i], "value of 0");
    for (int i = 0; i < PINNED; i++) {
        shoal_view_end(&h.view[i]);
        assert_int_equal(stats_of(h.map).attached, i < PINNED - 1 ? 2 : 1); /* the last pin ends the entry */
    }
    shoal_view_end(&h.view[PINNED]);
    assert_int_equal(shoal_reap(h.map, NULL), 0);
    assert_int_equal(stats_of(h.map).retired_bytes, 0);
}

static void another_thread_ends_the_views(void **state)
{
    struct handover h = { .map = frame_small(*state) };
    fill(h.map, 1);
    take_views(&h);
    assert_int_equal(shoal_delete(h.map, "key0", 4), 0);
    run_thread(end_views, &h);
    assert_int_equal(shoal_reap(h.map, NULL), 0);
    assert_int_equal(stats_of(h.map).retired_bytes, 0);
    fill(h.map, 1);
    take_views(&h); /* the places are free again */
    assert_non_null(h.view[PINNED - 1].internal[0]);
    end_views(&h);
}

/* The thread ends, the map is closed, and only then, elsewhere, the view. */
static void thread_then_map_then_view(void **state)
{
    struct frame *f = *state;
    struct handover h = { .map = frame_small(f) };
    fill(h.map, 1);
    run_thread(take_views, &h);
    shoal_close(h.map);
    f->map = NULL;
    for (int i = 0; i <= PINNED; i++)
        assert_shows(&h.view[i], "value of 0");
    run_thread(end_views, &h);
    struct shoal *again;
    assert_int_equal(shoal_open(frame_path(f, "map"), 0, &again), 0);
    assert_int_equal(stats_of(again).attached, 1);
    f->map = again;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRAME_TEST(a_view_of_nothing_is_untouched),
        FRAME_TEST(views_outlast_delete_replace_and_reuse),
        FRAME_TEST(views_beyond_24_are_private_copies),
        FRAME_TEST(ending_twice_is_allowed),
        FRAME_TEST(views_of_empty_values),
        FRAME_TEST(views_outlast_close),
        FRAME_TEST(views_of_a_read_only_map_are_copies),
        FRAME_TEST(views_outlast_their_thread),
        FRAME_TEST(another_thread_ends_the_views),
        FRAME_TEST(thread_then_map_then_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
