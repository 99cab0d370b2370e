#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"

struct reader {
    const struct cli_usage *usage;
    int argc, at; /* at: the word being read */
    char **argv;
    struct cli_args *out;
};

void cli_words_free(struct cli_words *words)
{
    free(words->v);
    *words = (struct cli_words){0};
}

void cli_args_free(struct cli_args *args)
{
    cli_words_free(&args->words);
    cli_words_free(&args->command);
}

/* max: at most so many words will ever be added. */
static bool add_word(struct cli_words *words, const char *word, int max)
{
    if (words->v == NULL)
        words->v = calloc((size_t)max, sizeof(*words->v));
    if (words->v == NULL) {
        cli_error("not enough memory");
        return false;
    }
    words->v[words->n++] = word;
    return true;
}

/* ---- help ---- */

static int label(char *out, size_t size, const struct cli_option *o)
{
    char letter[] = "    ";
    if (o->letter != 0)
        (void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    return snprintf(out, size, "%s--%s%s%s", letter, o->name, o->arg != NULL ? " " : "",
                    o->arg != NULL ? o->arg : "");
}

static void help(const struct cli_usage *u)
{
    static const struct cli_option help_option = {
        .letter = 'h', .name = "help", .help = "this text"};
    char text[128];
    int width = label(text, sizeof(text), &help_option);
    for (size_t i = 0; i < u->n_options; i++) {
        int n = label(text, sizeof(text), &u->options[i]);
        width = n > width ? n : width;
    }
    (void)printf("%s\n\n", u->summary);
    for (const char *const *line = u->synopsis; *line != NULL; line++)
        (void)printf("  forkless %s\n", *line);
    (void)printf("\nOptions\n");
    for (size_t i = 0; i <= u->n_options; i++) {
        const struct cli_option *o = i < u->n_options ? &u->options[i] : &help_option;
        (void)label(text, sizeof(text), o);
        (void)printf("  %-*s  %s\n", width, text, o->help);
    }
    if (u->examples != NULL)
        (void)printf("\nExamples\n%s", u->examples);
}

/* ---- values ---- */

static int complain(const struct cli_usage *u, const char *option, const char *wanted,
                    const char *found)
{
    cli_error("%s: %s takes %s, found '%s'", u->command, option, wanted, found);
    return EXIT_USAGE;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *c = choices; c != NULL; c = strchr(c, '|')) {
        c += *c == '|';
        if (strncmp(c, value, n) == 0 && (c[n] == '|' || c[n] == '\0'))
            return true;
    }
    return false;
}

static int set_value(struct reader *r, const struct cli_option *o, const char *value)
{
    char option[64];
    (void)snprintf(option, sizeof(option), "--%s", o->name);
    if (o->number != NULL && (!text_int(value, o->number) || *o->number < 0))
        return complain(r->usage, option, "a whole number", value);
    if (o->duration_ms != NULL && !text_duration_ms(value, o->duration_ms))
        return complain(r->usage, option, "a duration such as 90s, 5m or 2h", value);
    if (o->text != NULL) {
        if (strchr(o->arg, '|') != NULL && !is_choice(o->arg, value))
            return complain(r->usage, option, o->arg, value);
        *o->text = value;
    }
    if (o->list != NULL && !add_word(o->list, value, r->argc))
        return EXIT_USAGE;
    return CLI_GO_ON;
}

static void set_switch(const struct cli_option *o)
{
    if (o->flag != NULL)
        *o->flag = true;
    else
        ++*o->count;
}

/* ---- words ---- */

static int unknown(const struct reader *r, const char *name, size_t n)
{
    AUTO_FREE const char **names = calloc(r->usage->n_options + 1, sizeof(*names));
    AUTO_FREE char *word = strndup(name, n);
    const char *near = NULL;
    if (names != NULL && word != NULL) {
        for (size_t i = 0; i < r->usage->n_options; i++)
            names[i] = r->usage->options[i].name;
        near = text_nearest(word, names, r->usage->n_options);
    }
    if (near != NULL)
        cli_error("%s: unknown option '--%.*s': did you mean '--%s'?", r->usage->command, (int)n,
                  name, near);
    else
        cli_error("%s: unknown option '--%.*s': see forkless %s --help", r->usage->command, (int)n,
                  name, r->usage->command);
    return EXIT_USAGE;
}

/* rest: the value that is part of the same word; NULL: none, the next word is. */
static int take_value(struct reader *r, const struct cli_option *o, const char *rest)
{
    if (rest == NULL && r->at + 1 >= r->argc) {
        cli_error("%s: --%s needs a value: %s", r->usage->command, o->name, o->arg);
        return EXIT_USAGE;
    }
    return set_value(r, o, rest != NULL ? rest : r->argv[++r->at]);
}

static int read_long(struct reader *r, const char *name)
{
    size_t n = strcspn(name, "=");
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    if (strcmp(name, "help") == 0) {
        help(r->usage);
        return EXIT_OK;
    }
    for (size_t i = 0; i < r->usage->n_options; i++) {
        const struct cli_option *o = &r->usage->options[i];
        if (strlen(o->name) != n || strncmp(o->name, name, n) != 0)
            continue;
        if (o->arg != NULL)
            return take_value(r, o, value);
        if (value != NULL) {
            cli_error("%s: --%s takes no value, found '%s'", r->usage->command, o->name, value);
            return EXIT_USAGE;
        }
        set_switch(o);
        return CLI_GO_ON;
    }
    return unknown(r, name, n);
}

static int read_letters(struct reader *r, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct cli_option *o = NULL;
        for (size_t i = 0; i < r->usage->n_options && o == NULL; i++)
            o = r->usage->options[i].letter == *letters ? &r->usage->options[i] : NULL;
        if (o == NULL && *letters == 'h') {
            help(r->usage);
            return EXIT_OK;
        }
        if (o == NULL) {
            cli_error("%s: unknown option '-%c': see forkless %s --help", r->usage->command,
                      *letters, r->usage->command);
            return EXIT_USAGE;
        }
        if (o->arg != NULL)
            return take_value(r, o, letters[1] != '\0' ? letters + 1 : NULL);
        set_switch(o);
    }
    return CLI_GO_ON;
}

static int read_word(struct reader *r)
{
    const char *word = r->argv[r->at];
    if (strncmp(word, "--", 2) == 0)
        return read_long(r, word + 2);
    if (word[0] == '-' && word[1] != '\0')
        return read_letters(r, word + 1);
    return add_word(&r->out->words, word, r->argc) ? CLI_GO_ON : EXIT_USAGE;
}

static int read_rest(struct reader *r)
{
    struct cli_words *to = r->usage->takes_command ? &r->out->command : &r->out->words;
    for (r->at++; r->at < r->argc; r->at++) {
        if (!add_word(to, r->argv[r->at], r->argc))
            return EXIT_USAGE;
    }
    return CLI_GO_ON;
}

int cli_parse(const struct cli_usage *usage, int argc, char **argv, struct cli_args *out)
{
    *out = (struct cli_args){0};
    struct reader r = {.usage = usage, .argc = argc, .argv = argv, .out = out};
    int rc = CLI_GO_ON;
    for (r.at = 1; r.at < argc && rc == CLI_GO_ON; r.at++)
        rc = strcmp(argv[r.at], "--") == 0 ? read_rest(&r) : read_word(&r);
    if (rc != CLI_GO_ON)
        cli_args_free(out);
    return rc;
}
