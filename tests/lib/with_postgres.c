/* with_postgres COMMAND …: runs it with FORKLESS_TEST_PG naming the directory of a server's socket.
 */
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/lib/postgres.h"

extern char **environ;

static volatile pid_t command;

/* The command ends, and then we do, with the server. */
static void hand_on(int sig)
{
    if (command > 0)
        (void)kill(command, sig);
}

int main(int argc, char **argv)
{
    struct pg_server server = {0};
    int status = 0;
    pid_t pid;
    if (argc < 2)
        return 2;
    if (!pg_server_start(&server))
        return 1;
    (void)setenv("FORKLESS_TEST_PG", server.dir, 1);
    (void)signal(SIGTERM, hand_on);
    (void)signal(SIGINT, hand_on);
    int sys = posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ);
    command = sys == 0 ? pid : 0;
    if (sys == 0)
        while (waitpid(pid, &status, 0) < 0)
            ;
    else
        (void)fprintf(stderr, "with_postgres: %s cannot be started\n", argv[1]);
    pg_server_remove(&server);
    return sys != 0 ? 1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
