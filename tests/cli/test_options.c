#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/options.h"

#define PARSE(...) parse((char *[]){(char *)"run", __VA_ARGS__, NULL})

static struct {
    bool json;
    int verbose;
    int64_t trials;
    uint64_t stall_ms;
    const char *direction;
    struct cli_words env;
    struct cli_args args;
} got;

static int parse(char **argv)
{
    const struct cli_option options[] = {
        {.letter = 'n', .name = "trials", .arg = "N", .help = "so many", .number = &got.trials},
        {.name = "direction",
         .arg = "minimize|maximize",
         .help = "which way",
         .text = &got.direction},
        {.name = "stall", .arg = "TIME", .help = "idle for so long", .duration_ms = &got.stall_ms},
        {.name = "env", .arg = "NAME=VALUE", .help = "for workers", .list = &got.env},
        {.name = "json", .help = "as JSON", .flag = &got.json},
        {.letter = 'v', .name = "verbose", .help = "say more", .count = &got.verbose},
    };
    const struct cli_usage usage = {
        .command = "run",
        .summary = "Runs a sweep.",
        .synopsis = (const char *const[]){"run SPEC", NULL},
        .options = options,
        .n_options = ARRAY_LEN(options),
        .examples = "  forkless run sweep.yaml\n",
        .takes_command = true,
    };
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    return cli_parse(&usage, argc, argv, &got.args);
}

static void finish(void)
{
    cli_args_free(&got.args);
    cli_words_free(&got.env);
}

TestSuite(options, .fini = finish);

static void expect_complaint(const char *text)
{
    (void)fflush(stderr);
    cr_assert_stderr_eq_str(text);
}

Test(options, may_stand_before_and_after_words)
{
    cr_assert(eq(int, PARSE("--json", "sweep.yaml", "-n", "5", "lr=0.1"), CLI_GO_ON));
    cr_assert(got.json);
    cr_assert(eq(i64, got.trials, 5));
    cr_assert(eq(sz, got.args.words.n, 2));
    cr_assert(eq(str, (char *)got.args.words.v[0], (char *)"sweep.yaml"));
    cr_assert(eq(str, (char *)got.args.words.v[1], (char *)"lr=0.1"));
}

Test(options, values_may_be_attached)
{
    cr_assert(eq(int, PARSE("-n7", "--stall=5m", "--direction=maximize", "-vv"), CLI_GO_ON));
    cr_assert(eq(i64, got.trials, 7));
    cr_assert(eq(u64, got.stall_ms, 300000));
    cr_assert(eq(str, (char *)got.direction, (char *)"maximize"));
    cr_assert(eq(int, got.verbose, 2));
}

Test(options, two_dashes_end_options_and_begin_the_command)
{
    cr_assert(eq(int, PARSE("x=1", "--", "python", "--json", "-n"), CLI_GO_ON));
    cr_assert(not(got.json));
    cr_assert(eq(sz, got.args.words.n, 1));
    cr_assert(eq(sz, got.args.command.n, 3));
    cr_assert(eq(str, (char *)got.args.command.v[1], (char *)"--json"));
}

Test(options, a_list_keeps_every_value)
{
    cr_assert(eq(int, PARSE("--env", "A=1", "--env=B=2"), CLI_GO_ON));
    cr_assert(eq(sz, got.env.n, 2));
    cr_assert(eq(str, (char *)got.env.v[1], (char *)"B=2"));
}

Test(options, a_lone_dash_is_a_word)
{
    cr_assert(eq(int, PARSE("-"), CLI_GO_ON));
    cr_assert(eq(str, (char *)got.args.words.v[0], (char *)"-"));
}

Test(options, an_unknown_name_suggests_the_nearest, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("--trails=5"), EXIT_USAGE));
    expect_complaint("forkless: run: unknown option '--trails': did you mean '--trials'?\n");
}

Test(options, an_unknown_letter_is_refused, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("-vx"), EXIT_USAGE));
    expect_complaint("forkless: run: unknown option '-x': see forkless run --help\n");
}

Test(options, a_bad_number_says_what_was_expected, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("-n", "-3"), EXIT_USAGE));
    expect_complaint("forkless: run: --trials takes a whole number, found '-3'\n");
}

Test(options, a_value_outside_the_choices_is_refused, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("--direction", "max"), EXIT_USAGE));
    expect_complaint("forkless: run: --direction takes minimize|maximize, found 'max'\n");
}

Test(options, a_misspelt_choice_suggests_the_nearest, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("--direction=maximise"), EXIT_USAGE));
    expect_complaint("forkless: run: --direction takes minimize|maximize, found 'maximise': did "
                     "you mean 'maximize'?\n");
}

Test(options, a_choice_taken_for_an_option_suggests_the_option, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("--maximise"), EXIT_USAGE));
    expect_complaint(
        "forkless: run: unknown option '--maximise': did you mean '--direction maximize'?\n");
}

Test(options, a_name_behind_one_dash_suggests_two, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("-direction", "maximize"), EXIT_USAGE));
    expect_complaint("forkless: run: unknown option '-direction': did you mean '--direction'?\n");
}

Test(options, a_misspelt_name_behind_one_dash_suggests_it, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("-trails=5"), EXIT_USAGE));
    expect_complaint("forkless: run: unknown option '-trails': did you mean '--trials'?\n");
}

Test(options, a_missing_value_is_refused, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("--stall"), EXIT_USAGE));
    expect_complaint("forkless: run: --stall needs a value: TIME\n");
}

Test(options, a_switch_takes_no_value, .init = cr_redirect_stderr)
{
    cr_assert(eq(int, PARSE("--json=yes"), EXIT_USAGE));
    expect_complaint("forkless: run: --json takes no value, found 'yes'\n");
}

Test(options, help_shows_every_row_of_the_table, .init = cr_redirect_stdout)
{
    cr_assert(eq(int, PARSE("--help"), EXIT_OK));
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("Runs a sweep.\n\n"
                            "  forkless run SPEC\n\n"
                            "Options\n"
                            "  -n, --trials N                     so many\n"
                            "      --direction minimize|maximize  which way\n"
                            "      --stall TIME                   idle for so long\n"
                            "      --env NAME=VALUE               for workers\n"
                            "      --json                         as JSON\n"
                            "  -v, --verbose                      say more\n"
                            "  -h, --help                         this text\n\n"
                            "Examples\n  forkless run sweep.yaml\n");
}
