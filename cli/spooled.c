#include "cli/spooled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/describe.h"
#include "cli/owner_words.h"
#include "executor/spool/spool.h"

void spooled_init(struct spooled *s)
{
    *s = (struct spooled){.json = BUF_INIT};
    table_init(&s->table, (const char *const[]){"WAITS ON DISK IN", ">TRIALS", ">ENTRIES", ">SINCE",
                                                "BY", "FOR", NULL});
}

void spooled_free(struct spooled *s)
{
    for (size_t i = 0; i < s->dirs.n; i++)
        free((char *)(uintptr_t)s->dirs.v[i]);
    cli_words_free(&s->dirs);
    table_free(&s->table);
    buf_free(&s->json);
}

static void put_json(struct buf *b, const struct spool_file *f, int64_t since_us)
{
    char at[CLOCK_TEXT_MAX];
    buf_printf(b, "%s{\"file\":", b->len > 0 ? "," : "");
    json_put_string(b, f->path);
    buf_printf(b, ",\"trials\":%zu,\"entries\":%zu,\"damaged_lines\":%zu",
               spool_data_ended(&f->data), f->data.n, f->data.damaged);
    buf_puts(b, ",\"since\":");
    json_put_text(b, since_us != 0 ? clock_rfc3339(since_us, at) : NULL);
    buf_puts(b, ",\"run_id\":");
    json_put_text(b, f->data.run_id);
    buf_puts(b, ",\"storage\":");
    json_put_text(b, f->data.storage);
    owner_put_state(b, f->data.owner);
    buf_putc(b, '}');
}

static void put_row(struct table *table, const struct spool_file *f, int64_t since_us)
{
    char ago[32];
    int64_t ms = (clock_utc_us() - since_us) / 1000;
    table_cell(table, f->path);
    table_cellf(table, "%zu", spool_data_ended(&f->data));
    table_cellf(table, "%zu", f->data.n);
    if (since_us != 0)
        table_cellf(table, "%s ago", text_human_ms(ms > 0 ? (uint64_t)ms : 0, ago));
    else
        table_cell(table, "-");
    owner_cell(table, f->data.owner);
    table_cell(table, f->data.storage != NULL ? f->data.storage : "-");
}

static int take(void *ctx, struct spool_file *f, enum spool_owner owner, int rc,
                const struct err *why)
{
    struct spooled *s = ctx;
    (void)why;
    if (rc == 0 && f->data.n == 0 && f->data.damaged == 0)
        return 0; /* of a run that has needed none so far */
    int64_t since_us = f->data.n > 0 ? f->data.entries[0].at_us : 0;
    put_json(&s->json, f, since_us);
    put_row(&s->table, f, since_us);
    s->dir = s->dirs.v[s->dirs.n - 1];
    s->left = s->left || owner == SPOOL_IDLE;
    s->n++;
    return 0;
}

static bool is_known(const struct spooled *s, const char *run_dir)
{
    for (size_t i = 0; i < s->dirs.n; i++) {
        if (strcmp(s->dirs.v[i], run_dir) == 0)
            return true;
    }
    return false;
}

void spooled_look(struct spooled *s, const char *run_dir)
{
    if (is_known(s, run_dir))
        return;
    char *dir = strdup(run_dir);
    const char **grown = realloc(s->dirs.v, (s->dirs.n + 1) * sizeof(*grown));
    if (grown != NULL)
        s->dirs.v = grown;
    if (dir == NULL || grown == NULL) {
        free(dir);
        return;
    }
    s->dirs.v[s->dirs.n++] = dir;
    (void)spool_each(run_dir, take, s, NULL);
}

void spooled_print(const struct spooled *s)
{
    AUTO(buf_free) struct buf dir = BUF_INIT;
    if (s->n == 0)
        return;
    (void)putchar('\n');
    table_print(&s->table);
    describe_word(&dir, s->dir);
    (void)printf("\nThe store refused these results: they wait on disk, and none is lost. %s. "
                 "More: forkless spool ls --dir %s\n",
                 s->left ? "Nobody who runs stores them: run the same command again, or forkless "
                           "spool replay"
                         : "They are stored as soon as it takes them",
                 buf_str(&dir));
}
