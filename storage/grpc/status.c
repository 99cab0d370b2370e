#include "storage/grpc/status.h"

/* gRPC's numbers, which are part of the protocol. */
enum status {
    OK = 0,
    UNKNOWN = 2,
    INVALID_ARGUMENT = 3,
    DEADLINE_EXCEEDED = 4,
    NOT_FOUND = 5,
    ALREADY_EXISTS = 6,
    PERMISSION_DENIED = 7,
    RESOURCE_EXHAUSTED = 8,
    FAILED_PRECONDITION = 9,
    UNIMPLEMENTED = 12,
    INTERNAL = 13,
    UNAVAILABLE = 14,
    DATA_LOSS = 15,
    UNAUTHENTICATED = 16,
};

int status_of_error(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return OK;
    case ERR_INVALID:
    case ERR_CONFLICT: /* a distribution that does not fit */
        return INVALID_ARGUMENT;
    case ERR_NOTFOUND:
        return NOT_FOUND;
    case ERR_EXISTS:
        return ALREADY_EXISTS;
    case ERR_FINISHED: /* and nothing else: the client takes it for a finished trial */
        return FAILED_PRECONDITION;
    case ERR_NOMEM:
        return RESOURCE_EXHAUSTED;
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_STOPPED:
        return UNAVAILABLE;
    case ERR_UNSUPPORTED: /* the store cannot be written */
        return PERMISSION_DENIED;
    case ERR_CORRUPT:
        return DATA_LOSS;
    default:
        return INTERNAL;
    }
}

enum err_code error_of_status(enum wire_method m, int status)
{
    switch (status) {
    case OK:
        return ERR_NONE;
    case INVALID_ARGUMENT:
        return m == WIRE_SET_TRIAL_PARAMETER || m == WIRE_CREATE_NEW_TRIAL ? ERR_CONFLICT
                                                                           : ERR_INVALID;
    case NOT_FOUND:
        return ERR_NOTFOUND;
    case ALREADY_EXISTS:
        return ERR_EXISTS;
    case FAILED_PRECONDITION:
        return ERR_FINISHED;
    case RESOURCE_EXHAUSTED:
        return ERR_NOMEM;
    case UNAVAILABLE:
    case DEADLINE_EXCEEDED:
        return ERR_UNAVAILABLE;
    case PERMISSION_DENIED:
    case UNAUTHENTICATED:
    case UNIMPLEMENTED:
        return ERR_UNSUPPORTED;
    case DATA_LOSS:
        return ERR_CORRUPT;
    default:
        return ERR_IO;
    }
}
