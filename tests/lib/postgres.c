#include "tests/lib/postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* The directory of the newest server's programs, or NULL. */
static const char *programs(void)
{
    static char dir[256];
    glob_t found = {0};
    const char *given = getenv("FORKLESS_PG_BIN");
    if (given != NULL)
        return given;
    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0) {
        (void)snprintf(dir, sizeof(dir), "%s", found.gl_pathv[found.gl_pathc - 1]);
        *strrchr(dir, '/') = '\0';
    }
    globfree(&found);
    return dir[0] != '\0' ? dir : NULL;
}

/* Whom the server runs as: it refuses root. */
static const struct passwd *somebody(void)
{
    const struct passwd *p = getpwnam("postgres");
    return p != NULL ? p : getpwnam("nobody");
}

/* Starts a program of the server's with these words behind its name; it does not outlive us. */
static pid_t start(const struct pg_server *s, const char *program, const char *const *words)
{
    static char path[320], uid[32], gid[32], log[96];
    const char *argv[64] = {"setpriv", "--pdeathsig=INT"};
    size_t n = 2;
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    if (geteuid() == 0) {
        const struct passwd *p = somebody();
        (void)snprintf(uid, sizeof(uid), "--reuid=%u", p->pw_uid);
        (void)snprintf(gid, sizeof(gid), "--regid=%u", p->pw_gid);
        argv[n++] = uid;
        argv[n++] = gid;
        argv[n++] = "--clear-groups";
    }
    (void)snprintf(path, sizeof(path), "%s/%s", programs(), program);
    (void)snprintf(log, sizeof(log), "%s/log", s->dir);
    argv[n++] = path;
    for (; *words != NULL && n < 62; words++)
        argv[n++] = *words;
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addchdir_np(&actions, "/");
    (void)posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
    (void)posix_spawn_file_actions_adddup2(&actions, 1, 2);
    (void)posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    int sys = posix_spawnp(&pid, "setpriv", &actions, &attr, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (sys != 0)
        (void)fprintf(stderr, "%s: %s\n", path, strerror(sys));
    return sys == 0 ? pid : 0;
}

static void show_log(const struct pg_server *s)
{
    char path[96], text[4096];
    (void)snprintf(path, sizeof(path), "%s/log", s->dir);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    size_t n = fread(text, 1, sizeof(text), f);
    (void)fwrite(text, 1, n, stderr);
    (void)fclose(f);
}

const char *pg_url(const char *dir, const char *database)
{
    static char url[256];
    (void)snprintf(url, sizeof(url), "postgresql://forkless@/%s?host=%s", database, dir);
    return url;
}

/* To its end, which has to be a good one. */
static bool run(const struct pg_server *s, const char *program, const char *const *words)
{
    int status = -1;
    pid_t pid = start(s, program, words);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool make_cluster(struct pg_server *s)
{
    char data[80];
    (void)snprintf(data, sizeof(data), "%s/data", s->dir);
    const char *const words[] = {"-D", data,   "-U",         "forkless", "-A", "trust",
                                 "-E", "UTF8", "--locale=C", "-N",       NULL};
    return run(s, "initdb", words);
}

static bool await_ready(struct pg_server *s)
{
    for (int i = 0; i < 3000; i++) {
        const struct timespec ts = {.tv_nsec = 20000000};
        if (PQping(pg_url(s->dir, "postgres")) == PQPING_OK)
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) != 0)
            break;
        (void)nanosleep(&ts, NULL);
    }
    s->pid = 0;
    return false;
}

bool pg_server_again(struct pg_server *s)
{
    char data[80];
    const char *words[48] = {"-D", data,
                             "-k", s->dir,
                             "-c", "listen_addresses=",
                             "-c", "max_connections=120",
                             "-c", "shared_buffers=32MB"};
    size_t n = 10;
    if (!s->durable) {
        words[n++] = "-c";
        words[n++] = "fsync=off";
    }
    for (size_t i = 0; s->options != NULL && s->options[i] != NULL && n < 47; i++)
        words[n++] = s->options[i];
    (void)snprintf(data, sizeof(data), "%s/data", s->dir);
    s->pid = start(s, "postgres", words);
    return s->pid > 0 && await_ready(s);
}

/* A directory of its own. */
static bool make_dir(struct pg_server *s)
{
    if (programs() == NULL || (geteuid() == 0 && somebody() == NULL)) {
        (void)fprintf(stderr, "no PostgreSQL server below /usr/lib/postgresql to test with: "
                              "install what `./dev packages test` names\n");
        return false;
    }
    (void)snprintf(s->dir, sizeof(s->dir), "/tmp/forkless-pg-XXXXXX");
    s->pid = 0;
    if (mkdtemp(s->dir) == NULL)
        return false;
    (void)snprintf(s->url, sizeof(s->url), "%s", pg_url(s->dir, "postgres"));
    if (geteuid() == 0 && chown(s->dir, somebody()->pw_uid, somebody()->pw_gid) != 0)
        return false;
    return chmod(s->dir, 0755) == 0;
}

static bool started(struct pg_server *s, bool yes)
{
    if (!yes) {
        show_log(s);
        pg_server_remove(s);
    }
    return yes;
}

bool pg_server_start(struct pg_server *s)
{
    return make_dir(s) && started(s, make_cluster(s) && pg_server_again(s));
}

/* Runs SQL as the superuser; on an error a line on stderr. */
static bool run_sql(const struct pg_server *s, const char *sql)
{
    PGconn *c = PQconnectdb(s->url);
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    bool fine = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!fine)
        (void)fprintf(stderr, "%s: %s", sql, PQerrorMessage(c));
    PQclear(r);
    PQfinish(c);
    return fine;
}

bool pg_server_replicate(struct pg_server *replica, const struct pg_server *of)
{
    char data[80];
    if (!make_dir(replica))
        return false;
    (void)snprintf(data, sizeof(data), "%s/data", replica->dir);
    const char *const words[] = {"-D", data, "-h",   of->dir, "-U", "forkless",
                                 "-R", "-c", "fast", "-N",    NULL};
    return started(replica, run(replica, "pg_basebackup", words) && pg_server_again(replica) &&
                                run_sql(of, "ALTER SYSTEM SET synchronous_standby_names='*'") &&
                                run_sql(of, "SELECT pg_reload_conf()"));
}

bool pg_server_promote(struct pg_server *replica)
{
    return run_sql(replica, "SELECT pg_promote(true, 60)");
}

void pg_server_halt(struct pg_server *s, int sig)
{
    if (s->pid == 0)
        return;
    if (sig == SIGKILL)
        pg_server_signal_all(s, SIGKILL);
    (void)kill(s->pid, SIGCONT);
    (void)kill(s->pid, sig);
    (void)waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

/* Its processes are in sessions of their own, but children of one parent. */
void pg_server_signal_all(const struct pg_server *s, int sig)
{
    char path[64], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)s->pid, (int)s->pid);
    if (sig == SIGSTOP || sig == SIGKILL)
        (void)kill(s->pid, sig);
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f != NULL)
        (void)fclose(f);
    char *rest = text;
    for (long pid; (pid = strtol(rest, &rest, 10)) > 0;)
        (void)kill((pid_t)pid, sig);
    if (sig != SIGSTOP && sig != SIGKILL)
        (void)kill(s->pid, sig);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

void pg_server_remove(struct pg_server *s)
{
    if (s->pid != 0)
        pg_server_signal_all(s, SIGCONT);
    pg_server_halt(s, SIGINT);
    if (s->dir[0] != '\0')
        (void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    s->dir[0] = '\0';
}

long pg_ask(const char *url, const char *sql)
{
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, sql);
    long n = PQresultStatus(r) == PGRES_TUPLES_OK ? atol(PQgetvalue(r, 0, 0)) : -1;
    PQclear(r);
    PQfinish(c);
    return n;
}

const char *pg_fresh(const char *dir)
{
    static int n;
    char name[64], sql[128];
    PGconn *c = PQconnectdb(pg_url(dir, "postgres"));
    (void)snprintf(name, sizeof(name), "t%d_%d", (int)getpid(), n++);
    (void)snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE template0", name);
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        (void)fprintf(stderr, "%s: %s", sql, PQerrorMessage(c));
        abort();
    }
    PQclear(r);
    PQfinish(c);
    return pg_url(dir, name);
}
