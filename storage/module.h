/* Backends whose libraries are dear to load (libpq brings 20 more, 6 ms and 6 MiB; gRPC 55) live in
 * a shared object of their own, storage-NAME.so, loaded when a url asks for it.
 *
 * A module is linked with its own copy of base/ and trials/ and exports nothing but the variable
 * `forkless_store_module`. So it must not count on state of the program beyond what a call hands
 * over: it does not log. It stays loaded until the program ends. */
#pragma once

#include "storage/backend.h"

typedef int store_open_fn(struct store **out, const char *url, const struct store_opts *opts,
                          struct err *err);

/* What a module exports. */
struct store_module {
    const char *build;   /* STORE_MODULE_BUILD: structs are shared, so it has to be our own */
    size_t ops_size;     /* sizeof(struct store_ops), for the same reason */
    store_open_fn *open; /* opts is never NULL */
};

/* Defines the entry of a module that opens stores with `open_`. */
#define STORE_MODULE(open_)                                                                        \
    extern const struct store_module forkless_store_module;                                        \
    __attribute__((visibility("default"))) const struct store_module forkless_store_module = {     \
        .build = STORE_MODULE_BUILD, .ops_size = sizeof(struct store_ops), .open = (open_)}

/* Loads storage-NAME.so and opens the store with it. Errors: ERR_UNSUPPORTED (no such module, or
 * not ours), and those of its open. */
int module_open(struct store **out, const char *name, const char *url,
                const struct store_opts *opts, struct err *err);
