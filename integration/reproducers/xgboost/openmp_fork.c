/* openmp-fork: XGBoost trained in the parent with several threads, then again in the child. */
#include <stdio.h>
#include <stdlib.h>
#include <xgboost/c_api.h>

#include "base/cleanup.h"
#include "integration/reproducers/victim.h"

enum { ROWS = 500, COLUMNS = 8, ROUNDS = 3 };

static int failed(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, XGBGetLastError());
    return 1;
}

/* Any table will do: a fixed one, so that each try does the same. */
static int make_table(DMatrixHandle *out)
{
    static float values[ROWS * COLUMNS], labels[ROWS];
    unsigned state = 1;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        state = state * 1103515245u + 12345u;
        values[i] = (float)(state >> 16 & 0x7fff) / 32768.0f;
    }
    for (size_t i = 0; i < ROWS; i++)
        labels[i] = values[i * COLUMNS] > 0.5f ? 1.0f : 0.0f;
    if (XGDMatrixCreateFromMat(values, ROWS, COLUMNS, -1.0f, out) != 0)
        return failed("table");
    return XGDMatrixSetFloatInfo(*out, "label", labels, ROWS) != 0 ? failed("labels") : 0;
}

static int train(const char *threads)
{
    DMatrixHandle table;
    BoosterHandle booster;
    if (make_table(&table) != 0)
        return 1;
    if (XGBoosterCreate(&table, 1, &booster) != 0 ||
        XGBoosterSetParam(booster, "nthread", threads) != 0 ||
        XGBoosterSetParam(booster, "objective", "binary:logistic") != 0)
        return failed("booster");
    for (int i = 0; i < ROUNDS; i++) {
        if (XGBoosterUpdateOneIter(booster, i, table) != 0)
            return failed("training");
    }
    (void)XGBoosterFree(booster);
    (void)XGDMatrixFree(table);
    return 0;
}

static const char *threads_of(const struct victim_run *run)
{
    static char text[12];
    (void)snprintf(text, sizeof(text), "%d", run->c->kind);
    return text;
}

static int parent(const struct victim_run *run)
{
    return train(threads_of(run)) != 0 ? 1 : victim_child(run, "");
}

static int child(const struct victim_run *run, const char *given)
{
    (void)given;
    return train(threads_of(run));
}

static const struct victim_case cases[] = {
    {"nthread-2", "parent and child train with two threads each", VICTIM_HANGS, VICTIM_LEFT_OUT, 2},
    {"nthread-1", "parent and child train with one thread each", VICTIM_PASSES, VICTIM_LEFT_OUT, 1},
};

const struct victim openmp_fork = {
    .summary = "XGBoost (OpenMP) trained before and after a fork",
    .cases = cases,
    .n_cases = ARRAY_LEN(cases),
    .parent = parent,
    .child = child,
};
