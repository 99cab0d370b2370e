/* Which addresses stay on this machine. */
#pragma once

#include <stdbool.h>

/* Whether only this machine can reach a gRPC address: HOST:PORT with a loopback host, or a unix
 * socket. A name that begins like a number (127.example.com) is none. */
bool address_is_local(const char *address);
/* Whether it can be listened on: HOST:PORT (port 0: any), unix:PATH or unix-abstract:NAME. */
bool address_is_complete(const char *address);
