#include "integration/reproducers/flame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"

enum { WIDTH = 1200, ROW = 18, LETTER = 7, TOP = 2 * ROW, DEPTH_MAX = 400 };

void flame_free(struct flame *f)
{
    buf_free(&f->names);
    free(f->nodes);
    *f = (struct flame){0};
}

/* Returns its index, or 0 when out of memory. */
static size_t add_node(struct flame *f, const char *name, size_t n)
{
    if (!array_reserve(&f->nodes, &f->cap, f->n + 1, sizeof(*f->nodes))) {
        f->failed = true;
        return 0;
    }
    f->nodes[f->n] = (struct flame_node){.name = f->names.len};
    buf_add(&f->names, name, n);
    buf_add(&f->names, "", 1);
    f->failed = f->failed || f->names.failed;
    return f->n++;
}

static bool is_named(const struct flame *f, size_t node, const char *name, size_t n)
{
    const char *own = f->names.data + f->nodes[node].name;
    return strncmp(own, name, n) == 0 && own[n] == '\0';
}

static size_t child_of(struct flame *f, size_t parent, const char *name, size_t n)
{
    for (size_t i = f->nodes[parent].child; i != 0; i = f->nodes[i].next) {
        if (is_named(f, i, name, n))
            return i;
    }
    size_t child = add_node(f, name, n);
    if (child != 0) {
        f->nodes[child].next = f->nodes[parent].child;
        f->nodes[parent].child = child;
    }
    return child;
}

void flame_add(struct flame *f, const char *stack, size_t n, uint64_t count)
{
    if (f->n == 0)
        (void)add_node(f, "all", 3);
    const char *end = stack + n;
    size_t node = 0;
    for (int depth = 0; !f->failed && depth < DEPTH_MAX; depth++) {
        f->nodes[node].count += count;
        if (stack >= end)
            return;
        const char *stop = memchr(stack, ';', (size_t)(end - stack));
        size_t length = (size_t)((stop != NULL ? stop : end) - stack);
        node = child_of(f, node, stack, length);
        stack += length + 1;
    }
}

size_t flame_add_lines(struct flame *f, const char *root, const char *lines)
{
    AUTO(buf_free) struct buf stack = BUF_INIT;
    size_t samples = 0;
    for (const char *line = lines; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        const char *space = memrchr(line, ' ', n);
        uint64_t count = space != NULL ? strtoull(space, NULL, 10) : 0;
        if (count > 0) {
            buf_clear(&stack);
            buf_printf(&stack, "%s;%.*s", root, (int)(space - line), line);
            flame_add(f, buf_str(&stack), stack.len, count);
            samples += count;
        }
        line += n + (line[n] == '\n');
    }
    return samples;
}

/* ---- drawing ---- */

struct drawing {
    struct buf *b;
    const struct flame *f;
    int depth; /* of the deepest stack */
};

static void put_text(struct buf *b, const char *text, size_t n)
{
    for (size_t i = 0; i < n && text[i] != '\0'; i++) {
        const char *entity = text[i] == '<'   ? "&lt;"
                             : text[i] == '>' ? "&gt;"
                             : text[i] == '&' ? "&amp;"
                                              : NULL;
        if (entity != NULL)
            buf_puts(b, entity);
        else
            buf_putc(b, text[i]);
    }
}

/* A warm colour of the name's own. */
static unsigned colour(const char *name)
{
    unsigned hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return (205 + hash % 50) << 16 | (80 + hash / 64 % 130) << 8 | hash / 8192 % 60;
}

/* So much of a UTF-8 text as fits into n bytes, without a torn letter. */
static size_t whole_letters(const char *text, size_t n)
{
    size_t at = 0, k;
    while (text[at] != '\0' && (k = text_utf8_len(text + at, strlen(text + at))) > 0 && at + k <= n)
        at += k;
    return at;
}

static void draw_box(const struct drawing *d, const struct flame_node *node, double x, double width,
                     int level)
{
    AUTO_FREE char *name = strdup(d->f->names.data + node->name);
    if (name == NULL)
        return;
    (void)text_clean(name);
    int y = TOP + (d->depth - level) * ROW;
    buf_puts(d->b, "<g><title>");
    put_text(d->b, name, strlen(name));
    buf_printf(d->b, ": %" PRIu64 " samples, %.1f %%</title>", node->count,
               100.0 * (double)node->count / (double)d->f->nodes[0].count);
    buf_printf(d->b, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#%06x\"/>", x,
               y, width, ROW - 1, colour(name));
    size_t room = width > 3 * LETTER ? (size_t)(width / LETTER) : 0;
    if (room > 0) {
        buf_printf(d->b, "<text x=\"%.1f\" y=\"%d\">", x + 3, y + ROW - 5);
        put_text(d->b, name, whole_letters(name, room));
        buf_puts(d->b, "</text>");
    }
    buf_puts(d->b, "</g>\n");
}

static int depth_of(const struct flame *f, size_t node)
{
    int deepest = 0;
    for (size_t i = f->nodes[node].child; i != 0; i = f->nodes[i].next) {
        int depth = 1 + depth_of(f, i);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static void draw(const struct drawing *d, size_t at, double x, int level)
{
    const struct flame_node *node = &d->f->nodes[at];
    double each = (double)WIDTH / (double)d->f->nodes[0].count;
    double width = each * (double)node->count;
    if (width < 0.3) /* nobody could see it */
        return;
    draw_box(d, node, x, width, level);
    for (size_t i = node->child; i != 0; i = d->f->nodes[i].next) {
        draw(d, i, x, level + 1);
        x += each * (double)d->f->nodes[i].count;
    }
}

void flame_put_svg(struct buf *b, const struct flame *f, const char *title)
{
    struct drawing d = {.b = b, .f = f, .depth = f->n > 0 ? depth_of(f, 0) : 0};
    int height = TOP + (d.depth + 1) * ROW;
    buf_printf(b,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
               "viewBox=\"0 0 %d %d\" font-family=\"monospace\" font-size=\"12\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#fffdf5\"/>\n<text x=\"3\" y=\"%d\">",
               WIDTH, height, WIDTH, height, ROW);
    put_text(b, title, strlen(title));
    buf_puts(b, f->n > 0 ? "</text>\n" : ": no samples</text>\n");
    if (f->n > 0 && f->nodes[0].count > 0)
        draw(&d, 0, 0, 0);
    buf_puts(b, "</svg>\n");
}
