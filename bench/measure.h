/* What the benchmarks of whole programs share: running a command and what it cost, medians, and a
 * table of claims that goes to the terminal and, as JSON, to a file. A benchmark ends at once, with
 * a reason, when something it measures fails. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Ends the program: "WHAT: strerror" when errno says something, WHAT otherwise. */
_Noreturn void bench_die(const char *what);

/* Monotonic clock, ms. */
double bench_now_ms(void);

/* User and system time of a process, all its threads', without its children's. It may be over, but
 * not waited for yet. */
double bench_cpu_ms(pid_t pid);

/* A new directory out/bench/NAME.XXXXXX below the working directory, whose files are on a disk like
 * a user's; path [n] is absolute. */
void bench_dir(const char *name, char *path, size_t n);
void bench_remove_dir(char *path);

struct cost {
    double wall_ms;
    double cpu_ms;     /* of the process and of all children that it waited for */
    double own_cpu_ms; /* of the process alone */
    double rss_mib;    /* peak of the process or of a child of it, whichever is more */
};

/* Runs a command to its end in dir (NULL: here), stdout and stderr thrown away unless out [n] is to
 * get the first bytes of stdout. It must exit with 0. */
void bench_command(char *const argv[], const char *dir, struct cost *cost, char *out, size_t n);

/* n times posix_spawn and wait of a command, its output thrown away: the floor of a sweep. Wall and
 * children's CPU are for all n. */
void bench_spawn_loop(char *const argv[], int n, struct cost *cost);

/* Sorts v. */
double bench_median(double *v, int n);

enum bench_sense { AT_MOST, AT_LEAST };

/* One line of the table: text, what was promised, what was found. unit follows the numbers, as "x"
 * or " ms". */
struct bench_claim {
    const char *text;
    enum bench_sense sense;
    double goal, result;
    const char *unit;
};

/* A figure without a goal, in the same table. */
void bench_figure(const char *text, double value, const char *unit);
void bench_claim(const struct bench_claim *claim);

/* Writes all claims and figures so far to out/bench/NAME.json. Returns the exit code: 0 when all
 * claims hold. */
int bench_end(const char *name);
