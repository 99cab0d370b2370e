#include "cli/failures.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/reading.h"

/* Different ways to fail that are told apart; later ones are only counted. */
#define WAYS 64

/* How long a store may keep the end waiting for this. */
#define BUSY_MS 2000

struct tally {
    int64_t since_us; /* only trials started since; 0 = all */
    const char *study;
    int64_t n;
    struct failures ways[WAYS];
    size_t n_ways;
};

static void copy_attr(const struct trial *t, const char *key, char *out, size_t size)
{
    AUTO(buf_free) struct buf text = BUF_INIT;
    trial_attr_text(t->user_attrs, t->n_user_attrs, key, &text);
    (void)snprintf(out, size, "%s", buf_str(&text));
}

static const char *after_number(const char *p)
{
    return isdigit((unsigned char)*p) ? p + strspn(p, "0123456789.eE+-") : p;
}

/* Whether two messages say the same but for the numbers in them. */
static bool same_words(const char *a, const char *b)
{
    for (;;) {
        const char *x = after_number(a), *y = after_number(b);
        if ((x == a) != (y == b) || *x != *y)
            return false;
        if (*x == '\0')
            return true;
        a = x + 1;
        b = y + 1;
    }
}

static struct failures *find_way(struct tally *tally, const struct failures *f)
{
    for (size_t i = 0; i < tally->n_ways; i++) {
        struct failures *way = &tally->ways[i];
        if (strcmp(way->fail, f->fail) == 0 && same_words(way->message, f->message))
            return way;
    }
    if (tally->n_ways == WAYS)
        return NULL;
    tally->ways[tally->n_ways] = *f;
    return &tally->ways[tally->n_ways++];
}

static int count(void *ctx, const struct trial *t)
{
    struct tally *tally = ctx;
    struct failures f = {.same = 0};
    enum fail_class fail = FAIL_NONE;
    copy_attr(t, "forkless:class", f.fail, sizeof(f.fail));
    copy_attr(t, "forkless:message", f.message, sizeof(f.message));
    if (t->start_us < tally->since_us || !fail_class_from_name(f.fail, &fail) ||
        fail_class_is_interruption(fail))
        return 0;
    tally->n++;
    struct failures *way = find_way(tally, &f);
    if (way != NULL) {
        f.same = way->same + 1;
        f.study = tally->study;
        f.number = t->number;
        *way = f; /* the latest stands for all */
    }
    return 0;
}

static void count_all(struct tally *tally, struct store *s, const struct spec *cells, size_t n)
{
    const struct store_each_opts failed = {.states = STORE_STATE_BIT(TRIAL_FAIL),
                                           .want = WANT_USER_ATTRS};
    for (size_t i = 0; i < n; i++) {
        int64_t study;
        tally->study = cells[i].study.name;
        if (store_study_find(s, tally->study, &study, NULL) == 0)
            (void)store_trials_each(s, study, &failed, count, tally, NULL);
    }
}

void failures_read(struct failures *out, const struct spec *cells, size_t n_cells,
                   int64_t started_us)
{
    AUTO_STORE struct store *s = NULL;
    const struct store_opts opts = {.read_only = true, .busy_ms = BUSY_MS};
    struct tally tally = {.since_us = started_us};
    *out = (struct failures){0};
    if (store_open(&s, cells[0].study.storage, &opts, NULL) < 0)
        return;
    count_all(&tally, s, cells, n_cells);
    if (tally.n == 0) {
        tally.since_us = 0;
        count_all(&tally, s, cells, n_cells);
    }
    for (size_t i = 0; i < tally.n_ways; i++) {
        if (tally.ways[i].same >= out->same)
            *out = tally.ways[i];
    }
    out->n = tally.n;
}
