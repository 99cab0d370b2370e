/* The worker machine by itself: events with virtual time in, a trace out. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <inttypes.h>

#include "base/buf.h"
#include "executor/worker.h"
#include "tests/executor/wk_name.h"

static const struct wk_conf conf = {
    .stall_ms = 300000, .trial_ms = 3600000, .grace_ms = 10000, .evidence_ms = 5000};

struct scene {
    struct wk w;
    struct buf trace;
    bool probes; /* in the trace too, and looks */
};

static void begin(struct scene *s)
{
    *s = (struct scene){.trace = BUF_INIT};
    wk_init(&s->w, &conf, 0);
}

static void step_event(struct scene *s, struct wk_event event)
{
    static const char *const words[] = {"probe", "evidence", "TERM", "KILL", "reap", "look"};
    enum wk_state before = s->w.state;
    unsigned todo = wk_step(&s->w, event);
    if (!s->probes)
        todo &= ~(unsigned)(WK_DO_PROBE | WK_DO_LOOK);
    if (todo == 0 && s->w.state == before)
        return;
    buf_printf(&s->trace, "[%" PRIu64 "] %s", event.now_ms, wk_state_name(s->w.state));
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (todo & 1u << i)
            buf_printf(&s->trace, " %s", words[i]);
    }
    buf_putc(&s->trace, '\n');
}

static void step(struct scene *s, uint64_t now, enum wk_event_type type)
{
    step_event(s, (struct wk_event){.type = type, .now_ms = now});
}

/* Time passes: a tick whenever the machine wants one. */
static void until(struct scene *s, uint64_t end)
{
    for (uint64_t due; (due = wk_due(&s->w)) <= end;)
        step(s, due, WK_EV_TICK);
}

static void expect(struct scene *s, const char *trace)
{
    cr_expect(eq(str, (char *)(uintptr_t)buf_str(&s->trace), (char *)(uintptr_t)trace));
    buf_free(&s->trace);
}

static void begin_watched(struct scene *s)
{
    static const struct wk_conf watched = {
        .deadlock_ms = 8000, .grace_ms = 10000, .evidence_ms = 5000};
    *s = (struct scene){.trace = BUF_INIT, .probes = true};
    wk_init(&s->w, &watched, 0);
}

Test(worker, a_deadlock_that_stands_is_acted_on_even_while_others_move)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    for (uint64_t at = 1000; at <= 9000; at += 1000) {
        until(&s, at);
        step(&s, at, WK_EV_ACTIVITY);
        step(&s, at, WK_EV_STUCK);
    }
    cr_expect(eq(int, (int)s.w.reason, WK_DEADLOCKED));
    expect(&s, "[0] running\n"
               "[1000] running look\n"
               "[2000] running look\n"
               "[3000] running look\n"
               "[4000] running look\n"
               "[5000] running look\n"
               "[6000] running look\n"
               "[7000] running look\n"
               "[8000] running look\n"
               "[9000] running look\n"
               "[9000] evidence evidence\n");
}

Test(worker, the_last_look_is_due_when_the_deadlock_has_lasted)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 1000);
    step(&s, 1300, WK_EV_STUCK); /* this look took longer than the others */
    for (uint64_t at = 2000; at <= 9000; at += 1000) {
        until(&s, at);
        step(&s, at + 100, WK_EV_STUCK);
    }
    until(&s, 9300);
    step(&s, 9400, WK_EV_STUCK);
    expect(&s, "[0] running\n"
               "[1000] running look\n"
               "[2000] running look\n"
               "[3000] running look\n"
               "[4000] running look\n"
               "[5000] running look\n"
               "[6000] running look\n"
               "[7000] running look\n"
               "[8000] running look\n"
               "[9000] running look\n"
               "[9300] running look\n"
               "[9400] evidence evidence\n");
}

Test(worker, what_idle_processes_use_is_no_progress)
{
    static const struct wk_used progress[] = {{.cpu_ms = 250},
                                              {.page_ins = 25},
                                              {.storage_bytes = 25 * 4096},
                                              {.page_ins = 13, .storage_bytes = 12 * 4096},
                                              {.call_bytes = 25 * 65536}},
                                idle[] = {{0},
                                          {.cpu_ms = 249},
                                          {.page_ins = 24},
                                          {.storage_bytes = 25 * 4096 - 1},
                                          {.call_bytes = 25 * 65536 - 1}};
    for (size_t i = 0; i < 5; i++) {
        cr_expect(wk_progressed(&progress[i], 25000), "%zu", i);
        cr_expect(not(wk_progressed(&idle[i], 25000)), "%zu", i);
        cr_expect(not(wk_progressed(&idle[0], i)), "no time, nothing used");
    }
}

static const struct wk_conf only_told = {
    .stall_ms = 10000, .grace_ms = 1000, .evidence_ms = 5000, .only_tell = true};

Test(worker, a_hang_that_is_only_told_ends_nobody_but_a_wish_to_stop_counts)
{
    struct scene s = {.trace = BUF_INIT};
    wk_init(&s.w, &only_told, 0);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 10000);
    step(&s, 10100, WK_EV_EVIDENCE);
    until(&s, 20100);
    step(&s, 20200, WK_EV_STOP);
    until(&s, 26000);
    expect(&s, "[0] running\n"
               "[10000] evidence evidence\n"
               "[10100] running\n"
               "[20100] evidence evidence\n"
               "[25100] terminating TERM\n");
}

/* The slot has recorded the trial and expects the process to go: back in running it would hang a
 * second time, with no trial to be told of. */
Test(worker, a_trial_that_ends_while_its_hang_is_told_leaves_no_worker_behind)
{
    for (enum wk_event_type how = WK_EV_RESULT; how <= WK_EV_RELEASE; how++) {
        struct scene s = {.trace = BUF_INIT};
        if (how != WK_EV_RESULT && how != WK_EV_RELEASE)
            continue;
        wk_init(&s.w, &only_told, 0);
        step(&s, 0, WK_EV_TRIAL);
        until(&s, 10000);
        step(&s, 10050, how);
        step(&s, 10100, WK_EV_EVIDENCE);
        cr_expect(eq(int, (int)s.w.reason, WK_STOPPED));
        until(&s, 60000);
        expect(&s, "[0] running\n"
                   "[10000] evidence evidence\n"
                   "[10100] terminating TERM\n"
                   "[11100] killing KILL\n");
    }
}

Test(worker, one_that_is_stopped_while_its_hang_is_told_was_not_ended_for_the_hang)
{
    struct scene s = {.trace = BUF_INIT};
    wk_init(&s.w, &only_told, 0);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 10000);
    step(&s, 10050, WK_EV_STOP);
    step(&s, 10100, WK_EV_EVIDENCE);
    cr_expect(eq(int, (int)s.w.reason, WK_STOPPED));
    buf_free(&s.trace);
}

Test(worker, a_deadlock_that_dissolves_is_forgotten)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    for (uint64_t at = 1000; at <= 40000; at += 1000) {
        until(&s, at);
        step(&s, at, at % 7000 == 0 ? WK_EV_FREE : WK_EV_STUCK);
    }
    cr_expect(eq(int, (int)s.w.state, WK_RUNNING));
    buf_free(&s.trace);
}

Test(worker, evidence_waits_for_a_look_but_not_long)
{
    static const struct wk_conf both = {
        .stall_ms = 1500, .deadlock_ms = 8000, .grace_ms = 1000, .evidence_ms = 5000};
    struct scene s = {.trace = BUF_INIT};
    wk_init(&s.w, &both, 0);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 1600); /* the look began at 1000 */
    step(&s, 1700, WK_EV_FREE);
    until(&s, 1800);
    expect(&s, "[0] running\n"
               "[1500] evidence evidence\n");
}

Test(worker, one_look_at_a_time)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 60000); /* the answer takes long */
    step(&s, 60000, WK_EV_FREE);
    until(&s, 61500);
    expect(&s, "[0] running\n"
               "[1000] running look\n"
               "[61000] running look\n");
}

/* The child was forked 2500 ms before the look that found it: it counts from there. */
Test(worker, a_deadlock_lasts_since_the_fork_that_it_stands_in)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    for (uint64_t at = 1000; at <= 3000; at += 1000) {
        until(&s, at);
        step(&s, at, WK_EV_FREE);
    }
    for (uint64_t at = 4000; at <= 9000; at += 1000) {
        until(&s, at);
        step_event(&s, (struct wk_event){.type = WK_EV_STUCK, .now_ms = at, .for_ms = at - 1500});
    }
    cr_expect(eq(u64, s.w.stuck_ms, 1500));
    until(&s, 9500);
    step_event(&s, (struct wk_event){.type = WK_EV_STUCK, .now_ms = 9500, .for_ms = 8000});
    cr_expect(eq(int, (int)s.w.state, WK_EVIDENCE));
    buf_free(&s.trace);
}

/* On a busy machine a look may not come to its end. */
Test(worker, a_look_that_was_not_done_in_time_changes_nothing)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    for (uint64_t at = 1000; at <= 9000; at += 1000) {
        until(&s, at);
        step(&s, at, at == 1000 ? WK_EV_STUCK : WK_EV_UNSURE);
    }
    cr_expect(eq(int, (int)s.w.state, WK_RUNNING), "nothing is proven now");
    cr_expect(eq(u64, s.w.stuck_ms, 1000));
    until(&s, 10000);
    step(&s, 10000, WK_EV_STUCK);
    cr_expect(eq(int, (int)s.w.reason, WK_DEADLOCKED));
    buf_free(&s.trace);
}

/* Two that were met for a moment each are no deadlock. */
Test(worker, behind_unsure_looks_another_process_begins_anew)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    for (uint64_t at = 1000; at <= 9000; at += 1000) {
        until(&s, at);
        step_event(&s, (struct wk_event){.type = at == 1000   ? WK_EV_STUCK
                                                 : at == 9000 ? WK_EV_STUCK
                                                              : WK_EV_UNSURE,
                                         .now_ms = at,
                                         .who = at});
    }
    cr_expect(eq(int, (int)s.w.state, WK_RUNNING));
    cr_expect(eq(u64, s.w.stuck_ms, 9000));
    until(&s, 10000);
    step_event(&s, (struct wk_event){.type = WK_EV_STUCK, .now_ms = 10000, .who = 4});
    cr_expect(eq(u64, s.w.stuck_ms, 9000), "children of a pool are met in turn");
    buf_free(&s.trace);
}

/* However old it is: half of the time it was seen so, and the trial is not blamed for another's. */
Test(worker, what_nobody_has_seen_is_at_most_half_of_a_deadlock)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 1000);
    step_event(&s, (struct wk_event){.type = WK_EV_STUCK, .now_ms = 1000, .for_ms = 60000});
    cr_expect(eq(u64, s.w.stuck_ms, 0));
    step(&s, 6000, WK_EV_FREE);
    until(&s, 7000);
    step_event(&s, (struct wk_event){.type = WK_EV_STUCK, .now_ms = 7000, .for_ms = 60000});
    cr_expect(eq(u64, s.w.stuck_ms, 3000));
    buf_free(&s.trace);
}

Test(worker, an_answer_for_the_last_trial_says_nothing_about_the_next)
{
    struct scene s;
    begin_watched(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 1000);
    step(&s, 1100, WK_EV_RESULT);
    step(&s, 1200, WK_EV_STUCK);
    step(&s, 1300, WK_EV_TRIAL);
    until(&s, 2400);
    cr_expect(not(s.w.stuck));
    expect(&s, "[0] running\n"
               "[1000] running look\n"
               "[1100] idle\n"
               "[1300] running\n"
               "[2000] running look\n");
}

Test(worker, a_silent_one_is_seen_written_down_termed_and_killed)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 300000);
    step(&s, 300200, WK_EV_EVIDENCE);
    until(&s, 400000);
    step(&s, 310210, WK_EV_EXIT);
    cr_expect(eq(int, (int)s.w.reason, WK_STALLED));
    expect(&s, "[0] running\n"
               "[300000] evidence evidence\n"
               "[300200] terminating TERM\n"
               "[310200] killing KILL\n"
               "[310210] dead reap\n");
}

Test(worker, evidence_that_does_not_come_delays_the_end_by_5_s_at_most)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 400000);
    expect(&s, "[0] running\n"
               "[300000] evidence evidence\n"
               "[305000] terminating TERM\n"
               "[315000] killing KILL\n");
}

Test(worker, activity_moves_the_stall_away_but_not_the_time_limit)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_TRIAL);
    for (uint64_t now = 200000; now < 3600000; now += 200000) {
        until(&s, now);
        step(&s, now, WK_EV_ACTIVITY);
    }
    until(&s, 3600000);
    cr_expect(eq(int, (int)s.w.reason, WK_TIMEOUT));
    expect(&s, "[0] running\n[3600000] evidence evidence\n");
}

Test(worker, silence_is_probed_before_it_counts)
{
    struct scene s;
    begin(&s);
    s.probes = true;
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 60000);
    step(&s, 60000, WK_EV_ACTIVITY);
    until(&s, 110000);
    expect(&s, "[0] running\n[25000] running probe\n[50000] running probe\n"
               "[85000] running probe\n[110000] running probe\n");
}

Test(worker, a_result_ends_the_trial_and_an_idle_worker_never_stalls)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_TRIAL);
    step(&s, 1000, WK_EV_RESULT);
    until(&s, 10000000);
    step(&s, 10000000, WK_EV_TRIAL);
    step(&s, 10000001, WK_EV_RESULT);
    step(&s, 10000002, WK_EV_RELEASE);
    step(&s, 10000003, WK_EV_EXIT);
    cr_expect(eq(int, (int)s.w.reason, WK_BY_ITSELF));
    expect(&s, "[0] running\n[1000] idle\n[10000000] running\n[10000001] idle\n"
               "[10000002] leaving\n[10000003] dead reap\n");
}

Test(worker, one_that_does_not_leave_is_ended)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_RELEASE);
    until(&s, 100000);
    expect(&s, "[0] leaving\n[10000] terminating TERM\n[20000] killing KILL\n");
}

Test(worker, a_stop_waits_for_evidence_an_order_to_kill_does_not)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_TRIAL);
    until(&s, 300000);
    step(&s, 300001, WK_EV_STOP);
    step(&s, 300002, WK_EV_KILL);
    cr_expect(eq(int, (int)s.w.reason, WK_STOPPED)); /* without evidence it is no hang */
    expect(&s, "[0] running\n[300000] evidence evidence\n[300002] killing KILL\n");
}

Test(worker, without_limits_it_may_be_silent_for_ever)
{
    struct scene s = {.trace = BUF_INIT};
    wk_init(&s.w, &(struct wk_conf){.grace_ms = 1}, 0);
    step(&s, 0, WK_EV_TRIAL);
    cr_expect(eq(u64, wk_due(&s.w), UINT64_MAX));
    expect(&s, "[0] running\n");
}

Test(worker, the_dead_do_nothing)
{
    struct scene s;
    begin(&s);
    step(&s, 0, WK_EV_EXIT);
    for (int ev = 0; ev < WK_EVENTS; ev++)
        step(&s, 1, (enum wk_event_type)ev);
    expect(&s, "[0] dead reap\n");
}
