/* forkless db: looking after a store. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/named.h"
#include "cli/options.h"
#include "cli/reading.h"
#include "storage/care.h"

static const char *const synopsis[] = {"db check [OPTION …] [URL]", "db vacuum [OPTION …] [URL]",
                                       "db upgrade [OPTION …] [URL]", "db copy [OPTION …] SRC DST",
                                       NULL};

static const char examples[] =
    "  forkless db check                                is everything in ./forkless.db sound?\n"
    "  forkless db check --quick sqlite:///old.db       without comparing indexes with tables\n"
    "  forkless db vacuum                               after deleting studies: a smaller file\n"
    "  forkless db upgrade old.db                       from Optuna 3.0's schema to the present "
    "one\n"
    "  forkless db copy forkless.db postgresql://me@db/optuna\n"
    "  forkless db copy --study late-flights forkless.db copy.db\n"
    "\n"
    "check names every row that Optuna or forkless cannot read, or reads as something else, with "
    "its\n"
    "table and id, and reads only. upgrade and copy are one transaction: all or nothing. copy "
    "takes\n"
    "studies with everything that Optuna knows of them, numbers and ids kept, and with their rows\n"
    "of finetune_* and training_runs; without --study all the rows there are, and ftf_config. It\n"
    "says what stays behind. --json: an object a line, the last one is the result.\n"
    "Exit code 1: check found something broken.\n";

struct db {
    bool json, quick;
    struct cli_words studies;
    int64_t broken, notes;
};

/* shown: without passwords. */
static int failed_at(const char *shown, const struct err *err)
{
    cli_error("%s: %s", shown, err->msg);
    return err->code == ERR_INVALID || err->code == ERR_NOTFOUND || err->code == ERR_EXISTS
               ? EXIT_USAGE
               : EXIT_STORE;
}

static int failed(const char *url, const struct err *err)
{
    char shown[512];
    return failed_at(text_mask_url(url, shown, sizeof(shown)), err);
}

/* --- check
 * --------------------------------------------------------------------------------------------- */

static const char *severity_name(enum store_severity s)
{
    return s == STORE_BROKEN ? "broken" : "note";
}

static void put_id(struct buf *b, const char *key, int64_t id)
{
    if (id != 0)
        buf_printf(b, ",\"%s\":%" PRId64, key, id);
}

static int print_problem_json(const struct store_problem *p)
{
    AUTO(buf_free) struct buf line = BUF_INIT;
    buf_printf(&line, "{\"severity\":\"%s\",\"table\":", severity_name(p->severity));
    json_put_string(&line, p->table);
    buf_puts(&line, ",\"column\":");
    json_put_string(&line, p->column);
    put_id(&line, "row", p->row);
    put_id(&line, "study_id", p->study);
    put_id(&line, "trial_id", p->trial);
    buf_puts(&line, ",\"problem\":");
    json_put_string(&line, p->text);
    buf_putc(&line, '}');
    return line.failed ? -ERR_NOMEM : puts(line.data) < 0 ? 1 : 0;
}

static void print_problem(const struct store_problem *p)
{
    AUTO(buf_free) struct buf line = BUF_INIT;
    buf_printf(&line, "%-6s  ", severity_name(p->severity));
    if (p->table[0] != '\0')
        buf_puts(&line, p->table);
    if (p->column[0] != '\0')
        buf_printf(&line, ".%s", p->column);
    if (p->row != 0)
        buf_printf(&line, " row %" PRId64, p->row);
    if (p->study != 0)
        buf_printf(&line, " (study id %" PRId64 ")", p->study);
    if (p->trial != 0 && p->trial != p->row)
        buf_printf(&line, " (trial id %" PRId64 ")", p->trial);
    buf_printf(&line, "%s%s", p->table[0] != '\0' ? ": " : "", p->text);
    if (!line.failed)
        (void)printf("%s\n", text_clean(line.data));
}

static int note_problem(void *ctx, const struct store_problem *p)
{
    struct db *db = ctx;
    db->broken += p->severity == STORE_BROKEN;
    db->notes += p->severity == STORE_NOTE;
    if (db->json)
        return print_problem_json(p);
    print_problem(p);
    return 0;
}

static int check(struct db *db, const char *url)
{
    const struct store_opts opts = {.read_only = true, .busy_ms = 10000};
    AUTO_STORE struct store *s = NULL;
    struct err err = {.code = ERR_NOMEM, .msg = "out of memory"};
    int rc = store_open(&s, url, &opts, &err);
    if (rc == 0)
        rc = store_check(s, db->quick, note_problem, db, &err);
    if (rc < 0)
        return failed(url, &err);
    if (db->json)
        (void)printf("{\"ok\":%s,\"broken\":%" PRId64 ",\"notes\":%" PRId64 "}\n",
                     db->broken == 0 ? "true" : "false", db->broken, db->notes);
    else if (db->broken == 0 && db->notes == 0)
        (void)printf("ok\n");
    else
        (void)printf("%" PRId64 " broken, %" PRId64 " note%s\n", db->broken, db->notes,
                     plural(db->notes));
    return db->broken > 0 ? EXIT_UNMET : EXIT_OK;
}

/* --- vacuum, upgrade
 * ----------------------------------------------------------------------------------- */

static int vacuum(struct db *db, const char *url)
{
    AUTO_STORE struct store *s = NULL;
    struct store_vacuumed done = {0};
    struct err err = {0};
    int rc = reading_open_existing(&s, url, &err);
    if (rc == 0)
        rc = store_vacuum(s, &done, &err);
    if (rc < 0)
        return failed(url, &err);
    (void)printf(db->json ? "{\"before_bytes\":%" PRId64 ",\"after_bytes\":%" PRId64 "}\n"
                          : "%" PRId64 " bytes before, %" PRId64 " after\n",
                 done.before_bytes, done.after_bytes);
    return EXIT_OK;
}

static void tell_upgrade(const struct db *db, const struct store_upgraded *u)
{
    bool nothing = strcmp(u->from, u->to) == 0 && u->tables_from == u->tables_to;
    if (db->json) {
        (void)printf("{\"changed\":%s,\"schema_from\":\"%s\",\"schema_to\":\"%s\""
                     ",\"tables_from\":%d,\"tables_to\":%d}\n",
                     nothing ? "false" : "true", u->from, u->to, u->tables_from, u->tables_to);
        return;
    }
    if (strcmp(u->from, u->to) != 0)
        (void)printf("Optuna's schema: %s -> %s\n", u->from, u->to);
    if (u->tables_from != u->tables_to)
        (void)printf("forkless's tables: version %d -> %d\n", u->tables_from, u->tables_to);
    if (nothing)
        (void)printf("nothing to do: the schema is %s\n", u->to);
}

static int upgrade(struct db *db, const char *url)
{
    AUTO_STORE struct store *s = NULL;
    struct store_upgraded done = {0};
    const struct store_opts opts = {.busy_ms = 10000, .upgrade = &done};
    struct err err = {0};
    int rc = store_open(&s, url, &opts, &err);
    if (rc < 0)
        return failed(url, &err);
    tell_upgrade(db, &done);
    return EXIT_OK;
}

/* --- copy
 * ---------------------------------------------------------------------------------------------- */

/* Before a store is made for them. */
static int find_studies(struct store *src, const struct cli_words *names, struct err *err)
{
    int64_t study;
    int rc = 0;
    for (size_t i = 0; i < names->n && rc == 0; i++) {
        rc = store_study_find(src, names->v[i], &study, err);
        if (rc == -ERR_NOTFOUND)
            (void)err_set(err, ERR_NOTFOUND, "there is no study '%s' to copy", names->v[i]);
    }
    return rc;
}

/* It may be either that is the reason: what the store says names a file or a study. */
static int not_copied(const char *from, const char *to, const struct err *err)
{
    char source[256], target[256];
    AUTO(buf_free) struct buf both = BUF_INIT;
    buf_printf(&both, "%s to %s", text_mask_url(from, source, sizeof(source)),
               text_mask_url(to, target, sizeof(target)));
    return failed_at(buf_str(&both), err);
}

/* "1 row of finetune_runs, 3 of finetune_results" of what is counted; false: nothing is. */
static bool put_rows(struct buf *b, const int64_t *rows)
{
    bool any = false;
    for (int i = 0; i < STORE_TABLES; i++) {
        if (rows[i] == 0)
            continue;
        buf_printf(b, "%s%" PRId64 "%s of %s", any ? ", " : "", rows[i],
                   any            ? ""
                   : rows[i] == 1 ? " row"
                                  : " rows",
                   store_table_name((enum store_table)i));
        any = true;
    }
    return any;
}

static void tell_rows(const struct store_copied *done)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    if (put_rows(&b, done->rows))
        (void)printf("with them %s\n", buf_str(&b));
    for (int i = 0; i < STORE_TABLES; i++) {
        if (done->left[i].why == NULL)
            continue;
        int64_t left[STORE_TABLES] = {0};
        left[i] = done->left[i].rows;
        buf_clear(&b);
        if (!put_rows(&b, left))
            buf_puts(&b, store_table_name((enum store_table)i));
        (void)printf("left behind: %s: %s\n", buf_str(&b), done->left[i].why);
    }
}

static void put_rows_json(struct buf *b, const struct store_copied *done)
{
    buf_puts(b, ",\"rows\":{");
    for (int i = 0; i < STORE_TABLES; i++)
        buf_printf(b, "%s\"%s\":%" PRId64, i > 0 ? "," : "", store_table_name((enum store_table)i),
                   done->rows[i]);
    buf_puts(b, "},\"left\":[");
    const char *comma = "";
    for (int i = 0; i < STORE_TABLES; i++) {
        if (done->left[i].why == NULL)
            continue;
        buf_printf(b, "%s{\"table\":\"%s\",\"rows\":", comma,
                   store_table_name((enum store_table)i));
        if (done->left[i].rows > 0)
            buf_printf(b, "%" PRId64, done->left[i].rows);
        else
            buf_puts(b, "null");
        buf_puts(b, ",\"why\":");
        json_put_string(b, done->left[i].why);
        buf_putc(b, '}');
        comma = ",";
    }
    buf_putc(b, ']');
}

static int tell_copied_json(const struct store_copied *done)
{
    AUTO(buf_free) struct buf b = BUF_INIT;
    buf_printf(&b,
               "{\"studies\":%" PRId64 ",\"trials\":%" PRId64 ",\"running\":%" PRId64
               ",\"kept_ids\":%s",
               done->studies, done->trials, done->running, done->kept_ids ? "true" : "false");
    put_rows_json(&b, done);
    (void)printf("%s}\n", buf_str(&b));
    return EXIT_OK;
}

static int copy(struct db *db, const char *from, const char *to)
{
    const struct store_opts read = {.read_only = true, .busy_ms = 10000};
    const struct store_opts write = {.busy_ms = 10000};
    const struct store_copy_opts opts = {.names = db->studies.v, .n_names = db->studies.n};
    AUTO_STORE struct store *src = NULL;
    AUTO_STORE struct store *dst = NULL;
    struct store_copied done = {0};
    struct err err = {0};
    int rc = store_open(&src, from, &read, &err);
    if (rc == 0)
        rc = find_studies(src, &db->studies, &err);
    if (rc < 0)
        return failed(from, &err);
    rc = store_open(&dst, to, &write, &err);
    if (rc == 0 && store_in_memory(dst))
        rc = err_set(&err, ERR_INVALID,
                     "would be gone when this command ends, with all that was copied: name a file "
                     "or a server");
    if (rc < 0)
        return failed(to, &err);
    rc = store_copy(dst, src, &opts, &done, &err);
    if (rc < 0) {
        store_discard(TAKE(dst));
        return not_copied(from, to, &err);
    }
    if (db->json)
        return tell_copied_json(&done);
    (void)printf("%" PRId64 " stud%s with %" PRId64 " trial%s copied, %s\n", done.studies,
                 done.studies == 1 ? "y" : "ies", done.trials, plural(done.trials),
                 done.kept_ids ? "ids and numbers kept"
                               : "numbers kept; ids are new, for some were taken there");
    tell_rows(&done);
    if (done.running > 0)
        (void)printf("%" PRId64 " of them %s running: the cop%s RUNNING, and nobody runs %s\n",
                     done.running, done.running == 1 ? "was" : "were",
                     done.running == 1 ? "y stays" : "ies stay", done.running == 1 ? "it" : "them");
    return EXIT_OK;
}

static const struct verb {
    const char *name;
    int (*run)(struct db *db, const char *url); /* NULL: copy, which takes two */
} verbs[] = {
    {"check", check}, {"vacuum", vacuum}, {"upgrade", upgrade}, {"copy", NULL}, {NULL, NULL}};

static int dispatch(struct db *db, const struct cli_args *args)
{
    const struct cli_words *w = &args->words;
    if (w->n == 0) {
        cli_error("db takes check, vacuum, upgrade or copy: forkless db check");
        return EXIT_USAGE;
    }
    const struct verb *verb = named_find(verbs, sizeof(*verbs), w->v[0], "db: unknown action",
                                         "expected check, vacuum, upgrade or copy");
    if (verb == NULL)
        return EXIT_USAGE;
    if (verb->run == NULL && w->n == 3)
        return copy(db, w->v[1], w->v[2]);
    if (verb->run != NULL && w->n <= 2)
        return verb->run(db, w->n == 2 ? w->v[1] : cli_default_storage());
    if (verb->run == NULL)
        cli_error("db copy takes two stores: forkless db copy SRC DST");
    else
        cli_error("db %s takes one store: forkless db %s sqlite:///FILE", verb->name, verb->name);
    return EXIT_USAGE;
}

int db_main(int argc, char **argv)
{
    struct db db = {0};
    const struct cli_option options[] = {
        {.name = "study",
         .arg = "NAME",
         .help = "copy: this study only; may be repeated",
         .list = &db.studies},
        {.name = "quick",
         .help = "check: do not compare indexes with their tables",
         .flag = &db.quick},
        {.name = "json", .help = "print JSON, an object a line", .flag = &db.json},
    };
    const struct cli_usage usage = {.command = "db",
                                    .summary = "Checks, shrinks, upgrades or copies a store.",
                                    .synopsis = synopsis,
                                    .options = options,
                                    .n_options = ARRAY_LEN(options),
                                    .examples = examples};
    AUTO_CLI_ARGS struct cli_args args = {0};
    int code = cli_parse(&usage, argc, argv, &args);
    if (code == CLI_GO_ON)
        code = dispatch(&db, &args);
    cli_words_free(&db.studies);
    return code;
}
