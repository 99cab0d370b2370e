/* What forkless-exec needs of a C library: system calls and a few words about texts. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long call6(long n, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#elif defined(__aarch64__)
static inline long call6(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "forkless-exec: add the system call sequence of this architecture"
#endif

static inline long call(long n, long a, long b, long c, long d)
{
    return call6(n, a, b, c, d, 0, 0);
}

static inline size_t length(const char *s)
{
    size_t n = 0;
    while (s[n] != '\0')
        n++;
    return n;
}

static inline int same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static inline uint64_t number(const char *s, unsigned base)
{
    uint64_t v = 0;
    for (; *s != '\0'; s++)
        v = v * base + (uint64_t)(*s >= 'a' ? *s - 'a' + 10 : *s - '0');
    return v;
}

static inline void say(const char *s)
{
    (void)call(SYS_write, 2, (long)s, (long)length(s), 0);
}

static inline _Noreturn void quit(int code)
{
    for (;;)
        (void)call(SYS_exit_group, code, 0, 0, 0);
}

/* see stub_forks.c */
void watch_forks(int channel);
/* forkless-guardian: see stub_guardian.c */
_Noreturn void guard(const char *mark);
