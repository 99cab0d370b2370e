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

enum { CHOICE_MAX = 32, CHOICES_MAX = 8 };

/* The one of "a|b" that is nearest to the word, in out. */
static bool near_choice(const char *choices, const char *word, char out[static CHOICE_MAX])
{
    char text[CHOICES_MAX][CHOICE_MAX];
    const char *names[CHOICES_MAX];
    size_t n = 0;
    for (const char *c = choices; strchr(choices, '|') != NULL && c != NULL && n < CHOICES_MAX;
         c = strchr(c, '|')) {
        c += *c == '|';
        (void)snprintf(text[n], CHOICE_MAX, "%.*s", (int)strcspn(c, "|"), c);
        names[n] = text[n];
        n++;
    }
    const char *near = text_nearest(word, names, n);
    if (near != NULL)
        (void)snprintf(out, CHOICE_MAX, "%s", near);
    return near != NULL;
}

static int not_among(const struct reader *r, const struct cli_option *o, const char *value)
{
    char near[CHOICE_MAX];
    bool meant = near_choice(o->arg, value, near);
    cli_error("%s: --%s takes %s, found '%s'%s%s%s", r->usage->command, o->name, o->arg, value,
              meant ? ": did you mean '" : "", meant ? near : "", meant ? "'?" : "");
    return EXIT_USAGE;
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
            return not_among(r, o, value);
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

/* The option's name that is nearest to the word, or NULL. */
static const char *near_name(const struct cli_usage *u, const char *word)
{
    AUTO_FREE const char **names = calloc(u->n_options + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < u->n_options; i++)
        names[i] = u->options[i].name;
    return names != NULL ? text_nearest(word, names, u->n_options) : NULL;
}

/* The word was meant to be the value of an option: --maximise. */
static bool put_near_value(const struct cli_usage *u, const char *word, char *out, size_t size)
{
    for (size_t i = 0; i < u->n_options; i++) {
        const struct cli_option *o = &u->options[i];
        char choice[CHOICE_MAX];
        if (o->arg == NULL || !near_choice(o->arg, word, choice))
            continue;
        (void)snprintf(out, size, "%s %s", o->name, choice);
        return true;
    }
    return false;
}

/* Whatever follows a command without its `--` was taken for ours. */
static bool is_commands(const struct reader *r)
{
    const struct cli_words *words = &r->out->words;
    size_t at = r->usage->stray_command != NULL ? r->usage->stray_command(words) : words->n;
    if (at < words->n)
        cli_error("%s: " CLI_FORGOTTEN_DASHES, r->usage->command, words->v[at], r->usage->command,
                  words->v[at]);
    return at < words->n;
}

/* dashes: those that were typed; name: what follows them, n bytes. */
static int unknown(const struct reader *r, const char *dashes, const char *name, size_t n)
{
    AUTO_FREE char *word = strndup(name, n);
    const char *near = word != NULL ? near_name(r->usage, word) : NULL;
    char meant[64] = "";
    if (is_commands(r))
        return EXIT_USAGE;
    if (near != NULL)
        (void)snprintf(meant, sizeof(meant), "%s", near);
    if (near != NULL || (word != NULL && put_near_value(r->usage, word, meant, sizeof(meant))))
        cli_error("%s: unknown option '%s%.*s': did you mean '--%s'?", r->usage->command, dashes,
                  (int)n, name, meant);
    else
        cli_error("%s: unknown option '%s%.*s': see forkless %s --help", r->usage->command, dashes,
                  strcmp(dashes, "-") == 0 ? 1 : (int)n, name, r->usage->command);
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
    return unknown(r, "--", name, n);
}

/* -metric for --metric: letters that together are a name were not meant as letters. */
static bool is_name(const struct cli_usage *u, const char *word, size_t n)
{
    for (size_t i = 0; n > 1 && i < u->n_options; i++) {
        if (strlen(u->options[i].name) == n && strncmp(u->options[i].name, word, n) == 0)
            return true;
    }
    return false;
}

static int read_letters(struct reader *r, const char *letters)
{
    const char *word = letters;
    size_t n = strcspn(word, "=");
    if (is_name(r->usage, word, n))
        return unknown(r, "-", word, n);
    for (; *letters != '\0'; letters++) {
        const struct cli_option *o = NULL;
        for (size_t i = 0; i < r->usage->n_options && o == NULL; i++)
            o = r->usage->options[i].letter == *letters ? &r->usage->options[i] : NULL;
        if (o == NULL && *letters == 'h') {
            help(r->usage);
            return EXIT_OK;
        }
        if (o == NULL)
            return letters == word ? unknown(r, "-", word, n) : unknown(r, "-", letters, 1);
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
