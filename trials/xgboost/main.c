/* forkless-xgboost: trains and validates XGBoost models, as a worker of forkless or by hand. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "trials/xgboost/worker.h"

static const char help[] =
    "forkless-xgboost trains XGBoost models on a CSV file and says how good they are.\n"
    "\n"
    "forkless starts it for a spec that has `run: {builtin: xgboost}`. By hand:\n"
    "\n"
    "  cat > run.json <<EOF\n"
    "  {\"data\": \"flights.csv\", \"label\": \"late\", \"categorical\": [\"carrier\", \"origin\", "
    "\"dest\"],\n"
    "   \"folds\": {\"walk_forward\": 3}, \"rounds\": 60, \"metric\": \"auc\"}\n"
    "  EOF\n"
    "  forkless-xgboost --config run.json --prepare            # is the data all right?\n"
    "  forkless-xgboost --config run.json --param eta=0.1 --param max_depth=4\n"
    "  forkless-xgboost --config run.json --params params.json --dir out   # keeps out/model.ubj\n"
    "\n"
    "  --config FILE        settings as JSON: the spec's `run:` mapping\n"
    "  --prepare            read and check the data, make the shared matrix, print one JSON line\n"
    "  --param NAME=VALUE   an XGBoost parameter, or rounds, early_stop, threshold, objective, "
    "factor,\n"
    "                       focal_alpha, focal_gamma, label_smoothing; may be repeated\n"
    "  --params FILE        the same as a JSON object; --param wins\n"
    "  --seed N             random seed of the training, 0 by default\n"
    "  --dir DIR            keep the model there: model.ubj for xgboost.Booster().load_model, and\n"
    "                       model.json with the features and the codes of categories\n"
    "  --version, --help\n"
    "\n"
    "It prints `metric=value` lines, the objective first, each the mean over the folds.\n"
    "FORKLESS_THREADS sets the number of threads (1). The matrix is cached in `cache` of the\n"
    "settings, by default $XDG_CACHE_HOME/forkless.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong settings, data or usage.\n";

struct options {
    const char *config, *dir;
    json_t *params; /* owned object */
    uint32_t seed;
    bool prepare;
};

static int usage(const char *message, const char *argument)
{
    (void)fprintf(stderr, "forkless-xgboost: %s%s: see forkless-xgboost --help\n", message,
                  argument);
    return EXIT_BAD_INPUT;
}

/* NAME=VALUE, the value as JSON if it is, else as a text. */
static bool add_param(json_t *params, const char *argument)
{
    const char *equals = strchr(argument, '=');
    if (equals == NULL || equals == argument)
        return false;
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        value = json_string(equals + 1);
    char *name = strndup(argument, (size_t)(equals - argument));
    bool done = name != NULL && json_object_set_new(params, name, value) == 0;
    free(name);
    return done;
}

/* Adds what the file holds and --param has not set. */
static int add_params_file(json_t *params, const char *path)
{
    struct err err = {0};
    AUTO_JSON json_t *file = json_read_file(path, &err);
    if (file != NULL && json_is_object(file))
        return json_object_update_missing(params, file) == 0 ? 0 : EXIT_FAILED;
    (void)fprintf(stderr, "forkless-xgboost: %s\n",
                  file == NULL ? err.msg : "--params: not an object");
    return EXIT_BAD_INPUT;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"prepare", no_argument, NULL, 'P'},
        {"param", required_argument, NULL, 'p'},
        {"params", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    const char *file = NULL;
    int64_t seed;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "c:", longs, NULL)) != -1;) {
        switch (c) {
        case 'c':
            o->config = optarg;
            break;
        case 'P':
            o->prepare = true;
            break;
        case 'd':
            o->dir = optarg;
            break;
        case 'f':
            file = optarg;
            break;
        case 's':
            if (!text_int(optarg, &seed) || seed < 0 || seed > INT32_MAX)
                return usage("--seed takes an integer from 0 to 2147483647, not ", optarg);
            o->seed = (uint32_t)seed;
            break;
        case 'p':
            if (!add_param(o->params, optarg))
                return usage("--param takes NAME=VALUE, not ", optarg);
            break;
        default:
            return usage("unknown option or missing value: ", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return usage("unexpected argument ", argv[optind]);
    if (o->config == NULL)
        return usage("--config FILE is missing", "");
    return file != NULL ? add_params_file(o->params, file) : 0;
}

/* FORKLESS_THREADS, at least 1. */
static int threads_allowed(int *out)
{
    const char *text = getenv("FORKLESS_THREADS");
    int64_t n = 1;
    if (text != NULL && (!text_int(text, &n) || n < 1 || n > 4096))
        return usage("FORKLESS_THREADS takes an integer from 1 to 4096, not ", text);
    *out = (int)n;
    return 0;
}

static int run(const struct options *o)
{
    struct channel channel;
    struct err err = {0};
    bool there;
    int threads, rc = threads_allowed(&threads);
    if (rc != 0)
        return rc;
    if (o->prepare)
        return prepare_run(o->config, threads);
    if (channel_open(&channel, &there, &err) < 0)
        return usage(err.msg, "");
    if (!there)
        return by_hand_run(o->config, json_incref(o->params), o->seed, o->dir, threads);
    rc = worker_run(&channel, o->config, threads);
    channel_close(&channel);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)fputs(help, argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_BAD_INPUT : EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("forkless-xgboost " FORKLESS_VERSION);
        return EXIT_DONE;
    }
    struct options o = {.params = json_object()};
    int rc = parse(argc, argv, &o);
    if (rc == 0)
        rc = run(&o);
    json_decref(o.params);
    return rc;
}
