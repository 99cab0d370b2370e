/* What `forkless repro` prints, case by case, for people or as one JSON object at the end. */
#pragma once

#include "base/buf.h"
#include "integration/reproducers/reproducers.h"

struct report {
    bool json;
    struct buf out;             /* the JSON object as it grows */
    const struct repro_case *c; /* the one that is running */
    unsigned tries, good, bad_cases, cases;
    enum repro_end last;
    uint64_t ms;     /* of the case's slowest try */
    struct buf text; /* evidence, or what went wrong: of the case's first such try */
};

void report_begin(struct report *p, const struct reproducer *r, const struct repro_arm *arm,
                  const struct repro_plan *plan, bool json);
void report_case(struct report *p, const struct repro_case *c);
void report_try(struct report *p, const struct repro_result *result);
void report_case_end(struct report *p);
/* Returns EXIT_OK when every try did what it should, else EXIT_UNMET. */
int report_end(struct report *p);
void report_finish(struct report *p);

/* Appends where the hung child of a try stands, if its evidence has it. */
void report_put_stack(struct buf *b, const struct repro_result *r);
