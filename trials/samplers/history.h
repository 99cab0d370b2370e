/* What a sampler has been told: trials as rows, parameters as columns, kept sorted in the ways that
 * samplers ask for. Rows keep their index for ever; everything that is handed out in an order is in
 * the order of trial numbers or losses, so the order of arrival cannot matter. */
#pragma once

#include "trials/trial.h"

struct column {
    char *name;         /* owned */
    struct dist *dists; /* owned; the distributions seen under this name, usually one */
    size_t n_dists;
    double *values; /* [rows] internal representation; NaN where the trial has no such parameter */
};

struct row {
    int64_t number;
    enum trial_state state; /* WAITING: forgotten */
    double loss;            /* COMPLETE: value, negated when maximising */
    int64_t step;           /* PRUNED: last step, -1 without any */
    double step_loss;
};

/* A parameter that all finished trials have, with one and the same distribution. */
struct joint {
    size_t column;
    size_t dist; /* index into the column's */
};

struct history {
    enum direction direction;
    struct column *columns;
    size_t n_columns;
    struct row *rows;
    size_t n_rows, capacity;
    uint32_t *by_number; /* [n_rows] rows by trial number */
    uint32_t *complete;  /* rows of COMPLETE trials, best first */
    size_t n_complete;
    uint32_t *pruned; /* rows of PRUNED trials, best first: far before near, then by loss */
    size_t n_pruned;
    uint32_t *changes; /* rows in the order of their changes: readers keep a cursor */
    size_t n_changes, changes_capacity;
    struct joint *joint; /* by name */
    size_t n_joint;
    bool joint_known; /* a trial has finished */
};

void history_init(struct history *h, enum direction direction);
void history_free(struct history *h);
/* See sampler_observe. What is known already is no change. */
int history_observe(struct history *h, const struct trial *t, struct err *err);
/* Adds parameters that a RUNNING row lacks. Errors: ERR_NOMEM. */
int history_add_params(struct history *h, int64_t number, const struct trial_param *params,
                       size_t n, struct err *err);

/* Index of the trial's row, or -1. */
int64_t history_row(const struct history *h, int64_t number);
/* Index of the column, which is made when there is none yet; -1: out of memory. */
int64_t history_column(struct history *h, const char *name);
static inline size_t history_finished(const struct history *h)
{
    return h->n_complete + h->n_pruned;
}
/* The i-th best finished row: COMPLETE trials before PRUNED ones. */
static inline uint32_t history_best(const struct history *h, size_t i)
{
    return i < h->n_complete ? h->complete[i] : h->pruned[i - h->n_complete];
}
static inline const struct dist *history_dist(const struct history *h, const struct joint *j)
{
    return &h->columns[j->column].dists[j->dist];
}
