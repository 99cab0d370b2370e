/* Confident learning for interop.py: confident_tool FILTER < input, where input is rows and classes
 * (64-bit), labels (32-bit) and probabilities (doubles, row by row). Prints the named rows, from 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trials/objectives/confident.h"

static int find(const struct confident *c, const char *filter, bool *issue)
{
    struct err err = {0};
    for (int f = 0; f < CONFIDENT_FILTERS; f++) {
        if (strcmp(confident_filter_name((enum confident_filter)f), filter) != 0)
            continue;
        if (confident_find(c, (enum confident_filter)f, issue, &err) == 0)
            return 0;
        (void)fprintf(stderr, "%s\n", err.msg);
    }
    return 1;
}

int main(int argc, char **argv)
{
    uint64_t size[2];
    if (argc != 2 || fread(size, sizeof(size), 1, stdin) != 1 || size[1] < 2 || size[1] > 100 ||
        size[0] == 0 || size[0] > 10000000)
        return 2;
    uint32_t *label = calloc(size[0], sizeof(*label));
    double *prob = calloc(size[0] * size[1], sizeof(*prob));
    bool *issue = calloc(size[0], sizeof(*issue));
    if (label == NULL || prob == NULL || issue == NULL ||
        fread(label, sizeof(*label), size[0], stdin) != size[0] ||
        fread(prob, sizeof(*prob), size[0] * size[1], stdin) != size[0] * size[1])
        return 2;
    struct confident c = {.prob = prob, .label = label, .n = size[0], .k = size[1]};
    int rc = find(&c, argv[1], issue);
    for (size_t i = 0; rc == 0 && i < size[0]; i++) {
        if (issue[i])
            (void)printf("%zu\n", i);
    }
    free(label);
    free(prob);
    free(issue);
    return rc;
}
