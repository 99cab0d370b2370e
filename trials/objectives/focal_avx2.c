/* focal_round_portable, eight rows at a time, at nearly the speed at which memory delivers them.
 * Pieces are chosen for a block of rows before any is read, so that many are on their way at once.
 * Only this file is built for AVX2 and FMA; focal_round asks the processor first. */
#include "trials/objectives/focal_table.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdint.h>

enum {
    LANES = 8,
    AHEAD = 256, /* rows fetched before they are needed */
};

/* ---- which piece, and where in it ---- */

struct places {
    int32_t at[FOCAL_BLOCK]; /* bytes from the piece of margin 0 and label 0 */
    float t[FOCAL_BLOCK];
};

static inline void find_places(const struct focal_table *table, const float *margin,
                               const float *label, struct places *out)
{
    const __m256 steps = _mm256_set1_ps(table->steps_per_unit),
                 most = _mm256_set1_ps((float)table->reach),
                 least = _mm256_set1_ps(-(float)table->reach),
                 rounder = _mm256_set1_ps(FOCAL_ROUNDER), half = _mm256_set1_ps(0.5f);
    const __m256i positive =
        _mm256_set1_epi32((int)((const char *)table->pieces[1] - (const char *)table->pieces[0]));
    for (int i = 0; i < FOCAL_BLOCK; i += LANES) {
        __m256 x = _mm256_mul_ps(_mm256_loadu_ps(margin + i), steps);
        x = _mm256_min_ps(_mm256_max_ps(x, least), most); /* NaN: least */
        __m256 shifted = _mm256_add_ps(x, rounder);
        __m256i whole =
            _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_castps_si256(rounder));
        __m256 yes = _mm256_cmp_ps(_mm256_loadu_ps(label + i), half, _CMP_GT_OQ);
        __m256i at = _mm256_add_epi32(_mm256_slli_epi32(whole, FOCAL_PIECE_BITS),
                                      _mm256_and_si256(_mm256_castps_si256(yes), positive));
        _mm256_storeu_ps(out->t + i, _mm256_sub_ps(x, _mm256_sub_ps(shifted, rounder)));
        _mm256_storeu_si256((__m256i *)(out->at + i), at);
    }
}

/* ---- eight rows ---- */

static inline __m256 two_halves(const char *low, const char *high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps((const float *)low)),
                                _mm_load_ps((const float *)high), 1);
}

/* Four floats of each of eight pieces, from byte `from` on, by place: out[0] the first of each. */
static inline void gather(const char *middle, const int32_t *at, size_t from, __m256 out[4])
{
    __m256 row[4];
    for (int k = 0; k < 4; k++)
        row[k] = two_halves(middle + at[k] + from, middle + at[k + 4] + from);
    __m256 a = _mm256_unpacklo_ps(row[0], row[1]), b = _mm256_unpackhi_ps(row[0], row[1]),
           c = _mm256_unpacklo_ps(row[2], row[3]), d = _mm256_unpackhi_ps(row[2], row[3]);
    out[0] = _mm256_shuffle_ps(a, c, _MM_SHUFFLE(1, 0, 1, 0));
    out[1] = _mm256_shuffle_ps(a, c, _MM_SHUFFLE(3, 2, 3, 2));
    out[2] = _mm256_shuffle_ps(b, d, _MM_SHUFFLE(1, 0, 1, 0));
    out[3] = _mm256_shuffle_ps(b, d, _MM_SHUFFLE(3, 2, 3, 2));
}

static inline void eight_rows(const char *middle, __m256 steps, const int32_t *at, __m256 t,
                              __m256 *grad, __m256 *hess)
{
    __m256 low[4], high[4];
    gather(middle, at, offsetof(struct focal_piece, c2), high); /* c2, c3, c4 */
    __m256 end = _mm256_fmadd_ps(t, high[2], high[1]);
    __m256 slope = _mm256_fmadd_ps(t, high[2], _mm256_mul_ps(_mm256_set1_ps(3), end));
    __m256 g = _mm256_fmadd_ps(t, end, high[0]);
    __m256 h = _mm256_fmadd_ps(t, slope, _mm256_add_ps(high[0], high[0]));
    gather(middle, at, offsetof(struct focal_piece, g), low); /* g, g_low, h, h_low */
    g = _mm256_fmadd_ps(t, _mm256_fmadd_ps(t, g, low[2]), low[1]);
    h = _mm256_fmadd_ps(t, h, low[3]);
    *grad = _mm256_add_ps(low[0], g);
    *hess = _mm256_max_ps(_mm256_mul_ps(steps, _mm256_add_ps(low[2], h)),
                          _mm256_set1_ps((float)FOCAL_HESSIAN_FLOOR));
}

/* ---- all rows ---- */

static void one_block(const struct focal_table *t, const float *margin, const float *label,
                      float *grad, float *hess)
{
    struct places places;
    const char *middle = (const char *)(t->pieces[0] + t->reach);
    const __m256 steps = _mm256_set1_ps(t->steps_per_unit);
    find_places(t, margin, label, &places);
    for (int i = 0; i < FOCAL_BLOCK; i += LANES) {
        __m256 g, h;
        _mm_prefetch((const char *)(margin + i + AHEAD), _MM_HINT_T0);
        _mm_prefetch((const char *)(label + i + AHEAD), _MM_HINT_T0);
        eight_rows(middle, steps, places.at + i, _mm256_loadu_ps(places.t + i), &g, &h);
        _mm256_storeu_ps(grad + i, g);
        _mm256_storeu_ps(hess + i, h);
    }
}

void focal_blocks_avx2(const struct focal_table *t, const float *margin, const float *label,
                       size_t n, float *grad, float *hess)
{
    for (size_t i = 0; i < n; i += FOCAL_BLOCK)
        one_block(t, margin + i, label + i, grad + i, hess + i);
}
#endif
