/* forkless serve: hands over to forkless-serve, because forkless itself never loads gRPC. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/own.h"
#include "cli/cli.h"

int serve_main(int argc, char **argv)
{
    AUTO_FREE char *program = NULL;
    struct err err;
    (void)argc;
    if (own_find(&program, "forkless-serve", X_OK, &err) < 0) {
        cli_error("serve: this forkless was installed without its proxy: %s", err.msg);
        return EXIT_USAGE;
    }
    argv[0] = program;
    (void)execv(program, argv);
    cli_error("serve: %s: %s", program, strerrordesc_np(errno));
    return EXIT_USAGE;
}
