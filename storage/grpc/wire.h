/* Optuna's storage protocol on the wire: its methods, its messages, and trials in them.
 *
 * protobuf-c reads messages; each is unpacked into a pool that has a limit, because a few bytes on
 * the wire can ask for fifty in memory. Trials are written by hand, one after the other into one
 * buffer: a reply may hold 100,000 of them, and protobuf-c would want them all as objects first. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "trials/trial.h"
#include <api.pb-c.h>
#include <batch.pb-c.h>

/* In the order of the service in api.proto; and one that is ours (batch.proto). */
enum wire_method {
    WIRE_CREATE_NEW_STUDY,
    WIRE_DELETE_STUDY,
    WIRE_SET_STUDY_USER_ATTRIBUTE,
    WIRE_SET_STUDY_SYSTEM_ATTRIBUTE,
    WIRE_GET_STUDY_ID_FROM_NAME,
    WIRE_GET_STUDY_NAME_FROM_ID,
    WIRE_GET_STUDY_DIRECTIONS,
    WIRE_GET_STUDY_USER_ATTRIBUTES,
    WIRE_GET_STUDY_SYSTEM_ATTRIBUTES,
    WIRE_GET_ALL_STUDIES,
    WIRE_CREATE_NEW_TRIAL,
    WIRE_SET_TRIAL_PARAMETER,
    WIRE_GET_TRIAL_ID_FROM_NUMBER,
    WIRE_SET_TRIAL_STATE_VALUES,
    WIRE_SET_TRIAL_INTERMEDIATE_VALUE,
    WIRE_SET_TRIAL_USER_ATTRIBUTE,
    WIRE_SET_TRIAL_SYSTEM_ATTRIBUTE,
    WIRE_GET_TRIAL,
    WIRE_GET_TRIALS,
    WIRE_BATCH,
    WIRE_METHODS,
};

/* "CreateNewTrial". */
const char *wire_method_name(enum wire_method m);
/* "/optuna.StorageService/CreateNewTrial". */
const char *wire_method_path(enum wire_method m);
const ProtobufCMessageDescriptor *wire_request(enum wire_method m);
const ProtobufCMessageDescriptor *wire_reply(enum wire_method m);
/* Whether it changes the store. */
bool wire_writes(enum wire_method m);

/* Reads a message; it lives as long as the pool. Errors: ERR_INVALID (no such message),
 * ERR_NOMEM (it would take more than 4 MiB and eight times its size, or there is none). */
int wire_unpack(void *out, const ProtobufCMessageDescriptor *descriptor, struct pool *pool,
                const void *bytes, size_t n, struct err *err);
/* Whether all texts of a message that can be read go on to their ends: protobuf allows a NUL in
 * them, behind which wire_unpack's are cut off. Errors: ERR_INVALID. */
int wire_check_texts(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t n,
                     struct err *err);
/* Appends a message. */
void wire_pack(struct buf *b, const void *message);
/* Appends bytes as a field of a message: those of a message, a string. */
void wire_put_bytes(struct buf *b, unsigned field, const void *bytes, size_t n);
/* Appends an attribute as an entry of a map. */
void wire_put_attr(struct buf *b, unsigned field, const struct trial_attr *attr);

/* Appends the fields of a Trial message. Times become local time, as Optuna's server has them. */
void wire_put_trial(struct buf *b, const struct trial *t);

/* A trial read from a message. */
struct wire_trial {
    struct trial trial; /* strings belong to the message, arrays to the pool */
    struct dist *dists;
    size_t n_dists;
};

/* Errors: ERR_INVALID. */
int wire_read_trial(struct wire_trial *out, const Optuna__Trial *m, struct pool *pool,
                    struct err *err);
void wire_trial_free(struct wire_trial *t);
/* Errors: ERR_INVALID. */
int wire_read_state(enum trial_state *out, Optuna__TrialState state, struct err *err);
int wire_read_direction(enum direction *out, Optuna__StudyDirection d, struct err *err);
Optuna__StudyDirection wire_direction(enum direction d);
