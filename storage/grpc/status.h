/* Errors and gRPC's statuses. */
#pragma once

#include "base/err.h"
#include "storage/grpc/wire.h"

/* gRPC's status for an error: what makes Optuna's client raise what its storages raise. */
int status_of_error(enum err_code code);
/* And back: what a status says of a call of that method. */
enum err_code error_of_status(enum wire_method m, int status);
