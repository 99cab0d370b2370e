#include "tests/trials/spec_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

static char dir[] = "/tmp/forkless-spec-XXXXXX";

void spec_file_setup(void)
{
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
}

void spec_file_teardown(void)
{
    (void)unlink("t.yaml");
    (void)chdir("/");
    (void)rmdir(dir);
}

const char *spec_file_write(const char *text)
{
    AUTO_FCLOSE FILE *f = fopen("t.yaml", "we");
    cr_assert(f != NULL && fputs(text, f) >= 0);
    return "t.yaml";
}

struct spec_doc *spec_file_load(const char *text)
{
    struct spec_doc *doc = NULL;
    AUTO(buf_free) struct buf problems = BUF_INIT;
    struct spec_source src = {.path = spec_file_write(text)};
    cr_assert_eq(spec_load(&doc, &src, &problems, NULL), 0, "%s", buf_str(&problems));
    return doc;
}
