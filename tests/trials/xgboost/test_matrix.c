#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "trials/xgboost/cache.h"

static char dir[] = "/tmp/test_matrix.XXXXXX";

static void make_dir(void)
{
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
}

static void remove_dir(void)
{
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    (void)fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

static const struct table_conf conf = {.path = "f.csv", .label = "y"};

/* Opens through the cache; says whether the matrix was made. */
static bool opened(struct matrix *m, struct buf *path)
{
    struct err err = {0};
    bool made;
    cr_assert_eq(cache_matrix(m, &conf, "cache/deep", path, &made, &err), 0, "%s", err.msg);
    return made;
}

Test(cache, a_matrix_is_made_once_and_again_when_the_file_changes, .init = make_dir,
     .fini = remove_dir)
{
    struct matrix m;
    write_text("f.csv", "a,y\n1,0\n");
    cr_expect(opened(&m, NULL));
    matrix_close(&m);
    cr_expect(!opened(&m, NULL));
    matrix_close(&m);
    write_text("f.csv", "a,y\n1,0\n2,1\n");
    cr_expect(opened(&m, NULL));
    cr_expect_eq(m.rows, 2);
    matrix_close(&m);
    struct timespec times[2] = {{.tv_sec = 12345},
                                {.tv_sec = 12345}}; /* the same size, another time */
    cr_assert_eq(utimensat(AT_FDCWD, "f.csv", times, 0), 0);
    cr_expect(opened(&m, NULL));
    matrix_close(&m);
}

Test(cache, a_damaged_matrix_is_made_again, .init = make_dir, .fini = remove_dir)
{
    struct matrix m;
    struct buf path = BUF_INIT;
    write_text("f.csv", "a,y\n1,0\n");
    cr_expect(opened(&m, &path));
    matrix_close(&m);
    cr_assert_eq(truncate(buf_str(&path), 100), 0);
    cr_expect(opened(&m, NULL));
    cr_expect_eq(m.x[0], 1);
    matrix_close(&m);
    buf_free(&path);
}

Test(cache, bad_data_leaves_nothing_behind, .init = make_dir, .fini = remove_dir)
{
    struct matrix m;
    struct err err = {0};
    bool made;
    write_text("f.csv", "a,y\nx,0\n");
    cr_expect_eq(cache_matrix(&m, &conf, "cache", NULL, &made, &err), -ERR_INVALID);
    cr_expect_neq(system("ls cache | grep -v lock"), 0);
    struct table_conf none = {.path = "none.csv", .label = "y"};
    cr_expect_eq(cache_matrix(&m, &none, "cache", NULL, &made, &err), -ERR_IO);
    cr_expect_str_eq(err.msg, "none.csv: No such file or directory");
}

/* A sound matrix file's bytes; the caller frees. */
static char *sound_bytes(size_t *n)
{
    struct matrix m;
    struct buf path = BUF_INIT;
    write_text("f.csv", "a,b,y\n1,2,0\n3,4,1\n5,6,1\n");
    (void)opened(&m, &path);
    matrix_close(&m);
    FILE *f = fopen(buf_str(&path), "re");
    cr_assert_not_null(f);
    char *bytes = aligned_alloc(64, 8192);
    *n = fread(bytes, 1, 8192, f);
    cr_assert_gt(*n, sizeof(struct matrix_header));
    (void)fclose(f);
    buf_free(&path);
    return bytes;
}

Test(matrix, any_changed_byte_of_the_header_or_the_meta_is_noticed, .init = make_dir,
     .fini = remove_dir)
{
    size_t n;
    char *bytes = sound_bytes(&n);
    struct matrix m;
    struct matrix_header h;
    memcpy(&h, bytes, sizeof(h));
    for (size_t i = 0; i < n; i++) {
        if (i == sizeof(h))
            i = h.meta_at; /* what lies between is padding and data */
        bytes[i] ^= 0x10;
        cr_assert_lt(matrix_view(&m, bytes, n, NULL), 0, "byte %zu", i);
        bytes[i] ^= 0x10;
    }
    cr_assert_eq(matrix_view(&m, bytes, n, NULL), 0);
    matrix_close(&m);
    for (size_t cut = 0; cut < n; cut++)
        cr_assert_lt(matrix_view(&m, bytes, cut, NULL), 0);
    free(bytes);
}

Test(matrix, sizes_that_lie_are_refused_even_with_a_right_checksum, .init = make_dir,
     .fini = remove_dir)
{
    size_t n;
    char *bytes = sound_bytes(&n);
    struct matrix m;
    struct matrix_header h, sound;
    memcpy(&sound, bytes, sizeof(sound));
    struct rng rng;
    rng_seed(&rng, 4);
    for (int i = 0; i < 2000; i++) {
        uint64_t *const fields[] = {&h.rows, &h.cols, &h.x_at, &h.label_at, &h.meta_at};
        h = sound;
        uint64_t lie = i % 2 ? rng_u64(&rng) : rng_u64(&rng) >> rng_below(&rng, 60);
        uint64_t *field = fields[rng_below(&rng, 5)];
        if (lie == *field)
            continue;
        *field = lie;
        h.checksum = matrix_checksum(&h, bytes + sound.meta_at);
        memcpy(bytes, &h, sizeof(h));
        if (matrix_view(&m, bytes, n, NULL) < 0)
            continue;
        /* the lie was harmless: everything that may be read lies inside */
        cr_assert((const char *)(m.x + m.rows * m.cols) <= bytes + n);
        cr_assert((const char *)(m.label + m.rows) <= bytes + n);
        matrix_close(&m);
    }
    free(bytes);
}
