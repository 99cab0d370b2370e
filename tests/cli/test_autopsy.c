/* The evidence read back: what it says in short, and that a damaged one does no harm. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

#include "base/cleanup.h"
#include "cli/autopsy.h"

static void take(struct autopsy *a, const char *text)
{
    struct err err;
    AUTO_JSON json_t *doc = json_read(text, strlen(text), &err);
    cr_assert(doc != NULL, "%s", err.msg);
    autopsy_take(a, doc, NULL);
}

static const char *found(const struct autopsy *a, const char *key)
{
    const char *text = json_string_value(json_object_get(a->found, key));
    return text != NULL ? text : "";
}

static const char incident[] =
    "{\"verdict\":{\"kind\":\"proven\",\"why\":\"process 8 stands\",\"pid\":8},\"processes\":["
    "{\"pid\":7,\"python\":{\"threads\":[{\"frames\":["
    "{\"function\":\"_repopulate_pool\",\"file\":\"/usr/lib/python3.11/multiprocessing/pool.py\","
    "\"line\":329},"
    "{\"function\":\"find_label_issues\",\"file\":\"/venv/cleanlab/filter.py\",\"line\":404}]}]},"
    "\"threads\":[{\"tid\":7,\"stands\":\"in jemalloc\"}]},"
    "{\"pid\":8,\"forked_without_exec\":true,\"threads\":[{\"tid\":8,\"stands\":\"in gRPC\","
    "\"futex\":{\"lost_owner\":9},\"stack\":["
    "{\"function\":\"pthread_mutex_lock\",\"file\":\"/lib/libc.so.6\"},"
    "{\"function\":\"grpc_call\",\"file\":\"/venv/cygrpc.so\"}]}]}],"
    "\"log\":{\"stderr\":[\"skipping fork() handlers\"]}}";

Test(autopsy, tells_the_child_the_library_and_the_line_that_forked)
{
    AUTO_AUTOPSY struct autopsy a;
    take(&a, incident);
    cr_assert(a.found != NULL && a.forker != NULL);
    cr_expect(eq(str, (char *)a.forker->name, (char *)"cleanlab"));
    cr_expect(eq(str, (char *)found(&a, "forked_by"),
                 (char *)"/venv/cleanlab/filter.py:404 find_label_issues"));
    const json_t *standing = json_object_get(a.found, "standing");
    cr_assert(eq(sz, json_array_size(standing), 1));
    AUTO_FREE char *text = json_dumps(standing, JSON_COMPACT);
    cr_expect(strstr(text, "grpc_call (cygrpc.so)") != NULL, "%s", text);
    cr_expect(strstr(text, "a lock of thread 9, which it does not have") != NULL, "%s", text);
    /* the parent's place is no sign of what the child waits for */
    cr_expect(strstr(buf_str(&a.stands), "jemalloc") == NULL);
    const char *const texts[] = {buf_str(&a.stands), buf_str(&a.log)};
    cr_expect(eq(str, (char *)cause_find(FAIL_FORK_DEADLOCK, texts, 2)->name, (char *)"grpc"));
    cr_expect(eq(str, (char *)cause_find(FAIL_STALLED, texts, 2)->name, (char *)"grpc"));
}

/* The handler is somebody's: the files of the stack say whose. */
Test(autopsy, a_fork_handler_is_known_by_its_library)
{
    AUTO_AUTOPSY struct autopsy a;
    take(&a, "{\"verdict\":{\"kind\":\"proven\",\"pid\":8},\"processes\":[{\"pid\":8,"
             "\"threads\":[{\"tid\":8,\"stands\":\"in Python's os.register_at_fork handlers\","
             "\"stack\":[{\"file\":\"/venv/cygrpc.cpython-311-x86_64-linux-gnu.so\"}]}]}]}");
    const char *const texts[] = {buf_str(&a.stands)};
    cr_expect(eq(str, (char *)cause_find(FAIL_FORK_DEADLOCK, texts, 1)->name, (char *)"grpc"));
}

Test(autopsy, damaged_evidence_says_less)
{
    static const char *const texts[] = {
        "{}",
        "{\"verdict\":7,\"processes\":{\"a\":1},\"log\":[]}",
        "{\"verdict\":{\"kind\":[],\"why\":{}},\"processes\":[1,null,{\"threads\":3},"
        "{\"forked_without_exec\":true,\"threads\":[{\"stack\":\"x\",\"futex\":[]}],"
        "\"python\":{\"threads\":[{\"frames\":[5]}]}}],\"log\":{\"stdout\":[1,{}]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_AUTOPSY struct autopsy a;
        take(&a, texts[i]);
        cr_expect(a.found != NULL && a.forker == NULL);
    }
    AUTO_AUTOPSY struct autopsy none;
    take(&none, "[1]");
    cr_expect(none.found == NULL);
    AUTO_AUTOPSY struct autopsy missing;
    autopsy_read(&missing, "/nonexistent", NULL);
    cr_expect(missing.found == NULL);
}
