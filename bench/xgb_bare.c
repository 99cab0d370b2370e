/* The peer of a trial: the least that XGBoost's C API needs to train a model, and nothing else. No
 * CSV, no validation, no metric, no model file.
 *
 *     xgb_bare FILE ROWS COLS ROUNDS      FILE: float32 [ROWS][COLS], then float32 labels [ROWS] */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xgboost/c_api.h>

static void need(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "xgb_bare: %s\n", XGBGetLastError());
    exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    size_t rows = strtoull(argv[2], NULL, 10), cols = strtoull(argv[3], NULL, 10);
    int rounds = atoi(argv[4]);
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    const float *x = mmap(NULL, rows * (cols + 1) * sizeof(float), PROT_READ, MAP_SHARED, fd, 0);
    if (x == MAP_FAILED)
        return 1;
    DMatrixHandle train;
    BoosterHandle booster;
    need(XGDMatrixCreateFromMat_omp(x, rows, cols, NAN, &train, 1));
    need(XGDMatrixSetFloatInfo(train, "label", x + rows * cols, rows));
    need(XGBoosterCreate(&train, 1, &booster));
    need(XGBoosterSetParam(booster, "objective", "binary:logistic"));
    need(XGBoosterSetParam(booster, "tree_method", "hist"));
    need(XGBoosterSetParam(booster, "max_depth", "6"));
    need(XGBoosterSetParam(booster, "eta", "0.1"));
    need(XGBoosterSetParam(booster, "nthread", "1"));
    for (int i = 0; i < rounds; i++)
        need(XGBoosterUpdateOneIter(booster, i, train));
    need(XGBoosterFree(booster));
    need(XGDMatrixFree(train));
    return 0;
}
