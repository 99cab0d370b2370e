/* Backends in modules: what is said when one is missing, broken or of another build. */
#include <libgen.h>
#include <string.h>

#include "tests/storage/store_fixture.h"

/* What a copy of the tool says about a url whose module is `module`, or missing when that is NULL.
 */
static const char *said(const char *module)
{
    static char text[600];
    char path[64], command[1000];
    (void)snprintf(path, sizeof(path), "%s", fresh_file());
    const char *dir = dirname(path);
    (void)snprintf(command, sizeof(command),
                   "cp %s %s/tool && cp %s %s/storage-postgresql.so && "
                   "%s/tool postgresql://me:secret@localhost/x make s 2>&1",
                   STORE_TOOL, dir, module != NULL ? module : "/dev/null", dir, dir);
    if (module == NULL)
        (void)snprintf(command, sizeof(command),
                       "cp %s %s/tool && %s/tool "
                       "postgresql+psycopg2://me:secret@localhost/x make s 2>&1",
                       STORE_TOOL, dir, dir);
    FILE *out = popen(command, "re");
    cr_assert_not_null(out);
    text[fread(text, 1, sizeof(text) - 1, out)] = '\0';
    cr_expect_neq(pclose(out), 0);
    cr_expect_null(strstr(text, "secret"), "%s", text);
    return text;
}

static void expect_one_line_with(const char *text, const char *part)
{
    char code[32];
    (void)snprintf(code, sizeof(code), "(error %d)", (int)ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(text, part), "%s", text);
    cr_expect_not_null(strstr(text, code), "%s", text);
    cr_expect_eq(strchr(text, '\n'), text + strlen(text) - 1, "%s", text);
}

Test(store_module, a_missing_one_is_named)
{
    expect_one_line_with(said(NULL), "storage-postgresql.so is missing");
}

Test(store_module, a_broken_file_is_named)
{
    expect_one_line_with(said(STORE_TOOL), "storage-postgresql.so: cannot dynamically load");
}

Test(store_module, another_build_is_refused)
{
    expect_one_line_with(said(OTHER_BUILD), "another build of forkless");
}
