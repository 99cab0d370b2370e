/* What the handle knows of a study. Each refresh asks for what may have changed: the trials that
 * were not finished, and those behind the newest one. */
#include <string.h>

#include "base/array.h"
#include "base/json.h"
#include "storage/grpc/client/client.h"
#include "storage/queue.h"

struct mirror *mirror_of(struct store_grpc *g, int64_t study)
{
    for (size_t i = 0; i < g->n_mirrors; i++) {
        if (g->mirrors[i]->study == study)
            return g->mirrors[i];
    }
    if (!array_resize(&g->mirrors, g->n_mirrors + 1, sizeof(struct mirror *)))
        return NULL;
    struct mirror *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    m->study = study;
    g->mirrors[g->n_mirrors++] = m;
    return m;
}

static void known_free(struct known *k)
{
    free(k->owner);
    free(k->claim);
}

/* Back to knowing nothing but which study it is. */
static void clear(struct mirror *m)
{
    for (size_t i = 0; i < m->n_open; i++)
        known_free(&m->open[i]);
    m->n_open = m->n_ended = m->n_told = 0;
    m->newest = (struct newest){0};
    m->n_directions = 0;
    m->loaded = m->fresh = m->told = m->told_now = m->run_noted = false;
    memset(m->counts, 0, sizeof(m->counts));
}

static void mirror_free(struct mirror *m)
{
    clear(m);
    free(m->open);
    free(m->ended);
    free(m->told_ids);
    free(m->doubt);
    free(m);
}

void mirrors_free(struct store_grpc *g)
{
    for (size_t i = 0; i < g->n_mirrors; i++)
        mirror_free(g->mirrors[i]);
    free(g->mirrors);
}

void mirror_forget(struct store_grpc *g, int64_t study)
{
    for (size_t i = 0; i < g->n_mirrors; i++) {
        if (g->mirrors[i]->study == study)
            clear(g->mirrors[i]);
    }
}

static size_t position(const struct mirror *m, int64_t trial)
{
    return LOWER_BOUND(i, m->n_open, m->open[i].id < trial);
}

struct known *mirror_find(struct mirror *m, int64_t trial)
{
    size_t i = position(m, trial);
    return i < m->n_open && m->open[i].id == trial ? &m->open[i] : NULL;
}

struct mirror *mirror_with(struct store_grpc *g, int64_t trial)
{
    for (size_t i = 0; i < g->n_mirrors; i++) {
        if (mirror_find(g->mirrors[i], trial) != NULL)
            return g->mirrors[i];
    }
    return NULL;
}

static void remove_known(struct mirror *m, struct known *k)
{
    size_t at = (size_t)(k - m->open);
    known_free(k);
    ARRAY_CLOSE(m->open, at, m->n_open);
    m->n_open--;
}

const char *client_attr(const struct trial_attr *attrs, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(attrs[i].key, key) == 0)
            return attrs[i].json;
    }
    return NULL;
}

/* The text of a system attribute that is a JSON string, owned; NULL: none. */
static char *text_attr(const struct trial *t, const char *key)
{
    const char *json = client_attr(t->system_attrs, t->n_system_attrs, key);
    AUTO_JSON json_t *value = json != NULL ? json_read(json, strlen(json), NULL) : NULL;
    const char *text = json_string_value(value);
    return text != NULL ? strdup(text) : NULL;
}

static double number_attr(const struct trial *t, const char *key)
{
    const char *json = client_attr(t->system_attrs, t->n_system_attrs, key);
    return json != NULL ? strtod(json, NULL) : 0;
}

static void update(struct known *k, const struct trial *t)
{
    known_free(k);
    k->state = t->state;
    k->number = t->number;
    k->start_us = t->start_us;
    k->seen = true;
    k->not_before_us = queue_not_before_of(t);
    k->beat_s = number_attr(t, ATTR_BEAT);
    k->owner = text_attr(t, STORE_ATTR_OWNER);
    k->claim = text_attr(t, ATTR_CLAIM);
}

static int64_t last_start(const struct trial *t)
{
    return trial_state_finished(t->state) ? t->start_us : 0;
}

int mirror_add(struct mirror *m, const struct trial *t, bool own, struct err *err)
{
    if (t->id > m->newest.id)
        m->newest = (struct newest){t->id, t->number, last_start(t)};
    m->counts[t->state]++;
    if (trial_state_finished(t->state))
        return 0;
    if (!array_reserve(&m->open, &m->cap_open, m->n_open + 1, sizeof(m->open[0])))
        return err_set(err, ERR_NOMEM, "a study's trials");
    size_t at = position(m, t->id);
    ARRAY_OPEN(m->open, at, m->n_open);
    m->open[at] = (struct known){.id = t->id, .own = own};
    m->n_open++;
    update(&m->open[at], t);
    return 0;
}

void mirror_set_state(struct mirror *m, int64_t trial, enum trial_state state)
{
    struct known *k = mirror_find(m, trial);
    if (k == NULL)
        return;
    m->counts[k->state]--;
    m->counts[state]++;
    k->state = state;
    if (state == TRIAL_RUNNING)
        k->start_us = 0; /* the server's to say */
    if (trial_state_finished(state) && m->newest.id == trial)
        m->newest.start_us = k->start_us;
    if (trial_state_finished(state))
        remove_known(m, k);
}

static int note(int64_t **list, size_t *n, size_t *cap, int64_t trial, struct err *err)
{
    if (!array_reserve(list, cap, *n + 1, sizeof((*list)[0])))
        return err_set(err, ERR_NOMEM, "a study's trials");
    (*list)[(*n)++] = trial;
    return 0;
}

static bool has_ended(const struct mirror *m, int64_t trial)
{
    for (size_t i = 0; i < m->n_ended; i++) {
        if (m->ended[i] == trial)
            return true;
    }
    return false;
}

/* ---- refresh ---- */

struct refresh {
    struct mirror *m;
    struct rpc *first;           /* what is done before; NULL: nothing */
    const struct rpc_room *room; /* for both; NULL: at any rate */
    struct newest before;        /* as it was known */
    bool seen;                   /* it is still there */
    store_trial_fn *tell;        /* NULL: nobody listens */
    void *ctx;
    bool again;   /* the study is not the one that was known */
    bool learned; /* something of the reply was taken in */
    struct err *err;
};

static int note_ended(struct refresh *r, const struct trial *t)
{
    struct mirror *m = r->m;
    if (!m->told || !trial_state_finished(t->state))
        return 0;
    return note(&m->ended, &m->n_ended, &m->cap_ended, t->id, r->err);
}

/* Ids are used again: is this the trial that was the newest one? */
static void recognise(struct refresh *r, const struct trial *t)
{
    const struct newest *n = &r->before;
    r->seen = true;
    r->again =
        r->again || t->number != n->number || (n->start_us != 0 && last_start(t) != n->start_us);
    if (r->m->newest.id == t->id)
        r->m->newest.start_us = last_start(t);
}

/* Takes in what a trial now is. */
static int learn(struct refresh *r, const struct trial *t)
{
    struct mirror *m = r->m;
    struct known *k = mirror_find(m, t->id);
    if (t->id == r->before.id)
        recognise(r, t);
    if (k == NULL && t->id <= r->before.id) /* asked for to be told, or to be recognised */
        return 0;
    if (k == NULL) {
        int rc = mirror_add(m, t, false, r->err);
        return rc < 0 ? rc : note_ended(r, t);
    }
    r->again = r->again || k->number != t->number;
    m->counts[k->state]--;
    m->counts[t->state]++;
    update(k, t);
    if (trial_state_finished(t->state))
        remove_known(m, k);
    return note_ended(r, t);
}

static bool to_be_told(struct refresh *r, const struct trial *t)
{
    if (!r->m->told)
        return true;
    if (trial_state_finished(t->state))
        return has_ended(r->m, t->id);
    const struct known *k = mirror_find(r->m, t->id);
    return t->state == TRIAL_RUNNING && k != NULL && !k->own;
}

static int on_trial(void *ctx, const struct trial *t)
{
    struct refresh *r = ctx;
    r->learned = true;
    int rc = learn(r, t);
    return rc == 0 && r->tell != NULL && to_be_told(r, t) ? r->tell(r->ctx, t) : rc;
}

static int ask(struct store_grpc *g, struct refresh *r)
{
    struct mirror *m = r->m;
    size_t n = 0;
    AUTO_FREE int64_t *also = calloc(m->n_open + m->n_ended + 1, sizeof(*also)); /* 1: the newest */
    if (also == NULL)
        return err_set(r->err, ERR_NOMEM, "a study's trials");
    for (size_t i = 0; i < m->n_open; i++) {
        also[n++] = m->open[i].id;
        m->open[i].seen = false;
    }
    for (size_t i = 0; r->tell != NULL && i < m->n_ended; i++)
        also[n++] = m->ended[i];
    r->before = m->newest;
    r->seen = m->newest.id == 0;
    if (!r->seen && mirror_find(m, m->newest.id) == NULL &&
        !(r->tell != NULL && has_ended(m, m->newest.id)))
        also[n++] = m->newest.id;
    bool all = !m->loaded || (r->tell != NULL && !m->told);
    const struct client_range range = {.study = m->study,
                                       .also = also,
                                       .n_also = n,
                                       .after_id = all ? -1 : m->newest.id,
                                       .first = r->first,
                                       .room = r->room};
    int rc = client_trials(g, &range, on_trial, r, r->err);
    r->first = NULL; /* done, once */
    r->room = NULL;
    r->again = r->again || (rc == 0 && !r->seen);
    for (size_t i = 0; i < m->n_open && rc == 0; i++)
        r->again = r->again || !m->open[i].seen;
    return rc;
}

/* A trial that was open, or the newest one, is not there any more or is another: the study was
 * deleted, and another has its id. */
static int refresh(struct store_grpc *g, struct refresh *r)
{
    int rc = ask(g, r);
    if (rc == 0 && r->again) {
        clear(r->m);
        r->again = false;
        rc = ask(g, r);
    }
    if (rc == -ERR_NOTFOUND || (rc != 0 && r->learned))
        clear(r->m); /* half known is worse than unknown */
    r->m->loaded = r->m->loaded || rc == 0;
    r->m->fresh = rc == 0 && g->in_batch;
    return rc;
}

int mirror_refresh(struct store_grpc *g, struct mirror *m, struct err *err)
{
    struct refresh r = {.m = m, .err = err};
    return refresh(g, &r);
}

int mirror_refresh_after(struct store_grpc *g, struct mirror *m, struct rpc *first,
                         const struct rpc_room *room, struct err *err)
{
    struct refresh r = {.m = m, .first = first, .room = room, .err = err};
    return refresh(g, &r);
}

int mirror_freshen(struct store_grpc *g, struct mirror *m, struct err *err)
{
    return m->fresh ? 0 : mirror_refresh(g, m, err);
}

int mirror_sync(struct store_grpc *g, struct mirror *m, store_trial_fn *fn, void *ctx,
                struct err *err)
{
    struct refresh r = {.m = m, .tell = fn, .ctx = ctx, .err = err};
    int rc = refresh(g, &r);
    for (size_t i = 0; i < m->n_ended && rc == 0 && g->in_batch; i++)
        rc = note(&m->told_ids, &m->n_told, &m->cap_told, m->ended[i], err);
    if (rc != 0)
        return rc;
    m->told_now = g->in_batch && (m->told_now || !m->told);
    m->told = true;
    m->n_ended = 0;
    return 0;
}

void mirrors_begin(struct store_grpc *g)
{
    for (size_t i = 0; i < g->n_mirrors; i++)
        g->mirrors[i]->fresh = false;
}

void mirrors_commit(struct store_grpc *g)
{
    for (size_t i = 0; i < g->n_mirrors; i++) {
        struct mirror *m = g->mirrors[i];
        m->fresh = m->told_now = false;
        m->n_told = 0;
    }
}

/* What was told is told again. */
void mirrors_roll_back(struct store_grpc *g)
{
    for (size_t i = 0; i < g->n_mirrors; i++) {
        struct mirror *m = g->mirrors[i];
        m->told = m->told && !m->told_now;
        for (size_t k = 0; k < m->n_told; k++) {
            if (note(&m->ended, &m->n_ended, &m->cap_ended, m->told_ids[k], NULL) < 0)
                m->told = false;
        }
    }
    mirrors_commit(g);
}
