/* What may be written down about others. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executor/evidence/secrets.h"

TestSuite(secrets);

Test(secrets, names_of_variables_tell)
{
    static const char *const secret[] = {"API_TOKEN",
                                         "DB_PASSWORD",
                                         "aws_secret_access_key",
                                         "AWS_ACCESS_KEY_ID",
                                         "SENTRY_DSN",
                                         "PGPASSWORD",
                                         "MYSQL_PWD",
                                         "GOOGLE_APPLICATION_CREDENTIALS",
                                         "AIRFLOW_CONN_X",
                                         "KUBE_AUTH",
                                         "JWT",
                                         "SESSION_COOKIE",
                                         "PASSPHRASE",
                                         "SSH_PASSWORD",
                                         "PRIVATE_THING",
                                         "MLFLOW_TRACKING_TOKEN"};
    static const char *const plain[] = {"PATH", "PWD",   "OLDPWD",         "HOME",
                                        "LANG", "SHELL", "FORKLESS_TRIAL", "OMP_NUM_THREADS"};
    for (size_t i = 0; i < ARRAY_LEN(secret); i++)
        cr_expect(secret_variable(secret[i]), "%s", secret[i]);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        cr_expect(secret_variable(plain[i]) == false, "%s", plain[i]);
}

static void expect_masked(const char *text, const char *wanted)
{
    struct buf b = BUF_INIT;
    secret_mask(&b, text);
    cr_expect(eq(str, (char *)(uintptr_t)buf_str(&b), (char *)(uintptr_t)wanted));
    buf_free(&b);
}

Test(secrets, running_text_loses_secrets_and_nothing_else)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain text, 1=2; a: b", "plain text, 1=2; a: b"},
        {"postgresql://u:pa55@h:5432/db", "postgresql://u:***@h:5432/db"},
        {"postgresql://u:p@a@h/db x@y", "postgresql://u:***@h/db x@y"},
        {"redis://:pw@h/0", "redis://:***@h/0"},
        {"postgresql://u:p/a#s?s@h/db", "postgresql://u:***@h/db"},
        {"http://h:8080/a@b", "http://h:8080/a@b"},
        {"DB_PASS=x --pass hunter2", "DB_PASS=*** --pass ***"},
        {"{\\\"password\\\": \\\"x\\\"}", "{\\\"password\\\": \\\"***"},
        {"https://ghp_x@github.com/a", "https://***@github.com/a"},
        {"https://example.com/a@b?c=d", "https://example.com/a@b?c=d"},
        {"https://e.com/?token=abc&page=2", "https://e.com/?token=***&page=2"},
        {"password=hunter2, user=me", "password=***, user=me"},
        {"{\"api_key\": \"a b\\\"c\", \"n\": 1}", "{\"api_key\": \"***\", \"n\": 1}"},
        {"{'secret': 'x'}", "{'secret': '***'}"},
        {"Authorization: Bearer abcdefghijkl", "Authorization: Bearer ***"},
        {"authorization: Basic dXNlcjpwYXNz=", "authorization: Basic ***"},
        {"Bearer of bad news", "Bearer of bad news"},
        {"--password hunter2 --lr 0.1", "--password *** --lr 0.1"},
        {"--token=x --seed 1", "--token=*** --seed 1"},
        {"--use-auth --lr 0.1", "--use-auth --lr 0.1"},
        {"KeyError: 'loss'", "KeyError: 'loss'"},
        {"max_tokens=512", "max_tokens=512"},
        {"the key is under the mat", "the key is under the mat"},
        {"password=", "password="},
        {"dsn: host=db password=pw user=me", "dsn: *** password=*** user=me"},
        {"curl -u me:pa55 https://h/", "curl -u me:*** https://h/"},
        {"curl --user 'me:p 5' h", "curl --user 'me:***' h"},
        {"curl --user=me:p h", "curl --user=me:*** h"},
        {"id -u me", "id -u me"},
        {"pushed with ghp_abcdefghij0123456789AB now", "pushed with *** now"},
        {"OPENAI: sk-proj-abcdefghijklmnop0123_x-y", "OPENAI: ***"},
        {"key AKIAIOSFODNN7EXAMPLE", "key ***"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "***"},
        {"slack xoxb-123456789012-abc", "slack ***"},
        {"x=github_pat_11ABCDEFG0123456789_abc,y", "x=***,y"},
        {"from sk-learn-pipelines-and-more-words", "from sk-learn-pipelines-and-more-words"},
        {"hf_hub_download_of_many_files_2", "hf_hub_download_of_many_files_2"},
        {"ghp_short eyJ AKIA", "ghp_short eyJ AKIA"},
        {"AKIAs are AKIAI0", "AKIAs are AKIAI0"},
        {"://", "://"},
        {"a://b", "a://b"},
        {"password:\thunter2", "password:\t***"},
        {"pass: x, PASS=y, bypass=1", "pass: ***, PASS=***, bypass=1"},
        {"https://h/?sv=1&sig=abc%3D", "https://h/?sv=1&sig=***"},
        {"Authorization: Token abc123def", "Authorization: Token ***"},
        {"-H 'Authorization: token abc' https://h", "-H 'Authorization: token ***' https://h"},
        {"Authorization: Digest username=\"a\", response=\"b\"\nnext",
         "Authorization: Digest ***\nnext"},
        {"Authorization: abc123def", "Authorization: ***"},
        {"{'password': b'hunter2'}", "{'password': b'***'}"},
        {"password=u\"x y\"", "password=u\"***\""},
        {"password1=x api_token_v2=y passwords=z", "password1=*** api_token_v2=*** passwords=***"},
        {"password => x", "password => ***"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_masked(cases[i][0], cases[i][1]);
}

Test(secrets, a_variable_is_one_text_up_to_its_last_at)
{
    static const char *const cases[][2] = {
        {"postgresql://u:pa ss@host/db", "postgresql://u:***@host/db"},
        {"https://user:pa'ss@host/", "https://user:***@host/"},
        {"postgresql://u:1234/x@host/db", "postgresql://u:***@host/db"},
        {"postgresql://u:p@ss/word@host/db", "postgresql://u:***@host/db"},
        {"https://ghp_x@github.com/a", "https://***@github.com/a"},
        {"http://proxy:3128", "http://proxy:3128"},
        {"me@host", "me@host"},
        {"/usr/bin:/bin", "/usr/bin:/bin"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = BUF_INIT;
        secret_mask_variable(&b, cases[i][0]);
        cr_expect(eq(str, (char *)(uintptr_t)buf_str(&b), (char *)(uintptr_t)cases[i][1]));
        buf_free(&b);
    }
}

Test(secrets, words_of_a_command_are_masked_across_their_borders)
{
    static const char words[] =
        "train\0--password\0a,b;c\0--token=d,e\0f\0--lr=0.1\0-u\0me:p,(q\0-uyou:r,s\0";
    struct buf b = BUF_INIT;
    secret_mask_words(&b, words, sizeof(words) - 1);
    cr_expect(eq(str, (char *)(uintptr_t)buf_str(&b),
                 (char *)"train --password *** --token=*** f --lr=0.1 -u me:*** -uyou:***"));
    buf_free(&b);
}
