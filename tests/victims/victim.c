/* A worker that misbehaves: `victim MODE [ARG]`. What a good one would do is `ok`. Never forks
 * through libc's fork() but in the modes whose point it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)

extern char **environ;

static void nap_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

static int channel(void)
{
    const char *fd = getenv("FORKLESS_FD");
    return fd != NULL ? atoi(fd) : -1;
}

/* All of it, unless the other side is gone. */
static void put(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return;
        p += k;
        n -= (size_t)k;
    }
}

static void put_text(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

static void put_mib(int fd, size_t mib, const char *pattern)
{
    static char block[MIB];
    size_t n = strlen(pattern);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = pattern[i % n];
    for (size_t i = 0; i < mib; i++)
        put(fd, block, sizeof(block));
}

static int good(void)
{
    put_text(STDOUT_FILENO, "\nloss=0.25\n");
    return 0;
}

/* One whole line, so that lines of several workers never mix. */
static void note(const char *path, const char *what)
{
    char line[128];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int n = snprintf(line, sizeof(line), "%s %s\n", what, getenv("FORKLESS_TRIAL"));
    put(fd, line, (size_t)n);
    (void)close(fd);
}

/* log FILE MS: writes down that it started, and that it finished. */
static int run_log(char **args)
{
    note(args[0], "start");
    nap_ms(atol(args[1]));
    note(args[0], "end");
    (void)printf("loss=%s\n", getenv("FORKLESS_TRIAL"));
    return 0;
}

static pid_t again(const char *mode, const char *arg, bool own_session)
{
    char *argv[] = {(char *)"victim", (char *)(uintptr_t)mode, (char *)(uintptr_t)arg, NULL};
    posix_spawnattr_t attr;
    pid_t pid = -1;
    (void)posix_spawnattr_init(&attr);
    if (own_session)
        (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    (void)posix_spawn(&pid, "/proc/self/exe", NULL, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    return pid;
}

static int run_sleep(char **args)
{
    nap_ms(args[0] != NULL ? atol(args[0]) : 600000);
    return good();
}

/* tree: a child, one in a session of its own, and one whose parent is gone; then it waits. */
static int run_tree(char **args)
{
    (void)again("sleep", "600000", false);
    (void)again("sleep", "600000", true);
    (void)waitpid(again("daemon", NULL, false), NULL, 0);
    note(args[0], "start");
    nap_ms(600000);
    return 0;
}

/* daemon: leaves a process in a session of its own behind. */
static int run_daemon(char **args)
{
    (void)args;
    (void)again("sleep", "600000", true);
    return good();
}

static int run_hold(char **args)
{
    (void)args;
    (void)again("sleep", "600000", false); /* has our stdout and stderr, and stays */
    return good();
}

static int run_ignore_term(char **args)
{
    (void)signal(SIGTERM, SIG_IGN);
    note(args[0], "start");
    nap_ms(600000);
    return 0;
}

static int run_flood(char **args)
{
    put_mib(STDOUT_FILENO, (size_t)atol(args[0]), "a line of no meaning at all\n");
    put_mib(STDERR_FILENO, (size_t)atol(args[0]), "nor has this one any\n");
    return good();
}

static int run_long_line(char **args)
{
    put_mib(STDOUT_FILENO, (size_t)atol(args[0]), "x");
    return good();
}

static int run_binary(char **args)
{
    unsigned seed = 1;
    (void)args;
    for (int i = 0; i < 100000; i++) {
        seed = seed * 1664525u + 1013904223u;
        put(i % 2 ? STDOUT_FILENO : STDERR_FILENO, &seed, sizeof(seed));
    }
    return good();
}

static int run_halves(char **args)
{
    (void)args;
    const char *pieces[] = {"lo", "ss=", "0.", "25"};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        put_text(STDOUT_FILENO, pieces[i]);
        nap_ms(30);
    }
    return 0; /* its last line has no end */
}

static int run_nul(char **args)
{
    (void)args;
    put(STDOUT_FILENO, "a\0b\0\nloss=0.5\0\n\0\n", 17);
    put(STDERR_FILENO, "\0\0\n", 3);
    return good();
}

static int run_utf8(char **args)
{
    (void)args;
    put_text(channel(), "{\"op\":\"attr\",\"key\":\"k\xff\xfe\",\"value\":\"\xc3\x28\"}\n"
                        "{\"op\":\"attr\",\"key\":\"\",\"value\":1}\n"
                        "{\"op\":\"fail\",\"class\":\"bad_data\",\"message\":\"\xed\xa0\x80\"}\n");
    put_text(STDERR_FILENO, "caf\xe9 \xf0\x9f\n");
    return 3;
}

static int run_close(char **args)
{
    (void)args;
    (void)close(channel());
    nap_ms(200);
    return good();
}

static int run_garbage(char **args)
{
    static const char *const lines[] = {
        "",
        "not json",
        "{",
        "[]",
        "null",
        "{\"op\":1}",
        "{\"op\":\"\"}",
        "{\"op\":\"suggest\"}",
        "{\"op\":\"suggest\",\"name\":\"x\",\"distribution\":7}",
        "{\"op\":\"report\",\"step\":-1,\"value\":1}",
        "{\"op\":\"report\",\"step\":1e400,\"value\":{}}",
        "{\"op\":\"attr\",\"key\":\"a\"}",
        "{\"op\":\"row\",\"table\":\"trials\",\"values\":{}}",
        "{\"op\":\"event\",\"event\":\"\\u0000\"}",
        "{\"op\":\"event\"}",
        "{\"op\":\"resul\",\"values\":[1]}",
        "{\"op\":\"trial\"}",
        "{\"op\":\"stop\"}",
    };
    (void)args;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        put_text(channel(), lines[i]);
        put_text(channel(), "\n");
    }
    put(channel(), "\0\0\0\n\xff\n", 6);
    nap_ms(100);
    return good();
}

static int run_huge(char **args)
{
    put_text(channel(), "{\"op\":\"attr\",\"key\":\"k\",\"value\":\"");
    put_mib(channel(), (size_t)atol(args[0]), "x");
    put_text(channel(), "\"}\n{\"op\":\"result\",\"values\":[0.25]}\n");
    return 0;
}

/* Asks for ever, reads no answer. */
static _Noreturn int run_ask(char **args)
{
    (void)args;
    for (;;)
        put_text(channel(), "{\"op\":\"suggest\",\"name\":\"x\",\"distribution\":{\"name\":"
                            "\"FloatDistribution\",\"attributes\":{\"step\":null,\"low\":0.0,"
                            "\"high\":1.0,\"log\":false}}}\n");
}

/* eat MIB: touches so much memory. */
static int run_eat(char **args)
{
    for (long i = 0; i < atol(args[0]); i++) {
        char *p = malloc(MIB);
        if (p == NULL) {
            put_text(STDERR_FILENO, "MemoryError\n");
            return 1;
        }
        memset(p, 1, MIB);
        __asm__ volatile("" : : "r"(p) : "memory");
    }
    return good();
}

static int run_segv(char **args)
{
    (void)args;
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)signal(SIGSEGV, SIG_DFL);
    (void)raise(SIGSEGV);
    return 0;
}

static int run_exit(char **args)
{
    put_text(STDERR_FILENO, "first line\nthe disk of tape 7 is gone\n");
    return atoi(args[0]);
}

static int run_print(char **args)
{
    (void)printf("%s\n", args[0]);
    return 0;
}

static _Noreturn int run_hang(char **args)
{
    (void)args;
    for (;;)
        (void)pause();
}

/* tick N: a sign of life each 300 ms. */
static int run_tick(char **args)
{
    for (long i = 0; i < atol(args[0]); i++) {
        put_text(STDOUT_FILENO, "tick\n");
        nap_ms(300);
    }
    return good();
}

/* Resident memory of so many GiB, and from then on ever more; of real memory it takes 64 MiB. */
static int run_swell(char **args)
{
    const size_t block = 64u << 20;
    int fd = memfd_create("swell", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)block) < 0)
        return 9;
    for (long n = 0, full = atol(args[0]) * 16;; n++) {
        if (mmap(NULL, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) ==
            MAP_FAILED)
            return 9;
        if (n == full)
            put_text(1, "ready\n");
        if (n >= full)
            nap_ms(50);
    }
}

/* Reads for so many seconds, and sleeps in between: hardly any CPU. */
static int run_read(char **args)
{
    static char block[MIB];
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    for (long naps = atol(args[0]) * 20; naps > 0; naps--) {
        if (read(fd, block, sizeof(block) / 16) <= 0)
            return 9;
        nap_ms(50);
    }
    return good();
}

static int run_burn(char **args)
{
    struct timespec now;
    time_t end;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    end = now.tv_sec + atol(args[0]);
    while (now.tv_sec < end)
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return good();
}

/* A child that forks for ever, as far as RLIMIT_NPROC lets it. */
static int run_bomb(char **args)
{
    const struct rlimit few = {(rlim_t)atol(args[0]), (rlim_t)atol(args[0])};
    if (setrlimit(RLIMIT_NPROC, &few) < 0 || (getuid() == 0 && setuid(54321) < 0))
        return 9;
    for (int i = 0; i < 100000; i++) {
        if (fork() == 0)
            i = 0;
    }
    nap_ms(600000);
    return 0;
}

static int run_fork(char **args)
{
    (void)args;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? good() : 9;
}

/* Reports results on the channel for as many trials as it is given; dies after each ARG-th. */
static int run_serve(char **args)
{
    char answer[65536];
    int left = atoi(args[0]);
    do {
        put_text(channel(), "{\"op\":\"result\",\"values\":[0.25]}\n");
        if (--left <= 0)
            _exit(0);
    } while (read(channel(), answer, sizeof(answer)) > 0 && strstr(answer, "\"stop\"") == NULL);
    return 0;
}

/* For each trial it prints whose turn it is, and says its result, the trial's number, and in the
 * same breath that it was another. */
static int run_twice(char **args)
{
    static char answer[65536];
    const char *number = getenv("FORKLESS_TRIAL");
    long trial = number != NULL ? atol(number) : -1;
    (void)args;
    for (ssize_t n; trial >= 0;) {
        char line[160];
        (void)snprintf(line, sizeof(line), "this is trial %ld\n", trial);
        put_text(STDOUT_FILENO, line);
        (void)snprintf(line, sizeof(line),
                       "{\"op\":\"result\",\"values\":[%ld]}\n"
                       "{\"op\":\"result\",\"values\":[-1]}\n",
                       trial);
        put_text(channel(), line);
        if ((n = read(channel(), answer, sizeof(answer) - 1)) <= 0)
            break;
        answer[n] = '\0';
        const char *next = strstr(answer, "\"number\":");
        trial = next != NULL ? atol(next + strlen("\"number\":")) : -1;
    }
    return 0;
}

/* The next answer of the executor; "" when there is none. */
static const char *answer(void)
{
    static char text[65536];
    ssize_t n = read(channel(), text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* suggest FILE: when the file is there it asks for y, an integer; an error is its failure. */
static int run_suggest(char **args)
{
    note("log", "start");
    while (access(args[0], F_OK) < 0)
        nap_ms(10);
    put_text(channel(), "{\"op\":\"suggest\",\"name\":\"y\",\"distribution\":{\"name\":"
                        "\"IntDistribution\",\"attributes\":{\"step\":1,\"low\":0,"
                        "\"high\":9,\"log\":false}}}\n");
    const char *said = answer();
    put_text(STDERR_FILENO, said);
    return strstr(said, "error") != NULL ? 3 : good();
}

/* report N: so many reports, each answered. */
static int run_report(char **args)
{
    char line[128];
    for (long i = 0; i < atol(args[0]); i++) {
        int n = snprintf(line, sizeof(line), "{\"op\":\"report\",\"step\":%ld,\"value\":1}\n", i);
        put(channel(), line, (size_t)n);
        if (answer()[0] == '\0')
            return 9;
    }
    return good();
}

/* half N: so many reports; no more is said then, and only now are the answers read. */
static int run_half(char **args)
{
    char line[128];
    long left = atol(args[0]);
    for (long i = 0; i < left; i++) {
        int n = snprintf(line, sizeof(line), "{\"op\":\"report\",\"step\":%ld,\"value\":1}\n", i);
        put(channel(), line, (size_t)n);
    }
    (void)shutdown(channel(), SHUT_WR);
    nap_ms(300);
    while (left > 0) {
        const char *said = answer();
        if (said[0] == '\0')
            return 9;
        for (; *said != '\0'; said++)
            left -= *said == '\n';
        nap_ms(1);
    }
    return good();
}

/* rows N: so many rows of 1 KiB. */
static int run_rows(char **args)
{
    char fill[1001], line[1200];
    memset(fill, 'x', sizeof(fill) - 1);
    fill[sizeof(fill) - 1] = '\0';
    for (long i = 0; i < atol(args[0]); i++) {
        int n = snprintf(line, sizeof(line),
                         "{\"op\":\"row\",\"table\":\"finetune_results\",\"values\":{\"variant\":"
                         "\"v\",\"fold\":%ld,\"metrics\":{\"m\":\"%s\"}}}\n",
                         i, fill);
        put(channel(), line, (size_t)n);
    }
    put_text(channel(), "{\"op\":\"result\",\"values\":[0.25]}\n");
    return 0;
}

/* say LINE: one message on the channel, and nothing else. */
static int run_say(char **args)
{
    put_text(channel(), args[0]);
    put_text(channel(), "\n");
    nap_ms(100);
    return 3;
}

/* zombies: tells how many dead children PID 1 keeps; it has 20 s to collect them. */
static int run_zombies(char **args)
{
    int left = 0;
    (void)args;
    for (int i = 0; i < 200; i++) {
        DIR *d = opendir("/proc");
        left = 0;
        for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
            char path[300], state = '?';
            int parent = 0;
            (void)snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
            FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
            if (f == NULL)
                continue;
            if (fscanf(f, "%*d (%*[^)]) %c %d", &state, &parent) == 2)
                left += state == 'Z' && parent == 1;
            (void)fclose(f);
        }
        if (d != NULL)
            (void)closedir(d);
        if (left == 0)
            break;
        nap_ms(100);
    }
    (void)printf("loss=%d\n", left);
    return 0;
}

/* Whether it is a child of our parent that waits to become a worker, or (state Z) has been one. */
static bool is_spare(const char *pid, char *state)
{
    char path[300], line[32] = "", name[32];
    int parent = 0;
    (void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    int n = fscanf(f, "%*d (%31[^)]) %c %d", name, state, &parent);
    (void)fclose(f);
    (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t k = fread(line, 1, sizeof(line) - 1, f);
    (void)fclose(f);
    return n == 3 && parent == getppid() && strcmp(name, "forkless-exec") == 0 &&
           ((k > 0 && strcmp(line, "forkless-exec") == 0) || *state == 'Z');
}

/* Ends the process that waits, beside this one, to become the next trial; says whether it met one.
 */
static int run_kill_spare(char **args)
{
    int killed = 0;
    char state = 0;
    (void)args;
    DIR *d = opendir("/proc");
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !is_spare(e->d_name, &state) ||
            state == 'Z')
            continue;
        /* till it is over: what /proc shows of it goes away before it can no longer be given orders
         */
        struct pollfd over = {.fd = pidfd_open(atoi(e->d_name), 0), .events = POLLIN};
        killed += kill(atoi(e->d_name), SIGKILL) == 0;
        while (over.fd >= 0 && poll(&over, 1, -1) < 0 && errno == EINTR)
            ;
        if (over.fd >= 0)
            (void)close(over.fd);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)printf("loss=%d\n", killed);
    return 0;
}

static int run_ok(char **args)
{
    (void)args;
    return good();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int n_args;
        int (*run)(char **args);
    } modes[] = {
        {"ok", 0, run_ok},
        {"kill-spare", 0, run_kill_spare},
        {"tick", 1, run_tick},
        {"log", 2, run_log},
        {"sleep", 0, run_sleep},
        {"tree", 1, run_tree},
        {"daemon", 0, run_daemon},
        {"hold", 0, run_hold},
        {"flood", 1, run_flood},
        {"long-line", 1, run_long_line},
        {"binary", 0, run_binary},
        {"halves", 0, run_halves},
        {"nul", 0, run_nul},
        {"utf8", 0, run_utf8},
        {"close", 0, run_close},
        {"garbage", 0, run_garbage},
        {"huge", 1, run_huge},
        {"ask", 0, run_ask},
        {"eat", 1, run_eat},
        {"segv", 0, run_segv},
        {"exit", 1, run_exit},
        {"print", 1, run_print},
        {"hang", 0, run_hang},
        {"burn", 1, run_burn},
        {"read", 1, run_read},
        {"swell", 1, run_swell},
        {"bomb", 1, run_bomb},
        {"fork", 0, run_fork},
        {"zombies", 0, run_zombies},
        {"serve", 1, run_serve},
        {"half", 1, run_half},
        {"twice", 0, run_twice},
        {"suggest", 1, run_suggest},
        {"report", 1, run_report},
        {"rows", 1, run_rows},
        {"say", 1, run_say},
        {"ignore-term", 1, run_ignore_term},
    };
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0 && argc >= 2 + modes[i].n_args)
            return modes[i].run(argv + 2);
    }
    (void)fprintf(stderr, "victim: no such mode\n");
    return 64;
}
