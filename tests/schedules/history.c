/* SPDX-License-Identifier: MIT */
#include "schedules/history.h"

#include "shoal/shoal.h"

struct search {
    const struct event *events;
    uint32_t n, must; /* bit per event that has ended */
    struct key_state to;
};

static bool answers(const struct event *e, bool found, int missing)
{
    return e->ended == 0 || e->code == (found ? 0 : missing);
}

/* Does the event fit here?  Then what the key holds behind it. */
static bool apply(const struct event *e, struct key_state *k)
{
    const struct key_state was = *k;
    bool told = e->ended != 0;
    if (told && e->code == SHOAL_EFULL) /* it changes nothing */
        return true;
    switch (e->op.kind) {
    case OP_PUT:
        *k = (struct key_state){ true, e->op.value };
        return answers(e, true, 0);
    case OP_ADD:
        if (!was.present)
            *k = (struct key_state){ true, e->op.value };
        return answers(e, !was.present, SHOAL_EXISTS);
    case OP_DELETE:
        *k = (struct key_state){ false, 0 };
        return answers(e, was.present, SHOAL_MISSING);
    case OP_TAKE:
        *k = (struct key_state){ false, 0 };
        return answers(e, was.present, SHOAL_MISSING) && (!told || !was.present || e->got == was.value);
    case OP_GET:
    case OP_GET_MANY:
    case OP_GETV:
        return answers(e, was.present, SHOAL_MISSING) && (!told || !was.present || e->got == was.value);
    case OP_DELETE_IF:
        if (was.present && was.value == e->op.value)
            *k = (struct key_state){ false, 0 };
        return !told || e->code == (!was.present ? SHOAL_MISSING : was.value == e->op.value ? 0 : SHOAL_CHANGED);
    case OP_WAIT:
        return !told || (e->code == 0 && (e->op.value == 0 ? was.present : !was.present || was.value != e->op.value));
    case OP_INCR:
        *k = (struct key_state){ true, (was.present ? was.value : 0) + e->op.value };
        return answers(e, true, 0) && (!told || e->got == k->value);
    default:
        return true;
    }
}

static bool is_next(const struct search *s, uint32_t done, uint32_t i)
{
    const struct event *e = &s->events[i];
    for (uint32_t j = 0; j < s->n; j++) {
        const struct event *other = &s->events[j];
        bool is_done = (done >> j & 1) != 0;
        if (!is_done && other->ended != 0 && other->ended < e->began)
            return false;
        if (is_done && e->ended == 0 && e->decided != 0 && e->decided < other->began)
            return false;
    }
    return true;
}

static bool search_from(const struct search *s, uint32_t done, struct key_state now)
{
    if ((done & s->must) == s->must && now.present == s->to.present && (!now.present || now.value == s->to.value))
        return true;
    for (uint32_t i = 0; i < s->n; i++) {
        struct key_state next = now;
        if ((done >> i & 1) == 0 && is_next(s, done, i) && apply(&s->events[i], &next) &&
            search_from(s, done | 1u << i, next))
            return true;
    }
    return false;
}

bool history_explains(const struct event *events, uint32_t n, struct key_state from, struct key_state to)
{
    struct search s = { events, n, 0, to };
    for (uint32_t i = 0; i < n; i++)
        s.must |= (uint32_t)(events[i].ended != 0) << i;
    return search_from(&s, 0, from);
}
