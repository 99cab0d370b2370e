/* What is told about a process from outside, and what is concluded. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "executor/evidence/doc.h"
#include "executor/evidence/evidence.h"
#include "executor/evidence/job.h"
#include "executor/proc.h"
#include "executor/spawn.h"
#include "tests/lib/sandbox.h"

TestSuite(evidence, .init = sandbox_enter, .fini = sandbox_leave, .timeout = 120);

static json_t *doc;

static pid_t start(const char *mode)
{
    pid_t pid = sandbox_start((const char *const[]){DEADLOCK, mode, NULL});
    cr_assert(sandbox_await("out", "ready", 60));
    return pid;
}

static void end(pid_t pid)
{
    proc_kill_tree(pid, SIGKILL);
    (void)sandbox_wait(pid, 30);
    json_decref(doc);
    doc = NULL;
}

static void write_file(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static struct verdict collect(pid_t pid)
{
    struct verdict v;
    const struct evidence_req req = {
        .root = pid, .dir = -1, .deadline_ms = clock_mono_ms() + 20000};
    doc = evidence_collect(&req, &v);
    cr_assert(doc != NULL);
    return v;
}

/* The i-th process. */
static const json_t *process(size_t i)
{
    const json_t *p = json_array_get(json_object_get(doc, "processes"), i);
    cr_assert(p != NULL, "no process %zu", i);
    return p;
}

static bool says(const json_t *part, const char *words)
{
    AUTO_FREE char *text = json_dumps(part, JSON_COMPACT | JSON_ENCODE_ANY);
    return text != NULL && strstr(text, words) != NULL;
}

/* --- verdicts ------------------------------------------------------------------------------------
 */

static struct verdict look(const char *mode, bool with_stacks)
{
    struct verdict v;
    pid_t pid = start(mode);
    evidence_verdict(pid, 0, with_stacks ? clock_mono_ms() + 20000 : 0, &v);
    end(pid);
    return v;
}

#define EXPECT_VERDICT(v, wanted)                                                                  \
    cr_expect(eq(int, (int)(v).kind, (int)(wanted)), "%s: %s", verdict_name((v).kind), (v).why)

Test(evidence, a_mutex_of_a_thread_that_was_not_forked_is_proof)
{
    struct verdict v = look("mutex", false);
    EXPECT_VERDICT(v, VERDICT_PROVEN);
    cr_expect(strstr(v.why, "waits for a mutex that belongs to thread") != NULL, "%s", v.why);
    cr_expect(strstr(v.why, "which has 2 threads") != NULL, "%s", v.why);
}

Test(evidence, it_is_proof_also_while_other_threads_burn_the_cpu)
{
    EXPECT_VERDICT(look("mutex-and-burn", false), VERDICT_PROVEN);
}

Test(evidence, an_allocator_s_lock_without_anybody_to_release_it_is_proof)
{
    struct verdict v = look("malloc", false);
    EXPECT_VERDICT(v, VERDICT_PROVEN);
    cr_expect(strstr(v.why, "lock that is taken") != NULL, "%s", v.why);
}

Test(evidence, a_wait_in_an_after_fork_handler_is_proof_by_its_stack)
{
    struct verdict v = look("atfork", false);
    EXPECT_VERDICT(v, VERDICT_SUSPICIOUS);
    v = look("atfork", true);
    EXPECT_VERDICT(v, VERDICT_PROVEN);
    cr_expect(strstr(v.why, "in a handler of pthread_atfork") != NULL, "%s", v.why);
}

Test(evidence, a_wait_that_nobody_can_end_is_suspicious_but_no_proof)
{
    EXPECT_VERDICT(look("alone", true), VERDICT_SUSPICIOUS);
}

Test(evidence, a_pool_that_waits_for_work_is_healthy)
{
    EXPECT_VERDICT(look("pool", true), VERDICT_NONE);
}

Test(evidence, a_mutex_that_the_forking_thread_holds_is_its_child_s)
{
    EXPECT_VERDICT(look("inherited", true), VERDICT_NONE);
}

Test(evidence, a_mutex_that_a_living_thread_holds_is_no_deadlock)
{
    EXPECT_VERDICT(look("held", true), VERDICT_NONE);
}

/* There a thread's locks call it by another number than we do. */
Test(evidence, a_living_thread_is_known_in_another_pid_namespace_too)
{
    struct verdict v;
    AUTO_FREE char *unshare = NULL;
    if (spawn_resolve(&unshare, "unshare", NULL, NULL) < 0 ||
        sandbox_wait(sandbox_start((const char *const[]){unshare, "-p", "-f", "/bin/true", NULL}),
                     60) != 0)
        cr_skip_test("no unshare, or no right to it");
    pid_t pid = sandbox_start((const char *const[]){unshare, "-p", "-f", DEADLOCK, "held", NULL});
    cr_assert(sandbox_await("out", "ready", 60));
    evidence_verdict(pid, 0, clock_mono_ms() + 20000, &v);
    EXPECT_VERDICT(v, VERDICT_NONE);
    end(pid);
}

Test(evidence, threads_that_pass_a_mutex_round_are_healthy)
{
    struct verdict v;
    pid_t pid = start("contention");
    for (int i = 0; i < 300; i++) {
        evidence_verdict(pid, 0, 0, &v);
        EXPECT_VERDICT(v, VERDICT_NONE);
    }
    end(pid);
}

Test(evidence, threads_that_wait_for_one_another_without_a_fork_are_no_fork_deadlock)
{
    EXPECT_VERDICT(look("threads", true), VERDICT_NONE);
}

/* What hangs in forkless repro is proven by its evidence, and what passes is not met here. */
static void expect_proven(const char *name, const char *words)
{
    pid_t pid = sandbox_start(
        (const char *const[]){FORKLESS, "repro", "--json", "--timeout", "8s", name, NULL});
    (void)sandbox_wait(pid, 100); /* whether all its cases hang in time is not the question here */
    cr_expect(sandbox_has("out", "\"kind\":\"proven\""), "%s: %s", name, sandbox_text("out"));
    cr_expect(sandbox_has("out", words), "%s: %s", name, sandbox_text("out"));
}

Test(evidence, a_reproduced_deadlock_is_proven)
{
    expect_proven("openmp-fork", "stands in libgomp");
    AUTO_FREE char *grpc = NULL;
    if (spawn_find_own(&grpc, "forkless-grpc", NULL) == 0) /* it is built where gRPC is installed */
        expect_proven("grpc-fork", "stands in gRPC");
}

/* --- what is collected ---------------------------------------------------------------------------
 */

Test(evidence, every_thread_has_its_stack_and_the_process_goes_on)
{
    pid_t pid = start("threads");
    (void)collect(pid);
    const json_t *p = process(0), *threads = json_object_get(p, "threads"), *t;
    size_t i;
    cr_expect(eq(sz, json_array_size(threads), 8));
    json_array_foreach(threads, i, t)
    {
        const json_t *stack = json_object_get(t, "stack");
        size_t here = 0, k;
        const json_t *f;
        json_array_foreach(stack, k, f) here += says(f, "\"victim_waits_here\"");
        cr_expect(eq(sz, here, 4), "thread %zu", i);
        cr_expect(says(t, "\"private\":true"));
    }
    char path[64], status[4096];
    cr_expect(json_integer_value(json_object_get(p, "stopped_us")) > 0);
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    (void)proc_read(path, status, sizeof(status));
    cr_expect(strstr(status, "TracerPid:\t0\n") != NULL, "%s", status);
    end(pid);
}

Test(evidence, a_deadlock_is_told_with_its_lock_and_its_stack)
{
    pid_t pid = start("malloc");
    struct verdict v = collect(pid);
    EXPECT_VERDICT(v, VERDICT_PROVEN);
    const json_t *child = process(1);
    cr_expect(says(child, "\"forked_without_exec\":true"));
    cr_expect(says(child, "\"parent_threads\":2"));
    cr_expect(says(child, "\"taken_lock\":true"));
    cr_expect(says(child, "\"pattern\":\"allocator\""));
    cr_expect(says(json_object_get(doc, "verdict"), "\"kind\":\"proven\""));
    struct buf text = BUF_INIT;
    evidence_put_text(&text, doc);
    cr_expect(strstr(buf_str(&text), "fork deadlock: proven: ") != NULL, "%s", buf_str(&text));
    cr_expect(strstr(buf_str(&text), "a lock that is taken") != NULL, "%s", buf_str(&text));
    buf_free(&text);
    end(pid);
}

Test(evidence, a_process_in_an_uninterruptible_wait_does_not_hold_us)
{
    pid_t pid = start("vfork");
    (void)collect(pid);
    cr_expect(says(process(0), "vfork"));
    cr_expect(says(process(0), "did not stop"));
    end(pid);
}

Test(evidence, a_process_that_somebody_traces_is_told_as_far_as_it_goes)
{
    pid_t pid = start("traced");
    (void)collect(pid);
    cr_expect(says(process(1), "may not be stopped"));
    cr_expect(says(process(1), "futex"));
    end(pid);
}

Test(evidence, a_stopped_process_stays_stopped)
{
    struct proc_stat st = {0};
    pid_t pid = start("threads");
    (void)kill(pid, SIGSTOP);
    for (int i = 0; i < 1000 && (!proc_read_stat(pid, &st) || st.state != 'T'); i++)
        (void)usleep(10000);
    (void)collect(pid);
    cr_expect(says(process(0), "victim_waits_here"));
    (void)usleep(100000);
    cr_expect(proc_read_stat(pid, &st));
    cr_expect(eq(chr, st.state, 'T'));
    end(pid);
}

Test(evidence, no_signal_is_lost_while_it_looks)
{
    char want[32];
    int sent = 0;
    pid_t pid = start("signals");
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 20; k++)
            sent += sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = k}) == 0;
        (void)collect(pid);
        json_decref(doc);
        doc = NULL;
    }
    (void)kill(pid, SIGTERM);
    cr_expect(eq(int, sandbox_wait(pid, 60), 0));
    (void)snprintf(want, sizeof(want), "arrived %d\n", sent);
    cr_expect(sandbox_has("out", want), "%d sent: %s", sent, sandbox_text("out"));
}

Test(evidence, a_process_that_is_gone_is_no_mistake)
{
    pid_t pid = start("threads");
    end(pid);
    struct verdict v = collect(pid);
    EXPECT_VERDICT(v, VERDICT_NONE);
    cr_expect(eq(sz, json_array_size(json_object_get(doc, "processes")), 0));
    json_decref(doc);
    doc = NULL;
}

Test(evidence, the_environment_and_the_command_have_no_secrets)
{
    (void)setenv("DB_PASSWORD", "hunter1", 1);
    (void)setenv("STORE_URL", "postgresql://user:hunter2@db/x?sslmode=off", 1);
    (void)setenv("GREETING", "hello", 1);
    pid_t pid =
        sandbox_start((const char *const[]){DEADLOCK, "threads", "--token=hunter3", "--password",
                                            "hunter4", "https://hunter5@git.example/x", NULL});
    cr_assert(sandbox_await("out", "ready", 60));
    (void)collect(pid);
    cr_expect(says(process(0), "hunter") == false);
    cr_expect(says(process(0), "\"DB_PASSWORD\":\"***\""));
    cr_expect(says(process(0), "postgresql://user:***@db/x?sslmode=off"));
    cr_expect(says(process(0), "\"GREETING\":\"hello\""));
    end(pid);
}

Test(evidence, the_last_200_lines_of_the_logs_are_in_it)
{
    struct buf lines = BUF_INIT;
    struct verdict v;
    pid_t pid = start("threads");
    for (int i = 0; i < 150; i++)
        buf_printf(&lines, "old %d\n", i);
    write_file("stdout.log.1", buf_str(&lines));
    buf_clear(&lines);
    buf_printf(&lines, "%980shttp://user:hunter2%050d@host\n", "",
               0); /* shown cut, in its middle */
    for (int i = 0; i < 120; i++)
        buf_printf(&lines, "new %d password=hunter2\n", i);
    write_file("stdout.log", buf_str(&lines));
    buf_free(&lines);
    int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct evidence_req req = {
        .root = pid, .dir = dir, .deadline_ms = clock_mono_ms() + 20000};
    doc = evidence_collect(&req, &v);
    const json_t *list = json_object_get(json_object_get(doc, "log"), "stdout");
    cr_expect(eq(sz, json_array_size(list), 200));
    cr_expect(says(json_array_get(list, 0), "old 71"));
    cr_expect(says(json_array_get(list, 199), "new 119 password=***"));
    cr_expect(says(list, "hunter2") == false);
    struct err err;
    cr_expect(eq(int, evidence_save(dir, doc, &err), 0));
    cr_expect(sandbox_has("evidence.txt", "new 119 password=***"));
    cr_expect(sandbox_has("evidence.json", "victim_waits_here"));
    (void)close(dir);
    end(pid);
}

/* --- Python --------------------------------------------------------------------------------------
 */

static const char frames_py[] = "import threading, time\n"
                                "def in_thread():\n"
                                "    time.sleep(600)\n"
                                "class Caf\xc3\xa9:\n"
                                "    def innermost(self):\n"
                                "        print('ready', flush=True)\n"
                                "        time.sleep(\n"
                                "            600)\n"
                                "threading.Thread(target=in_thread, daemon=True).start()\n"
                                "Caf\xc3\xa9().innermost()\n";

static pid_t start_python(const char *python, const char *script)
{
    pid_t pid = sandbox_start((const char *const[]){python, "-c", script, NULL});
    cr_assert(sandbox_await("out", "ready", 60), "%s", sandbox_text("err"));
    return pid;
}

static const char pool_py[] =
    "import multiprocessing as mp, threading, time\n"
    "for i in range(4): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    "pool = mp.get_context('fork').Pool(3)\n"
    "pool.map(abs, range(30))\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)\n";

Test(evidence, a_multiprocessing_pool_of_python_that_waits_for_work_is_healthy)
{
    struct verdict v;
    pid_t pid = start_python(sandbox_python("FORKLESS_PYTHON", "python3"), pool_py);
    for (int i = 0; i < 20; i++) {
        evidence_verdict(pid, 0, clock_mono_ms() + 20000, &v);
        EXPECT_VERDICT(v, VERDICT_NONE);
    }
    end(pid);
}

static void expect_frames(const char *python, const char *version, const char *by)
{
    pid_t pid = start_python(python, frames_py);
    (void)collect(pid);
    const json_t *o = json_object_get(process(0), "python");
    cr_expect(says(o, version), "%s", doc_get(o, "version"));
    cr_expect(says(o, by), "%s", doc_get(o, "by"));
    cr_expect(says(o, "\"function\":\"in_thread\",\"file\":\"<string>\",\"line\":3"));
    cr_expect(says(o, "\"function\":\"Caf\xc3\xa9.innermost\",\"file\":\"<string>\",\"line\":7"));
    cr_expect(says(o, "\"function\":\"<module>\",\"file\":\"<string>\",\"line\":10"));
    cr_expect(says(o, "of_parent") == false);
    end(pid);
}

Test(evidence, python_frames_are_read_by_its_own_offsets)
{
    expect_frames(sandbox_python("FORKLESS_PYTHON313", "python3.13"), "3.13.", "debug offsets");
}

Test(evidence, python_frames_of_3_12_are_read_by_its_layout)
{
    expect_frames(sandbox_python("FORKLESS_PYTHON312", "python3.12"), "3.12", "layout");
}

Test(evidence, python_frames_of_3_11_are_read_by_its_layout)
{
    expect_frames(sandbox_python("FORKLESS_PYTHON311", "python3.11"), "3.11", "layout");
}

static const char hook_py[] = "import os, threading, time\n"
                              "lock = threading.Lock()\n"
                              "def hold():\n"
                              "    lock.acquire()\n"
                              "    time.sleep(600)\n"
                              "def after_fork_in_child():\n"
                              "    lock.acquire()\n"
                              "threading.Thread(target=hold, daemon=True).start()\n"
                              "time.sleep(0.2)\n"
                              "os.register_at_fork(after_in_child=after_fork_in_child)\n"
                              "if os.fork():\n"
                              "    time.sleep(0.3)\n"
                              "    print('ready', flush=True)\n"
                              "    os.wait()\n";

static void expect_hook_proven(const char *python)
{
    struct verdict v;
    write_file("hook.py", hook_py);
    pid_t pid = sandbox_start((const char *const[]){python, "hook.py", NULL});
    cr_assert(sandbox_await("out", "ready", 60), "%s", sandbox_text("err"));
    evidence_verdict(pid, 0, clock_mono_ms() + 20000, &v);
    EXPECT_VERDICT(v, VERDICT_PROVEN);
    cr_expect(strstr(v.why, "register_at_fork") != NULL, "%s", v.why);
    end(pid);
}

static const char named_py[] = "import mmap, os, select, threading, time\n"
                               "open('grpc.so', 'w').write('x')\n"
                               "f = open('grpc.so', 'rb')\n"
                               "m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n"
                               "r, w = os.pipe()\n"
                               "def train_after_fork():\n"
                               "    p = select.epoll()\n"
                               "    p.register(r, 1)\n"
                               "    p.poll()\n"
                               "threading.Thread(target=time.sleep, args=[600], daemon=True)"
                               ".start()\n"
                               "if os.fork():\n"
                               "    time.sleep(0.3)\n"
                               "    print('ready', flush=True)\n"
                               "    os.wait()\n"
                               "else:\n"
                               "    train_after_fork()\n";

/* A worker of somebody's pool that waits for work. */
Test(evidence, a_function_that_is_merely_called_like_a_handler_proves_nothing)
{
    struct verdict v;
    write_file("named.py", named_py);
    pid_t pid = sandbox_start((const char *const[]){
        sandbox_python("FORKLESS_PYTHON311", "python3.11"), "named.py", NULL});
    cr_assert(sandbox_await("out", "ready", 60), "%s", sandbox_text("err"));
    evidence_verdict(pid, 0, clock_mono_ms() + 20000, &v);
    EXPECT_VERDICT(v, VERDICT_SUSPICIOUS);
    end(pid);
}

Test(evidence, a_handler_of_register_at_fork_that_waits_is_proof)
{
    expect_hook_proven(sandbox_python("FORKLESS_PYTHON313", "python3.13"));
}

Test(evidence, a_handler_of_register_at_fork_that_waits_is_proof_in_3_11)
{
    expect_hook_proven(sandbox_python("FORKLESS_PYTHON311", "python3.11"));
}

Test(evidence, a_python_whose_frames_cannot_be_read_says_so)
{
    const char *python = sandbox_python("FORKLESS_PYTHON310", "python3.10");
    (void)setenv("PATH", "/nowhere", 1); /* no py-spy there */
    pid_t pid = start_python(python, frames_py);
    (void)collect(pid);
    cr_expect(says(process(0), "py-spy is not installed"));
    end(pid);
}

/* --- the job of the executor ---------------------------------------------------------------------
 */

static int told;

static void take_result(void *ctx, const struct evidence_result *r)
{
    *(struct evidence_result *)ctx = *r;
    told++;
}

static struct evidence_job *start_job(uv_loop_t *loop, pid_t pid, struct evidence_result *out)
{
    AUTO_CLOSE int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct verdict unknown = {0};
    struct evidence_job *job = evidence_start(loop, pid, dir, json_pack("{s:i}", "trial", 7),
                                              &unknown, 20000, take_result, out);
    cr_assert(job != NULL);
    return job;
}

Test(evidence, a_job_tells_its_result_on_the_loop_once)
{
    uv_loop_t loop;
    struct evidence_result r;
    pid_t pid = start("mutex");
    cr_assert(uv_loop_init(&loop) == 0);
    (void)start_job(&loop, pid, &r);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, told, 1));
    cr_expect(eq(int, uv_loop_close(&loop), 0)); /* no forgotten handle */
    cr_expect(r.saved && r.whole);
    EXPECT_VERDICT(r.verdict, VERDICT_PROVEN);
    cr_expect(sandbox_has("evidence.json", "\"trial\": 7"));
    cr_expect(sandbox_has("evidence.txt", "fork deadlock: proven"));
    end(pid);
}

Test(evidence, a_cancelled_job_is_never_heard_of_again)
{
    uv_loop_t loop;
    struct evidence_result r = {0}, so_far;
    pid_t pid = start("threads");
    cr_assert(uv_loop_init(&loop) == 0);
    evidence_cancel(start_job(&loop, pid, &r), &so_far);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    cr_expect(eq(int, uv_loop_close(&loop), 0));
    cr_expect(eq(int, told, 0));
    cr_expect(sandbox_await("evidence.txt", "process", 60)); /* its thread ends by itself */
    end(pid);
}

/* --- a helper that fails -------------------------------------------------------------------------
 */

/* forkless and its helpers in the sandbox, with another forkless-dump; NULL: none. */
static void install_with(const char *dump)
{
    char command[1024];
    (void)snprintf(command, sizeof(command), "cp %s \"$(dirname %s)/forkless-exec\" .", FORKLESS,
                   FORKLESS);
    const char *const shell[] = {"/bin/sh", "-c", command, NULL};
    cr_assert(eq(int, sandbox_wait(sandbox_start(shell), 60), 0), "%s", sandbox_text("err"));
    if (dump == NULL)
        return;
    write_file("forkless-dump", dump);
    cr_assert(chmod("forkless-dump", 0755) == 0);
}

static void expect_first_facts(const char *dump, const char *note)
{
    install_with(dump);
    pid_t pid = sandbox_start((const char *const[]){
        "./forkless",   "run",     "--storage",  "sqlite:///s.db", "--dir",
        "runs",         "--study", "s",          "--metric",       "loss",
        "-n1",          "-j1",     "--stall=1s", "--grace=1s",     "budget.attempts=1",
        "x=float:0..1", "--",      DEADLOCK,     "mutex",          NULL});
    cr_expect(eq(int, sandbox_wait(pid, 60), 5), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("runs/s/0/evidence.json", note), "%s",
              sandbox_text("runs/s/0/evidence.json"));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "\"lost_owner\""));
    cr_expect(sandbox_has("err", "\"deadlock\":\"proven\""));
}

Test(evidence, a_helper_that_hangs_is_ended_and_the_rest_is_saved)
{
    expect_first_facts("#!/bin/sh\nexec sleep 600\n", "did not come to its end");
    cr_expect(sandbox_await_none("sleep", 30));
}

Test(evidence, a_helper_that_crashes_or_talks_nonsense_hurts_nobody)
{
    expect_first_facts("#!/bin/sh\nhead -c 100000 /dev/urandom; kill -SEGV $$\n",
                       "did not come to its end");
}

Test(evidence, without_a_helper_the_rest_is_saved)
{
    expect_first_facts(NULL, "forkless-dump: neither in");
}

Test(evidence, it_takes_no_privilege)
{
    (void)chmod(".", 0777);
    static const char *const nobody[] = {LAUNCH, "user", "54321", NULL};
    sandbox_launch_with(nobody);
    pid_t pid = sandbox_run((const char *const[]){"-n1", "-j1", "--stall=1s", "--grace=1s",
                                                  "budget.attempts=1", "x=float:0..1", "--",
                                                  DEADLOCK, "mutex", NULL});
    int code = sandbox_wait(pid, 60);
    if (code == 77)
        cr_skip_test("not root");
    cr_expect(eq(int, code, 5), "%s", sandbox_text("err"));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "pthread_mutex_lock"));
    cr_expect(sandbox_has("runs/s/0/evidence.json", "\"notes\"") == false);
}
