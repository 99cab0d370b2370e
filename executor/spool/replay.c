#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executor/spool/spool.h"

/* --- entries to the store
 * -------------------------------------------------------------------------- */

/* A trial of the spool, over its entries. */
struct known_trial {
    const char *study;
    int64_t number;
    int64_t id;     /* in the store, as it was found for its first entry; 0 = not yet */
    unsigned next;  /* part */
    bool broken;    /* one of its entries is damaged */
    bool told;      /* that it is in the report */
    struct err why; /* the first refusal of one of its entries */
};

struct replay {
    const struct spool_data *data;
    struct store *s;
    const atomic_bool *over; /* may be NULL */
    struct spool_report *report;
    struct known_trial *trials; /* in the order of their first entry */
    size_t n, cap;
};

static struct known_trial *know(struct replay *r, const struct entry *e)
{
    for (size_t i = r->n; i-- > 0;) { /* the latest is the likeliest */
        struct known_trial *t = &r->trials[i];
        if (t->number == e->number && strcmp(t->study, e->study) == 0)
            return t;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap == 0 ? 16 : r->cap * 2;
        struct known_trial *grown = realloc(r->trials, cap * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        r->trials = grown;
        r->cap = cap;
    }
    r->trials[r->n] = (struct known_trial){.study = e->study, .number = e->number};
    return &r->trials[r->n++];
}

/* How the store has a trial. */
struct there {
    const char *owner; /* wanted */
    bool ours;
    enum trial_state state;
    double value;
};

static int look(void *ctx, const struct trial *t)
{
    struct there *there = ctx;
    there->state = t->state;
    there->value = t->n_values == 1 ? t->values[0] : NAN;
    for (size_t i = 0; i < t->n_system_attrs; i++) {
        const struct trial_attr *a = &t->system_attrs[i];
        if (strcmp(a->key, STORE_ATTR_OWNER) == 0) {
            AUTO_JSON json_t *owner = json_read(a->json, strlen(a->json), NULL);
            there->ours =
                json_is_string(owner) && strcmp(json_string_value(owner), there->owner) == 0;
        }
    }
    return 0;
}

/* A number has no index in Optuna's schema: the store looks through the study for it. */
static int find_id(const struct replay *r, struct known_trial *t, struct err *err)
{
    int64_t study = 0;
    if (t->id != 0)
        return 0;
    int rc = store_study_find(r->s, t->study, &study, err);
    return rc < 0 ? rc : store_trial_find(r->s, study, t->number, &t->id, err);
}

/* Errors: ERR_NOTFOUND also when the trial of that number is another one. */
static int find_trial(const struct replay *r, struct known_trial *t, struct there *there,
                      struct err *err)
{
    int rc = find_id(r, t, err);
    if (rc == 0)
        rc = store_trial_get(r->s, t->id, WANT_SYSTEM_ATTRS, look, there, err);
    return rc == 0 && !there->ours ? -ERR_NOTFOUND : rc;
}

static bool same_end(const struct there *there, const struct entry_end *end)
{
    return there->state == end->state && (end->state == TRIAL_FAIL || there->value == end->value ||
                                          (isnan(there->value) && isnan(end->value)));
}

static int put_open(struct replay *r, const struct entry *e, struct known_trial *t, struct err *err)
{
    bool failed = false;
    if (e->end != NULL) {
        struct err why = t->why;
        if (e->end->refused != NULL && why.code == ERR_NONE)
            (void)err_set(&why, ERR_CONFLICT, "%s", e->end->refused);
        return entry_put_end(e, r->s, &why, &failed, err);
    }
    int rc = entry_put_news(e, r->s, err);
    if (!store_refused(rc) || rc == -ERR_FINISHED)
        return rc;
    if (t->why.code == ERR_NONE)
        t->why = *err;
    return 0;
}

/* In a transaction. */
static int put_entry(struct replay *r, const struct entry *spooled, struct known_trial *t,
                     struct err *err)
{
    struct there there = {.owner = r->data->owner};
    struct entry e = *spooled;
    int rc = find_trial(r, t, &there, err);
    e.trial = t->id;
    if (rc == -ERR_NOTFOUND) {
        r->report->missing++;
        return 0;
    }
    if (rc < 0)
        return rc;
    if (!trial_state_finished(there.state)) {
        rc = put_open(r, &e, t, err);
        r->report->stored += rc == 0 && e.end != NULL;
    } else if (e.end != NULL) {
        bool same = same_end(&there, e.end);
        r->report->already += same;
        r->report->superseded += !same;
    }
    return rc;
}

static int put_in_batch(struct replay *r, const struct entry *e, struct known_trial *t,
                        struct err *err)
{
    int rc = store_begin(r->s, err);
    if (rc < 0)
        return rc;
    struct spool_report before = *r->report;
    rc = put_entry(r, e, t, err);
    if (rc == 0)
        rc = store_commit(r->s, false, err);
    else
        store_rollback(r->s);
    if (rc < 0)
        *r->report = before;
    return rc;
}

static bool intact(struct known_trial *t, const struct spool_entry *e)
{
    if (e->part == 0) {
        t->broken = false;
        t->next = 0;
    }
    t->broken = t->broken || e->part != t->next;
    t->next = e->part + 1;
    return !t->broken;
}

static int replay_each(struct replay *r, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->data->n; i++) {
        const struct spool_entry *e = &r->data->entries[i];
        struct known_trial *t = know(r, &e->entry);
        if (t == NULL)
            return err_set(err, ERR_NOMEM, "spool");
        if (r->over != NULL && atomic_load(r->over))
            return err_set(err, ERR_STOPPED, "stopped while a spool was replayed");
        r->report->entries++;
        if (intact(t, e) && r->data->owner != NULL) {
            rc = put_in_batch(r, &e->entry, t, err);
        } else if (!t->told) {
            t->told = true;
            r->report->incomplete++;
        }
    }
    return rc;
}

int spool_replay(const struct spool_data *d, struct store *s, const atomic_bool *over,
                 struct spool_report *report, struct err *err)
{
    struct replay r = {.data = d, .s = s, .over = over, .report = report};
    *report = (struct spool_report){.damaged = d->damaged, .torn = d->torn};
    int rc = replay_each(&r, err);
    free(r.trials);
    return rc == 0 ? store_sync(s, err) : rc;
}

/* --- files
 * --------------------------------------------------------------------------------------- */

void spool_file_close(struct spool_file *f)
{
    cleanup_close(&f->fd);
    f->fd = -1;
    spool_data_free(&f->data);
    free(f->path);
    f->path = NULL;
}

/* The whole file; the caller frees *out. */
static int read_all(int fd, char **out, size_t *n, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "read");
    AUTO_FREE char *bytes = malloc((size_t)st.st_size + 1);
    if (bytes == NULL)
        return err_set(err, ERR_NOMEM, "spool");
    size_t got = 0;
    while (got < (size_t)st.st_size) {
        ssize_t k = pread(fd, bytes + got, (size_t)st.st_size - got, (off_t)got);
        if (k < 0 && errno != EINTR)
            return err_sys(err, errno, "read");
        if (k == 0)
            break;
        got += k > 0 ? (size_t)k : 0;
    }
    *out = TAKE(bytes);
    *n = got;
    return 0;
}

static int read_file(struct spool_file *f, struct err *err)
{
    AUTO_FREE char *bytes = NULL;
    size_t n = 0;
    int rc = read_all(f->fd, &bytes, &n, err);
    if (rc == 0)
        rc = spool_read(&f->data, bytes, n, err);
    return rc < 0 ? err_wrap(err, rc, "%s", f->path) : 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0;
}

static int is_spool(const struct dirent *d)
{
    return has_suffix(d->d_name, SPOOL_SUFFIX) || has_suffix(d->d_name, SPOOL_SUFFIX SPOOL_DAMAGED);
}

/* Its executor removed it, or made it this instant and has not written its first line yet. */
static bool nothing_there(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 || st.st_nlink == 0 || st.st_size == 0;
}

static int visit(const char *dir, const char *name, spool_file_fn *fn, void *ctx, struct err *err)
{
    AUTO(spool_file_close) struct spool_file f = {.fd = -1};
    if (asprintf(&f.path, "%s/%s", dir, name) < 0) {
        f.path = NULL;
        return err_set(err, ERR_NOMEM, "spool");
    }
    f.fd = open(f.path, O_RDWR | O_CLOEXEC);
    if (f.fd < 0 && (errno == EACCES || errno == EROFS))
        f.fd = open(f.path, O_RDONLY | O_CLOEXEC);
    if (f.fd < 0 && errno == ENOENT)
        return 0;
    if (f.fd < 0)
        return err_sys(err, errno, "open %s", f.path);
    f.damaged_name = has_suffix(name, SPOOL_DAMAGED);
    enum spool_owner owner = flock(f.fd, LOCK_EX | LOCK_NB) == 0 ? SPOOL_IDLE : SPOOL_LIVES;
    if (nothing_there(f.fd))
        return 0;
    struct err why = {0};
    int rc = read_file(&f, &why);
    return fn(ctx, &f, owner, rc, &why);
}

int spool_each(const char *run_dir, spool_file_fn *fn, void *ctx, struct err *err)
{
    AUTO_FREE char *dir = NULL;
    struct dirent **names = NULL;
    int rc = 0;
    if (asprintf(&dir, "%s/" SPOOL_DIR, run_dir) < 0) {
        dir = NULL;
        return err_set(err, ERR_NOMEM, "spool");
    }
    int n = scandir(dir, &names, is_spool, alphasort);
    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, errno, "read %s", dir);
    for (int i = 0; i < n; i++) {
        rc = rc == 0 ? visit(dir, names[i]->d_name, fn, ctx, err) : rc;
        free(names[i]);
    }
    free(names);
    return rc;
}

/* What is left of a damaged file is for people. */
static int set_aside(const struct spool_file *f, struct err *err)
{
    AUTO_FREE char *to = NULL;
    if (f->damaged_name)
        return 0;
    if (asprintf(&to, "%s" SPOOL_DAMAGED, f->path) < 0) {
        to = NULL;
        return err_set(err, ERR_NOMEM, "spool");
    }
    return rename(f->path, to) == 0 ? 0 : err_sys(err, errno, "rename %s", f->path);
}

int spool_file_replay(struct spool_file *f, struct store *s, const atomic_bool *over,
                      struct spool_report *report, struct err *err)
{
    int rc = spool_replay(&f->data, s, over, report, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s", f->path);
    if (report->missing > 0)
        return 0;
    if (report->damaged > 0 || report->incomplete > 0)
        return set_aside(f, err);
    if (unlink(f->path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "remove %s", f->path);
    return 0;
}
