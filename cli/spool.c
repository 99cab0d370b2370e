/* forkless spool: what executors kept on disk while their store was away. */
#include "executor/spool/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/reading.h"
#include "cli/table.h"

static const char *const synopsis[] = {"spool ls [OPTION …]", "spool replay [OPTION …]", NULL};

static const char examples[] =
    "  forkless spool ls                      what waits in ./forkless-runs\n"
    "  forkless spool replay                  write it to the store that the run used\n"
    "  forkless spool replay --dir /work/runs --storage postgresql://me:secret@db/optuna\n"
    "\n"
    "While its store is locked, full or gone, a run keeps finished trials in DIR/.spool; when the\n"
    "store is back it empties that by itself, and so does the next run with the same directory.\n"
    "Replaying is for when there will be none. It may be repeated: what the store has is left "
    "alone.\n"
    "Exit code 1: something could not be stored, and stays; 6: the store is away.\n";

struct spools {
    const char *dir, *storage;
    bool json;
    int64_t files, left; /* seen; with something that was not stored */
    bool away;           /* the store could not be written */
    struct table table;
};

/* --- ls
 * ------------------------------------------------------------------------------------------- */

static const char *state_of(const struct spool_file *f, enum spool_owner owner, int rc)
{
    if (owner == SPOOL_LIVES)
        return "in use";
    return rc < 0 ? "unreadable" : f->damaged_name || f->data.damaged > 0 ? "damaged" : "waits";
}

static void put_file(struct buf *b, const struct spool_file *f, const char *state)
{
    buf_puts(b, "{\"file\":");
    json_put_string(b, f->path);
    buf_printf(b,
               ",\"state\":\"%s\",\"trials\":%zu,\"entries\":%zu,\"damaged_lines\":%zu"
               ",\"torn\":%s",
               state, spool_data_ended(&f->data), f->data.n, f->data.damaged,
               f->data.torn ? "true" : "false");
    buf_puts(b, ",\"run_id\":");
    json_put_text(b, f->data.run_id);
    buf_puts(b, ",\"storage\":");
    json_put_text(b, f->data.storage);
}

static int list_one(void *ctx, struct spool_file *f, enum spool_owner owner, int rc,
                    const struct err *why)
{
    struct spools *l = ctx;
    const char *state = state_of(f, owner, rc);
    l->files++;
    if (l->json) {
        AUTO(buf_free) struct buf line = BUF_INIT;
        put_file(&line, f, state);
        buf_puts(&line, ",\"error\":");
        json_put_text(&line, rc < 0 ? why->msg : NULL);
        buf_putc(&line, '}');
        return line.failed ? -ERR_NOMEM : puts(line.data) < 0 ? 1 : 0;
    }
    table_cell(&l->table, f->path);
    table_cell(&l->table, state);
    table_cellf(&l->table, "%zu", spool_data_ended(&f->data));
    table_cellf(&l->table, "%zu", f->data.n);
    table_cell(&l->table, f->data.storage != NULL ? f->data.storage : "-");
    return 0;
}

static int list(struct spools *l)
{
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    table_init(&l->table,
               (const char *const[]){"FILE", "STATE", ">TRIALS", ">ENTRIES", "STORE", NULL});
    int rc = spool_each(l->dir, list_one, l, &err);
    if (rc == 0 && !l->json && l->files > 0)
        table_print(&l->table);
    else if (rc == 0 && !l->json)
        (void)printf("nothing is spooled in %s\n", l->dir);
    table_free(&l->table);
    if (rc < 0)
        cli_error("%s", err.msg);
    return rc < 0 ? EXIT_STORE : EXIT_OK;
}

/* --- replay
 * --------------------------------------------------------------------------------------- */

/* The path that a SQLite URL names, or NULL for another kind. */
static const char *sqlite_path(const char *url)
{
    const char *prefix = "sqlite:///";
    if (strncmp(url, prefix, strlen(prefix)) == 0)
        return url + strlen(prefix);
    return strstr(url, "://") == NULL ? url : NULL;
}

/* The store that the run used, seen from here; the caller frees it. */
static char *storage_of(const struct spool_data *d)
{
    const char *path = sqlite_path(d->storage);
    char *url = NULL;
    if (path == NULL || path[0] == '/' || d->cwd == NULL)
        return strdup(d->storage);
    return asprintf(&url, "sqlite:///%s/%s", d->cwd, path) < 0 ? NULL : url;
}

static int open_store(struct store **out, const struct spools *l, const struct spool_data *d,
                      struct err *err)
{
    if (l->storage != NULL)
        return reading_open_existing(out, l->storage, err);
    if (d->storage == NULL)
        return err_set(err, ERR_INVALID, "it does not name its store: give --storage URL");
    if (strstr(d->storage, ":***@") != NULL)
        return err_set(err, ERR_INVALID,
                       "the password of %s is not kept: give the URL with --storage", d->storage);
    AUTO_FREE char *url = storage_of(d);
    return url != NULL ? reading_open_existing(out, url, err) : err_set(err, ERR_NOMEM, "spool");
}

static void tell_people(const struct spool_file *f, const struct spool_report *r)
{
    (void)printf("%s: %" PRId64 " trial%s stored, %" PRId64 " already there", f->path, r->stored,
                 plural(r->stored), r->already);
    if (r->superseded > 0)
        (void)printf(", %" PRId64 " ended otherwise by somebody else", r->superseded);
    if (r->missing > 0)
        (void)printf("; %" PRId64 " entr%s of trials that are not in this store", r->missing,
                     r->missing == 1 ? "y" : "ies");
    if (r->damaged > 0)
        (void)printf("; %zu damaged line%s, the first is %zu", r->damaged,
                     plural((int64_t)r->damaged), f->data.first_damaged);
    if (r->incomplete > 0)
        (void)printf("; %" PRId64 " trial%s not stored for it", r->incomplete,
                     plural(r->incomplete));
    (void)printf("%s\n", r->torn ? "; a last line that was torn never counted" : "");
}

static int tell(const struct spools *l, const struct spool_file *f, const struct spool_report *r,
                const char *error)
{
    AUTO(buf_free) struct buf line = BUF_INIT;
    if (!l->json && error == NULL) {
        tell_people(f, r);
        return 0;
    }
    if (!l->json) {
        cli_error("%s: %s", f->path, error);
        return 0;
    }
    put_file(&line, f, error == NULL ? "replayed" : "failed");
    buf_printf(&line,
               ",\"stored\":%" PRId64 ",\"already\":%" PRId64 ",\"superseded\":%" PRId64
               ",\"missing\":%" PRId64 ",\"incomplete\":%" PRId64,
               r->stored, r->already, r->superseded, r->missing, r->incomplete);
    buf_puts(&line, ",\"error\":");
    json_put_text(&line, error);
    buf_putc(&line, '}');
    return line.failed ? -ERR_NOMEM : puts(line.data) < 0 ? 1 : 0;
}

static int replay_one(void *ctx, struct spool_file *f, enum spool_owner owner, int rc,
                      const struct err *why)
{
    struct spools *l = ctx;
    AUTO_STORE struct store *s = NULL;
    struct spool_report report = {0};
    struct err err = {0};
    l->files++;
    if (owner == SPOOL_LIVES) {
        l->left++;
        return tell(l, f, &report, "its executor lives, and stores it when the store is back");
    }
    if (rc < 0) {
        l->left++;
        return tell(l, f, &report, why->msg);
    }
    rc = open_store(&s, l, &f->data, &err);
    if (rc == 0)
        rc = spool_file_replay(f, s, NULL, &report, &err);
    l->away = l->away || rc == -ERR_BUSY || rc == -ERR_UNAVAILABLE;
    l->left += rc < 0 || report.missing > 0 || report.incomplete > 0 || report.damaged > 0;
    return tell(l, f, &report, rc < 0 ? err.msg : NULL);
}

static int replay(struct spools *l)
{
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    int rc = spool_each(l->dir, replay_one, l, &err);
    if (rc < 0) {
        cli_error("%s", err.msg);
        return EXIT_STORE;
    }
    if (l->files == 0 && !l->json)
        (void)printf("nothing is spooled in %s\n", l->dir);
    return l->away ? EXIT_STORE : l->left > 0 ? EXIT_UNMET : EXIT_OK;
}

int spool_main(int argc, char **argv)
{
    struct spools l = {.dir = "forkless-runs"};
    const struct cli_option options[] = {
        {.name = "dir",
         .arg = "DIR",
         .help = "run directory (default forkless-runs)",
         .text = &l.dir},
        {.name = "storage",
         .arg = "URL",
         .help = "replay to this store, not the one of the run",
         .text = &l.storage},
        {.name = "json", .help = "one JSON object a line for each file", .flag = &l.json},
    };
    const struct cli_usage usage = {
        .command = "spool",
        .summary = "Lists, or stores, what runs kept on disk while their store was away.",
        .synopsis = synopsis,
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int code = cli_parse(&usage, argc, argv, &args);
    if (code != CLI_GO_ON)
        return code;
    struct stat st;
    if (stat(l.dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
        cli_error("there is no run directory %s: name it with --dir", l.dir);
        return EXIT_USAGE;
    }
    const char *what = args.words.n == 1 ? args.words.v[0] : "";
    if (strcmp(what, "ls") == 0)
        return list(&l);
    if (strcmp(what, "replay") == 0)
        return replay(&l);
    cli_error("spool takes ls or replay: forkless spool ls");
    return EXIT_USAGE;
}
