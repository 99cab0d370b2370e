#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}

void table_init(struct table *t, const char *const *titles)
{
    *t = (struct table){0};
    for (size_t i = 0; titles[i] != NULL; i++) {
        assert(i < TABLE_COLUMNS_MAX);
        t->right[i] = titles[i][0] == '>';
        table_cell(t, titles[i] + t->right[i]);
        t->n_columns++;
    }
}

void table_cell(struct table *t, const char *text)
{
    if (t->n_cells == t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;
        char **grown = realloc(t->cells, cap * sizeof(*grown));
        if (grown == NULL) {
            t->failed = true;
            return;
        }
        t->cells = grown;
        t->cap = cap;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        t->failed = true;
        return;
    }
    t->cells[t->n_cells++] = text_clean(copy);
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    table_cell(t, text);
}

/* Characters, not bytes. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p != '\0'; p++)
        n += ((unsigned char)*p & 0xc0) != 0x80;
    return n;
}

static const char *colour_of(const char *text, bool header)
{
    static const struct {
        const char *text, *colour;
    } colours[] = {
        {"COMPLETE", "\033[32m"}, {"PRUNED", "\033[33m"},  {"FAIL", "\033[31m"},
        {"RUNNING", "\033[36m"},  {"WAITING", "\033[90m"},
    };
    if (header)
        return "\033[1m";
    for (size_t i = 0; i < ARRAY_LEN(colours); i++) {
        if (strcmp(text, colours[i].text) == 0)
            return colours[i].colour;
    }
    return NULL;
}

/* Bytes of the first n characters. */
static int prefix(const char *text, size_t n)
{
    const char *p = text;
    while (*p != '\0' && (n > 0 || ((unsigned char)*p & 0xc0) == 0x80)) {
        n -= ((unsigned char)*p & 0xc0) != 0x80;
        p++;
    }
    return (int)(p - text);
}

/* Columns of the terminal on stdout; 0: it is none. */
static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* What is wider than the room ends in an ellipsis. */
static void print_cell(const char *text, size_t room, bool right, bool last, const char *colour)
{
    size_t w = width(text);
    bool cut = w > room;
    int pad = cut ? 0 : (int)(room - w);
    (void)printf("%*s%s%.*s%s%s", right ? pad : 0, "", colour != NULL ? colour : "",
                 prefix(text, cut ? room - 1 : w), text, cut ? "…" : "",
                 colour != NULL ? "\033[0m" : "");
    (void)printf("%*s", last ? 0 : (right ? 0 : pad) + 2, "");
}

/* On a terminal the last column takes what the others leave of the line, if that is enough to be
 * worth it: a table with lines that wrap is hard to read. */
static void fit_last_column(const struct table *t, size_t *room)
{
    enum { ENOUGH = 20 };
    size_t columns = terminal_columns(), used = 0, last = t->n_columns - 1;
    for (size_t c = 0; c < last; c++)
        used += room[c] + 2;
    if (columns >= used + ENOUGH && room[last] > columns - used)
        room[last] = columns - used;
}

void table_print(const struct table *t)
{
    size_t room[TABLE_COLUMNS_MAX] = {0};
    bool colour = cli_colour(STDOUT_FILENO);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t w = width(t->cells[i]);
        size_t c = i % t->n_columns;
        room[c] = w > room[c] ? w : room[c];
    }
    fit_last_column(t, room);
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t c = i % t->n_columns;
        bool last = c + 1 == t->n_columns;
        print_cell(t->cells[i], room[c], t->right[c], last,
                   colour ? colour_of(t->cells[i], i < t->n_columns) : NULL);
        if (last)
            (void)putchar('\n');
    }
}
