/* A relay before a server's socket that can lose what passes: a cable to be cut at will. */
#pragma once

#include "tests/lib/postgres.h"

enum cut {
    CUT_NOTHING,
    CUT_ANSWER,  /* the next thing that we send arrives, its answer does not */
    CUT_REQUEST, /* the next thing that we send is lost */
};

struct cut_relay;

/* Relays one connection after the other between a socket of its own and the server's. */
struct cut_relay *cut_start(const char *server_dir);
/* The directory of its socket, for pg_url. */
const char *cut_dir(const struct cut_relay *r);
/* What is lost next; then the connection ends. */
void cut_next(struct cut_relay *r, enum cut what);
void cut_stop(struct cut_relay *r);
