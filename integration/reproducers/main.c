/* A program of victims: `PROGRAM repro NAME …`, as `forkless repro` calls it. */
#include <stdio.h>
#include <string.h>

#include "integration/reproducers/victim.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "repro") == 0)
        return victim_main(argc - 1, argv + 1);
    (void)fprintf(stderr, "%s: started by `forkless repro`\n", argv[0]);
    return 2;
}
