/* Copying studies from one store to another, whatever the backends. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "storage/copy_tables.h"

struct source_study {
    int64_t id;
    char *name;
    enum direction *directions;
    size_t n_directions;
};

struct copying {
    struct store *dst, *src;
    const struct store_copy_opts *opts;
    struct source_study *studies;
    size_t n;
    struct store_copied done;
    bool keep_ids;
    int64_t study;    /* in dst */
    size_t n_begun;   /* studies that were made in dst */
    bool ids_refused; /* one is taken, or they cannot be chosen */
    struct err *err;
};

static void copying_free(struct copying *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->studies[i].name);
        free(c->studies[i].directions);
    }
    free(c->studies);
}

static bool wanted(const struct store_copy_opts *opts, const char *name)
{
    for (size_t i = 0; i < opts->n_names; i++) {
        if (strcmp(opts->names[i], name) == 0)
            return true;
    }
    return opts->n_names == 0;
}

static int note_study(void *ctx, const struct study_info *info)
{
    struct copying *c = ctx;
    if (!wanted(c->opts, info->name))
        return 0;
    struct source_study *grown = realloc(c->studies, (c->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return err_set(c->err, ERR_NOMEM, "studies");
    c->studies = grown;
    struct source_study *s = &grown[c->n++];
    *s = (struct source_study){.id = info->id,
                               .name = strdup(info->name),
                               .directions = calloc(info->n_directions, sizeof(*s->directions)),
                               .n_directions = info->n_directions};
    if (s->name == NULL || s->directions == NULL)
        return err_set(c->err, ERR_NOMEM, "studies");
    memcpy(s->directions, info->directions, info->n_directions * sizeof(*s->directions));
    return 0;
}

static int check_names(const struct copying *c)
{
    for (size_t i = 0; i < c->opts->n_names; i++) {
        bool found = false;
        for (size_t k = 0; k < c->n && !found; k++)
            found = strcmp(c->studies[k].name, c->opts->names[i]) == 0;
        if (!found)
            return err_set(c->err, ERR_NOTFOUND, "there is no study '%s' to copy",
                           c->opts->names[i]);
    }
    return 0;
}

/* The text lives only as long as the callback: it is written at once. */
struct attr_copy {
    struct copying *c;
    enum attr_kind kind;
};

static int copy_attr(void *ctx, const struct trial_attr *attr)
{
    const struct attr_copy *a = ctx;
    return store_study_attr_set(a->c->dst, a->c->study, a->kind, attr->key, attr->json, a->c->err);
}

static int copy_attrs(struct copying *c, int64_t from)
{
    int rc = 0;
    for (int kind = ATTR_USER; rc == 0 && kind <= ATTR_SYSTEM; kind++) {
        struct attr_copy a = {c, (enum attr_kind)kind};
        rc = store_study_attrs_each(c->src, from, a.kind, copy_attr, &a, c->err);
    }
    return rc;
}

static int copy_trial(void *ctx, const struct trial *t)
{
    struct copying *c = ctx;
    int64_t number = t->number;
    int rc = c->keep_ids ? store_trial_import(c->dst, c->study, t, c->err)
                         : store_trial_create(c->dst, c->study, t, NULL, &number, c->err);
    c->ids_refused = c->ids_refused || (c->keep_ids && rc == -ERR_EXISTS);
    if (rc == 0 && number != t->number)
        rc = err_set(c->err, ERR_CORRUPT,
                     "trial %lld would become number %lld: the numbers of the source have gaps or "
                     "are not in the order of its ids; see forkless db check",
                     (long long)t->number, (long long)number);
    if (rc < 0)
        return err_wrap(c->err, rc, "trial %lld", (long long)t->number);
    c->done.trials++;
    c->done.running += t->state == TRIAL_RUNNING;
    return 0;
}

static int make_study(struct copying *c, const struct source_study *s)
{
    const struct study_info info = {
        .id = s->id, .name = s->name, .directions = s->directions, .n_directions = s->n_directions};
    c->study = s->id;
    int rc = c->keep_ids ? store_study_import(c->dst, &info, c->err)
                         : store_study_create(c->dst, s->name, s->directions, s->n_directions,
                                              &c->study, c->err);
    c->ids_refused =
        c->ids_refused || (c->keep_ids && (rc == -ERR_EXISTS || rc == -ERR_UNSUPPORTED));
    return rc;
}

static int copy_study(struct copying *c, const struct source_study *s)
{
    const struct store_each_opts all = {.want = WANT_ALL};
    int rc = make_study(c, s);
    c->n_begun += rc == 0;
    if (rc == 0)
        rc = copy_attrs(c, s->id);
    if (rc == 0)
        rc = store_trials_each(c->src, s->id, &all, copy_trial, c, c->err);
    c->done.studies += rc == 0;
    return rc;
}

/* What no transaction takes back. */
static int take_back(const struct copying *c, int rc)
{
    for (size_t i = 0; i < c->n_begun && !store_keeps_tables(c->dst); i++) {
        int64_t study;
        struct err why = {0};
        int gone = store_study_find(c->dst, c->studies[i].name, &study, &why);
        if (gone == 0)
            gone = store_study_delete(c->dst, study, &why);
        if (gone < 0 && gone != -ERR_NOTFOUND)
            return err_wrap(c->err, rc, "study '%s' stands there half copied, delete it",
                            c->studies[i].name);
    }
    return rc;
}

static int copy_all(struct copying *c, bool keep_ids)
{
    c->done = (struct store_copied){.kept_ids = keep_ids};
    c->keep_ids = keep_ids;
    c->n_begun = 0;
    int rc = store_begin(c->dst, c->err);
    if (rc == 0) /* before the trials, so that each row finds its own there */
        rc = copy_tables(c->dst, c->src, c->opts, &c->done, c->err);
    for (size_t i = 0; rc == 0 && i < c->n; i++) {
        rc = copy_study(c, &c->studies[i]);
        if (rc < 0)
            (void)err_wrap(c->err, rc, "study '%s'", c->studies[i].name);
    }
    if (rc == 0)
        return store_commit(c->dst, true, c->err);
    store_rollback(c->dst);
    return take_back(c, rc);
}

int store_copy(struct store *dst, struct store *src, const struct store_copy_opts *opts,
               struct store_copied *out, struct err *err)
{
    AUTO(copying_free) struct copying c = {.dst = dst, .src = src, .opts = opts, .err = err};
    int rc = store_studies_look(src, note_study, &c, err);
    if (rc == 0)
        rc = check_names(&c);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c.n; i++) {
        int64_t there;
        rc = store_study_find(dst, c.studies[i].name, &there, NULL);
        if (rc == 0)
            return err_set(err, ERR_EXISTS, "there is a study '%s' already where it is to go",
                           c.studies[i].name);
    }
    rc = copy_all(&c, true);
    if ((rc == -ERR_EXISTS || rc == -ERR_UNSUPPORTED) && c.ids_refused)
        rc = copy_all(&c, false);
    if (rc == 0)
        *out = c.done;
    return rc;
}
