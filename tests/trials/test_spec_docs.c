/* What the repository says about specs is what the parser accepts. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "trials/spec.h"

static void read_file(const char *path, struct buf *out)
{
    AUTO_FCLOSE FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
        buf_add(out, part, n);
}

Test(spec_docs, the_reference_lists_every_key_as_the_parser_knows_it)
{
    static const char mark[] = "<!-- keys: written by `forkless check --keys` -->\n";
    AUTO(buf_free) struct buf page = BUF_INIT, reference = BUF_INIT;
    read_file(SOURCE_DIR "/docs/spec.md", &page);
    spec_put_reference(&reference);
    const char *at = strstr(buf_str(&page), mark);
    cr_assert_not_null(at);
    at += strlen(mark);
    for (const char *line = buf_str(&reference); *line != '\0';) {
        size_t n = strcspn(line, "\n") + 1;
        cr_assert(strncmp(at, line, n) == 0, "docs/spec.md: expected this line there: %.*s", (int)n,
                  line);
        at += n;
        line += n;
    }
    cr_expect_str_eq(at, "");
}

Test(spec_docs, every_example_is_a_good_spec)
{
    DIR *dir = opendir(SOURCE_DIR "/examples");
    cr_assert_not_null(dir);
    int n = 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot == NULL || strcmp(dot, ".yaml") != 0)
            continue;
        AUTO(buf_free) struct buf path = BUF_INIT, problems = BUF_INIT;
        buf_printf(&path, SOURCE_DIR "/examples/%s", e->d_name);
        struct spec_doc *doc = NULL;
        struct spec_source src = {.path = buf_str(&path)};
        cr_expect_eq(spec_load(&doc, &src, &problems, NULL), 0, "%s", buf_str(&problems));
        cr_expect(doc == NULL || *spec_notes(doc) == '\0', "%s",
                  doc == NULL ? "" : spec_notes(doc));
        spec_doc_destroy(doc);
        n++;
    }
    (void)closedir(dir);
    cr_expect_geq(n, 2);
}
