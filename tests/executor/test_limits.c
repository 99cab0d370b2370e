/* What cgroups allow, read from trees that the tests lay out. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "executor/limits.h"
#include "tests/lib/sandbox.h"

TestSuite(limits, .init = sandbox_enter, .fini = sandbox_leave);

/* The directory of the test stands before /proc and /sys. */
static void put(const char *path, const char *content)
{
    char all[256];
    (void)snprintf(all, sizeof(all), "%s", path);
    for (char *p = all; (p = strchr(p + 1, '/')) != NULL;) {
        *p = '\0';
        (void)mkdir(all, 0755);
        *p = '/';
    }
    AUTO_FCLOSE FILE *f = fopen(path, "we");
    cr_assert(f != NULL && fputs(content, f) >= 0, "%s", path);
}

static double machine(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

Test(limits, without_a_cgroup_the_machine_counts)
{
    put("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:      40 kB\n");
    cr_expect(eq(dbl, limits_cpus("."), machine()));
    cr_expect(eq(u64, limits_memory_free("."), 40 * 1024));
    cr_expect(eq(u64, limits_oom_kills("."), 0));
}

Test(limits, nothing_known_is_no_limit)
{
    cr_expect(eq(u64, limits_memory_free("."), UINT64_MAX));
}

Test(limits, v2_takes_the_least_quota_of_all_levels)
{
    put("proc/self/cgroup", "0::/pod/job\n");
    put("sys/fs/cgroup/pod/job/cpu.max", "max 100000\n");
    cr_expect(eq(dbl, limits_cpus("."), machine()));
    put("sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
    cr_expect(eq(dbl, limits_cpus("."), 0.5));
    put("sys/fs/cgroup/pod/job/cpu.max", "75000 100000\n");
    cr_expect(eq(dbl, limits_cpus("."), 0.5));
    put("sys/fs/cgroup/pod/job/cpu.max", "25000 100000\n");
    cr_expect(eq(dbl, limits_cpus("."), 0.25));
}

Test(limits, v2_in_a_container_has_its_limits_at_the_top)
{
    put("proc/self/cgroup", "0::/\n");
    put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    cr_expect(eq(dbl, limits_cpus("."), 0.5));
    /* the host's path, of which the container sees only the end */
    put("proc/self/cgroup", "0::/kubepods/pod1/c1\n");
    cr_expect(eq(dbl, limits_cpus("."), 0.5));
}

Test(limits, v1_quota)
{
    put("proc/self/cgroup", "12:memory:/m\n4:cpu,cpuacct:/c/d\n1:name=systemd:/\n");
    put("sys/fs/cgroup/cpu/c/d/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/c/d/cpu.cfs_period_us", "100000\n");
    cr_expect(eq(dbl, limits_cpus("."), machine()));
    put("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "20000\n");
    put("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "50000\n");
    cr_expect(eq(dbl, limits_cpus("."), 0.4));
}

Test(limits, v2_memory_is_the_tightest_level_and_its_cache_gives_way)
{
    put("proc/meminfo", "MemAvailable: 1000000 kB\n");
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/memory.max", "1000\n");
    put("sys/fs/cgroup/a/memory.current", "900\n");
    cr_expect(eq(u64, limits_memory_free("."), 100));
    put("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 300\nactive_file 5\n");
    cr_expect(eq(u64, limits_memory_free("."), 400));
    put("sys/fs/cgroup/a/memory.current", "2000\n"); /* over, for a moment */
    cr_expect(eq(u64, limits_memory_free("."), 0));
}

Test(limits, v1_memory)
{
    put("proc/meminfo", "MemAvailable: 1000000 kB\n");
    put("proc/self/cgroup", "3:memory:/x\n");
    put("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "5000\n");
    put("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "1000\n");
    cr_expect(eq(u64, limits_memory_free("."), 4000));
}

Test(limits, oom_kills_are_counted_where_we_live)
{
    put("proc/self/cgroup", "0::/a/b\n");
    put("sys/fs/cgroup/a/memory.events", "oom_kill 9\n");
    put("sys/fs/cgroup/a/b/memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n");
    cr_expect(eq(u64, limits_oom_kills("."), 3));
}

Test(limits, v1_oom_kills)
{
    put("proc/self/cgroup", "3:memory:/x\n");
    put("sys/fs/cgroup/memory/x/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    cr_expect(eq(u64, limits_oom_kills("."), 2));
}
