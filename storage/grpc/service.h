/* Optuna's StorageService over a store: the bytes of a request in, those of the reply out. Knows
 * nothing of gRPC, so that it is tested and fuzzed without a network. */
#pragma once

#include "base/buf.h"
#include "storage/grpc/wire.h"
#include "storage/storage.h"

/* Answers a request, appending the reply to *reply. Errors: those of the store's calls, ERR_INVALID
 * and ERR_NOMEM of wire_unpack; then *reply is of no use. A WIRE_BATCH belongs into a transaction
 * of the store (store_begin), which an error is to undo. */
int service_answer(struct store *s, enum wire_method m, const void *request, size_t n,
                   struct buf *reply, struct err *err);
