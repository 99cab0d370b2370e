/* The progress line at different widths. */
#include <criterion/criterion.h>

#include "cli/progress.h"

static const char *line_of(int width)
{
    static struct buf line;
    static const struct executor_study study = {
        .has_best = true, .best_value = 0.702172, .best_number = 17, .done_before = 10};
    static const struct executor_status status = {.done = 20,
                                                  .failed = 2,
                                                  .running = 4,
                                                  .target = 40,
                                                  .studies = &study,
                                                  .n_studies = 1,
                                                  .elapsed_ms = 10000,
                                                  .quietest_ms = 6000};
    struct progress p;
    progress_init(&p, "auc");
    progress_line(&line, &p, &status, width);
    return buf_str(&line);
}

Test(progress, a_wide_line_has_all)
{
    cr_expect_str_eq(
        line_of(200),
        "━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄ 20/40 · 4 running · 2 failed · best auc 0.702172 (#17) · "
        "1.0/s · 20 s left · quiet for 6.0 s");
}

Test(progress, what_does_not_fit_is_left_out_whole)
{
    cr_expect_str_eq(
        line_of(110),
        "━━━━━━━━━━┄┄┄┄┄┄┄┄┄┄ 20/40 · 4 running · 2 failed · best auc 0.702172 (#17) · "
        "20 s left · quiet for 6.0 s");
    cr_expect_str_eq(line_of(79), "20/40 · 2 failed · best auc 0.702172 (#17) · 20 s left · quiet "
                                  "for 6.0 s");
    cr_expect_str_eq(line_of(40), "20/40 · 2 failed · 20 s left");
    cr_expect_str_eq(line_of(1), "20/40");
}
