/* Exact attention over the pairs that a mask allows, in C: the loops that lib/compiled.py calls.

   Queries come in blocks of up to 32, one to a lane: a row of `scores` holds one key's scores with all of them, so
   that sums and maxima over the keys need nothing from a neighbouring lane. Keys come in chunks, and the online
   softmax puts the chunks together (Milakov & Gimelshein 2018; Chapter 9). Nothing else is ever written to memory,
   which is the idea of FlashAttention (Dao et al. 2022).

   Rows of q and k have d numbers, rows of v, g and mean have d_v. Scores are powers of two, as in lib/tiled.py. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* One register holds LANES numbers; ROWS × 2 registers of results stay in the processor during a product. */
#ifdef __AVX512F__
enum { LANES = 16, ROWS = 8 };
#else
enum { LANES = 8, ROWS = 4 };
#endif
enum { QUERIES = 32, KEYS = 96, FEATURES = 256 };
#define EACH(name, count) for (long name = 0; name < (count); name++)
#define EACH_VECTOR(name) for (long name = 0; name < QUERIES; name += LANES)

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef float by_query[QUERIES] __attribute__((aligned(64)));

/* The queries of a block stand in rows first, first + step, …; its spans are spans[from] … spans[to - 1]. */
typedef struct { int64_t first, count, from, to; } Block;
/* The keys of a span stand in rows first, first + step, …. Query y may read key x if low <= y - x <= high; or, where
   `words` is not -1, if bit y of words[x] of that table is set. */
typedef struct { int64_t first, count, low, high, words; } Span;
typedef struct {
    const Block *blocks;
    int64_t count;
    const Span *spans;
    const uint32_t *words;
    int64_t step, d, d_v;
    float scale;
    int32_t merge; /* add to what earlier layers left, or begin? */
} Work;

static inline vector all(float x) { return x - (vector){0}; }

static inline vector pick(lanes where, vector yes, vector no) {
    return (vector)((where & (lanes)yes) | (~where & (lanes)no));
}

/* 2^x for x up to 127: the whole part goes into the exponent, the rest into seven terms of the series of
   e^(x ln 2), whose remainder is below 6e-9. Below 2^-126 it is 0; NaN stays NaN. */
static inline vector power_of_two(vector x) {
    enum { TERMS = 8 };
    float term[TERMS] = {1}; /* (ln 2)^i / i! */
    for (int i = 1; i < TERMS; i++) term[i] = term[i - 1] * (float)M_LN2 / i;
    vector big = all(0x1.8p23f); /* adding it rounds to a whole number, which stands in the low bits */
    vector shifted = pick(x < -126.0f, all(-126), x) + big;
    vector rest = x - (shifted - big), sum = all(term[TERMS - 1]);
    for (int i = TERMS - 2; i >= 0; i--) sum = sum * rest + term[i];
    vector power = (vector)((lanes)sum + ((lanes)shifted << 23));
    return pick(x == x, pick(x < -126.0f, all(0), power), x);
}

/* `rows` rows of c[x][·] = (add: +) sum over y of a(x, y) · b[y][·], 2 · LANES columns. */
static inline __attribute__((always_inline)) void panel(
    const int rows, float *c, long ldc, const float *a, long ax, long ay, const float *b, long ldb, long ny, int add) {
    vector sum[ROWS][2];
#pragma GCC unroll 16
    for (int x = 0; x < rows; x++)
        for (int i = 0; i < 2; i++) sum[x][i] = add ? *(vector *)(c + x * ldc + i * LANES) : all(0);
    EACH(y, ny) {
        vector left = *(const vector *)(b + y * ldb), right = *(const vector *)(b + y * ldb + LANES);
#pragma GCC unroll 16
        for (int x = 0; x < rows; x++) {
            float factor = a[x * ax + y * ay];
            sum[x][0] += factor * left;
            sum[x][1] += factor * right;
        }
    }
#pragma GCC unroll 16
    for (int x = 0; x < rows; x++)
        for (int i = 0; i < 2; i++) *(vector *)(c + x * ldc + i * LANES) = sum[x][i];
}

/* c (nx, columns) = (add: +) a (nx, ny) · b (ny, columns); a(x, y) stands in a[x · ax + y · ay]. */
static inline __attribute__((always_inline)) void product(
    float *c, long ldc, long nx, const float *a, long ax, long ay, const float *b, long ldb, long ny, long columns,
    int add) {
    long column = 0;
    for (; column + 2 * LANES <= columns; column += 2 * LANES) {
        long x = 0;
        for (; x + ROWS <= nx; x += ROWS)
            panel(ROWS, c + x * ldc + column, ldc, a + x * ax, ax, ay, b + column, ldb, ny, add);
        for (; x < nx; x++)
            panel(1, c + x * ldc + column, ldc, a + x * ax, ax, ay, b + column, ldb, ny, add);
    }
    for (; column < columns; column++) /* as many as do not fill two registers */
        EACH(x, nx) {
            float sum = add ? c[x * ldc + column] : 0;
            EACH(y, ny) sum += a[x * ax + y * ay] * b[y * ldb + column];
            c[x * ldc + column] = sum;
        }
}

/* Rows of x, one to a lane: result[feature][y] = factor[y] · row y; lanes without a query are 0. */
static void to_lanes(by_query *result, const float *x, long ld, long rows, long features, const float *factor) {
    EACH(f, features) {
        EACH(y, rows) result[f][y] = factor[y] * x[y * ld + f];
        for (long y = rows; y < QUERIES; y++) result[f][y] = 0;
    }
}

/* Scores of the keys x = from … from + count - 1 of a span with the queries; forbidden ones are minus infinity. */
static void score(by_query *scores, const Work *work, const Span *span, long from, long count, const float *keys,
                  by_query *queries, long present) {
    product(*scores, QUERIES, count, keys, work->step * work->d, 1, *queries, QUERIES, work->d, QUERIES, 0);
    uint32_t every = present < 32 ? (1u << present) - 1 : ~0u;
    lanes number;
    EACH(i, LANES) number[i] = i;
    EACH(x, count) {
        uint32_t allowed;
        if (span->words >= 0) {
            allowed = work->words[span->words + from + x];
        } else {
            int64_t low = from + x + span->low, high = from + x + span->high;
            allowed = high < 0 || low > 31 ? 0 : ~0u << (low > 0 ? low : 0) & ~0u >> (high < 31 ? 31 - high : 0);
        }
        if ((allowed & every) != every)
            EACH_VECTOR(y) {
                lanes bit = ((int32_t)(allowed >> y) >> number) & 1;
                vector *row = (vector *)(scores[x] + y);
                *row = pick(bit == 1, *row, all(-INFINITY));
            }
    }
}

/* For the rows of each block: the mean of the values, the largest score, and the sum of 2^(score - largest). */
void forward(const Work *work, const float *q, const float *k, const float *v, float *mean, float *largest,
             float *total) {
    long d = work->d, d_v = work->d_v, step = work->step;
    by_query queries[FEATURES], values[FEATURES], scores[KEYS], factor, most, sum;
    for (const Block *block = work->blocks; block < work->blocks + work->count; block++) {
        float *out = mean + block->first * d_v, *out_most = largest + block->first, *out_sum = total + block->first;
        EACH(y, QUERIES) factor[y] = work->scale, most[y] = -3.40282347e38f, sum[y] = 0;
        to_lanes(queries, q + block->first * d, step * d, block->count, d, factor);
        if (work->merge) {
            EACH(y, block->count) most[y] = out_most[y * step], sum[y] = out_sum[y * step];
            to_lanes(values, out, step * d_v, block->count, d_v, sum);
        } else {
            memset(values, 0, sizeof(by_query) * d_v);
        }
        for (const Span *span = work->spans + block->from; span < work->spans + block->to; span++)
            for (long from = 0; from < span->count; from += KEYS) {
                long count = span->count - from < KEYS ? span->count - from : KEYS;
                long row = span->first + from * step;
                score(scores, work, span, from, count, k + row * d, queries, block->count);
                EACH_VECTOR(y) {
                    vector before = *(vector *)(most + y), now = before, added = all(0);
                    EACH(x, count) {
                        vector s = *(vector *)(scores[x] + y);
                        now = pick(s > now, s, now);
                    }
                    EACH(x, count) {
                        vector *s = (vector *)(scores[x] + y);
                        *s = power_of_two(*s - now);
                        added += *s;
                    }
                    vector shrink = power_of_two(before - now);
                    *(vector *)(most + y) = now;
                    *(vector *)(sum + y) = *(vector *)(sum + y) * shrink + added;
                    EACH(f, d_v) *(vector *)(values[f] + y) *= shrink;
                }
                product(*values, QUERIES, d_v, v + row * d_v, 1, step * d_v, *scores, QUERIES, count, QUERIES, 1);
            }
        EACH(y, block->count) {
            float share = sum[y] == 0 ? 1 : 1 / sum[y];
            EACH(f, d_v) out[y * step * d_v + f] = values[f][y] * share;
            out_most[y * step] = most[y], out_sum[y * step] = sum[y];
        }
    }
}

/* Adds to the gradients of q, k and v what comes from the gradient g of `mean`; lib/tiled.py has the formulas. */
void backward(const Work *work, const float *q, const float *k, const float *v, const float *mean,
              const float *largest, const float *total, const float *g, float *to_q, float *to_k, float *to_v) {
    long d = work->d, d_v = work->d_v, step = work->step;
    by_query queries[FEATURES], upstream[FEATURES], slopes[KEYS], weights[KEYS], sums[FEATURES];
    by_query scale, most, share, common;
    float query_rows[QUERIES * FEATURES], upstream_rows[QUERIES * FEATURES];
    for (const Block *block = work->blocks; block < work->blocks + work->count; block++) {
        long present = block->count, first = block->first;
        EACH(y, QUERIES) scale[y] = work->scale, most[y] = share[y] = common[y] = 0;
        memset(query_rows, 0, sizeof query_rows), memset(upstream_rows, 0, sizeof upstream_rows);
        EACH(y, present) {
            long row = first + y * step;
            most[y] = largest[row], share[y] = total[row] == 0 ? 1 : 1 / total[row];
            EACH(f, d) query_rows[y * d + f] = q[row * d + f] * work->scale * (float)M_LN2;
            EACH(f, d_v) {
                upstream_rows[y * d_v + f] = g[row * d_v + f] * share[y];
                common[y] += upstream_rows[y * d_v + f] * mean[row * d_v + f];
            }
        }
        to_lanes(queries, q + first * d, step * d, present, d, scale);
        to_lanes(upstream, g + first * d_v, step * d_v, present, d_v, share);
        memset(sums, 0, sizeof(by_query) * d);
        for (const Span *span = work->spans + block->from; span < work->spans + block->to; span++)
            for (long from = 0; from < span->count; from += KEYS) {
                long count = span->count - from < KEYS ? span->count - from : KEYS;
                long row = span->first + from * step;
                score(weights, work, span, from, count, k + row * d, queries, present);
                product(*slopes, QUERIES, count, v + row * d_v, step * d_v, 1, *upstream, QUERIES, d_v, QUERIES, 0);
                EACH(x, count) EACH_VECTOR(y) {
                    vector *weight = (vector *)(weights[x] + y), *slope = (vector *)(slopes[x] + y);
                    *weight = power_of_two(*weight - *(vector *)(most + y));
                    *slope = *weight * (*slope - *(vector *)(common + y));
                }
                product(to_v + row * d_v, step * d_v, count, *weights, QUERIES, 1, upstream_rows, d_v, present, d_v, 1);
                product(to_k + row * d, step * d, count, *slopes, QUERIES, 1, query_rows, d, present, d, 1);
                product(*sums, QUERIES, d, k + row * d, 1, step * d, *slopes, QUERIES, count, QUERIES, 1);
            }
        EACH(y, present) EACH(f, d) {
            float *to = to_q + (first + y * step) * d + f;
            *to = (work->merge ? *to : 0) + sums[f][y] * work->scale * (float)M_LN2;
        }
    }
}
