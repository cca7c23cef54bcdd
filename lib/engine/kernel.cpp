/* Exact attention over the pairs that a mask allows: the loops that lib/engine/compiled.py compiles and calls.

   Queries come in blocks of up to QUERIES, one to a lane: a row of `scores` holds the scores of one key with all of them,
   so that sums and maxima over the keys need nothing from a neighbouring lane. Keys come in chunks, and the online
   softmax puts the chunks together (Milakov & Gimelshein 2018; Chapter 9). No score leaves the processor's cache,
   which is the idea of FlashAttention (Dao et al. 2022).

   Rows of q and k have d numbers, rows of v, of g and of the mean of the values d_v. Scores are powers of two: e^s is
   2^(s · log2 e), and `scale` holds the factor. Who compiles this says -DQUERIES=… (32, as many as a word has bits), the
   largest number of FEATURES, and -DDOUBLE for numbers of 64 bits instead of 32. */

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

#ifdef DOUBLE
typedef double Number;
typedef int64_t Integer;
#else
typedef float Number;
typedef int32_t Integer;
#endif
typedef std::numeric_limits<Number> Limits;

/* A register holds LANES numbers, and ROWS × 2 registers of sums stay in the processor during a product: with AVX2, 12
   sums, two registers of one factor and a number of the other fill 15 of 16. */
#ifdef __AVX512F__
constexpr int REGISTER = 64, ROWS = 8;
#else
constexpr int REGISTER = 32, ROWS = 6;
#endif
constexpr int LANES = REGISTER / sizeof(Number);
constexpr int KEYS = 96; /* in a chunk */

typedef Number Vector __attribute__((vector_size(REGISTER), aligned(sizeof(Number)), may_alias));
typedef Integer Whole __attribute__((vector_size(REGISTER), aligned(sizeof(Number)), may_alias));
typedef Number Lanes[QUERIES] __attribute__((aligned(64))); /* a number of each query */

inline Vector &at(Number *x) { return *reinterpret_cast<Vector *>(x); }
inline const Vector &at(const Number *x) { return *reinterpret_cast<const Vector *>(x); }
inline Vector all(Number x) { return x - Vector{}; }

/* 2^x for x below the largest exponent: the whole part goes into the exponent, and of e^(rest · ln 2) come so many
   terms that what they leave out, with |rest| up to a half, is less than 6e-9 (5e-18). A result too small for full
   precision is 0 or another number as small. NaN stays NaN. */
inline Vector power_of_two(Vector x) {
    constexpr int TERMS = sizeof(Number) == 4 ? 8 : 14, DIGITS = Limits::digits - 1;
    Number term[TERMS] = {1}; /* (ln 2)^i / i! */
    for (int i = 1; i < TERMS; i++) term[i] = term[i - 1] * Number(M_LN2) / i;
    /* Added to a number it rounds it to a whole one, which then stands in the lowest bits. */
    const Vector big = all(Number(3) * (Integer(1) << (DIGITS - 1)));
    const Vector lowest = all(Limits::min_exponent - 2), bounded = x > lowest ? x : lowest;
    const Vector shifted = bounded + big, rest = bounded - (shifted - big);
    Vector sum = all(term[TERMS - 1]);
    for (int i = TERMS - 2; i >= 0; i--) sum = sum * rest + term[i];
    return x == x ? (Vector)((Whole)sum + ((Whole)shifted << DIGITS)) : x;
}

/* A matrix in memory: its element (x, y) is start[x · row + y · column]. */
struct Matrix {
    const Number *start;
    int64_t row, column;
};

/* c (rows, vectors · LANES) = (add: +) a (rows, ny) · b (ny, vectors · LANES), all sums in registers. */
template <int rows, int vectors>
inline void panel(Number *c, int64_t c_row, Matrix a, const Number *b, int64_t b_row, int64_t ny, bool add) {
    Vector sum[rows][vectors] = {};
    for (int64_t y = 0; y < ny; y++)
#pragma GCC unroll 8
        for (int x = 0; x < rows; x++)
            for (int i = 0; i < vectors; i++)
                sum[x][i] += a.start[x * a.row + y * a.column] * at(b + y * b_row + i * LANES);
    /* What is there is added last: many small numbers, one by one, would be lost beside a large one. */
    for (int x = 0; x < rows; x++)
        for (int i = 0; i < vectors; i++) {
            Vector &to = at(c + x * c_row + i * LANES);
            to = add ? to + sum[x][i] : sum[x][i];
        }
}

/* `panel` for a number of rows, up to `most`, that is not known before it runs. */
template <int most, int vectors>
inline void panel_of(int64_t rows, Number *c, int64_t c_row, Matrix a, const Number *b, int64_t b_row, int64_t ny,
                     bool add) {
    if (rows == most)
        panel<most, vectors>(c, c_row, a, b, b_row, ny, add);
    else if constexpr (most > 1)
        panel_of<most - 1, vectors>(rows, c, c_row, a, b, b_row, ny, add);
}

/* The same for nx rows, in panels as equal as can be: one of few rows has too few sums to keep the processor busy. */
template <int vectors>
inline void panels(Number *c, int64_t c_row, int64_t nx, Matrix a, const Number *b, int64_t b_row, int64_t ny,
                   bool add) {
    int64_t left = (nx + ROWS - 1) / ROWS;
    for (int64_t x = 0, rows; left > 0; x += rows, left--) {
        rows = (nx - x + left - 1) / left;
        const Matrix below{a.start + x * a.row, a.row, a.column};
        panel_of<ROWS, vectors>(rows, c + x * c_row, c_row, below, b, b_row, ny, add);
    }
}

/* The same for any number of columns: in twos of vectors, one more, and what does not fill a vector. */
inline void product(Number *c, int64_t c_row, int64_t nx, Matrix a, const Number *b, int64_t b_row, int64_t ny,
                    int64_t columns, bool add) {
    int64_t column = 0;
    for (; column + 2 * LANES <= columns; column += 2 * LANES)
        panels<2>(c + column, c_row, nx, a, b + column, b_row, ny, add);
    for (; column + LANES <= columns; column += LANES)
        panels<1>(c + column, c_row, nx, a, b + column, b_row, ny, add);
    for (; column < columns; column++)
        for (int64_t x = 0; x < nx; x++) {
            Number sum = 0, &to = c[x * c_row + column];
            for (int64_t y = 0; y < ny; y++) sum += a.start[x * a.row + y * a.column] * b[y * b_row + column];
            to = add ? to + sum : sum;
        }
}

} // namespace

/* The queries of a block stand in rows first, first + step, …; it reads the spans from, …, to - 1. */
struct Block {
    int64_t first, queries, from, to;
};

/* The keys of a span stand in rows first, first + step, …. Query y may read key x if low <= y - x <= high; or, where
   `words` is not negative, if bit y of words[x] is set, counted from there. Of a span between low and high, somebody
   may read each key. */
struct Span {
    int64_t first, keys, low, high, words;
};

/* Some blocks of a layer of lib/engine/pieces.py. merge: add to what earlier layers left in the results. */
struct Work {
    const Block *blocks;
    int64_t n_blocks;
    const Span *spans;
    const uint32_t *words;
    int64_t step, d, d_v;
    double scale;
    int32_t merge;
};

namespace {

/* Bit y: may query y read this key? */
inline uint32_t readers(const Work &work, const Span &span, int64_t key) {
    if (span.words >= 0) return work.words[span.words + key];
    const int64_t low = key + span.low, high = key + span.high; /* of y */
    return ~0u << (low > 0 ? low : 0) & ~0u >> (high < QUERIES - 1 ? QUERIES - 1 - high : 0);
}

/* The scores of `count` keys of a span, the first of which is number `from`; minus infinity where forbidden. */
inline void score(Lanes *scores, const Work &work, const Block &block, const Span &span, int64_t from, int64_t count,
                  const Number *keys, const Lanes *queries) {
    product(*scores, QUERIES, count, {keys, work.step * work.d, 1}, *queries, QUERIES, work.d, QUERIES, false);
    const uint32_t every = ~0u >> (QUERIES - block.queries);
    Whole number;
    for (int lane = 0; lane < LANES; lane++) number[lane] = lane;
    for (int64_t x = 0; x < count; x++) {
        const uint32_t allowed = readers(work, span, from + x);
        if ((allowed & every) == every) continue;
        for (int y = 0; y < QUERIES; y += LANES) {
            const Whole bit = (Whole{} + Integer(allowed >> y)) >> number & 1;
            at(scores[x] + y) = bit == 1 ? at(scores[x] + y) : all(-Limits::infinity());
        }
    }
}

/* Feature f of the block's rows of x, times factor, goes into lanes[f]; lanes without a query are 0. */
inline void to_lanes(Lanes *lanes, const Number *x, int64_t row, int64_t features, const Block &block, Number factor) {
    memset(lanes, 0, sizeof(Lanes) * features);
    for (int64_t y = 0; y < block.queries; y++)
        for (int64_t f = 0; f < features; f++) lanes[f][y] = factor * x[y * row + f];
}

/* Calls each(span, from, count, row): chunk by chunk, the keys that a block reads, and the row of the first. */
template <class Each> inline void chunks(const Work &work, const Block &block, Each each) {
    for (const Span *span = work.spans + block.from; span < work.spans + block.to; span++)
        for (int64_t from = 0; from < span->keys; from += KEYS) {
            const int64_t left = span->keys - from;
            each(*span, from, left < KEYS ? left : KEYS, span->first + from * work.step);
        }
}

/* The online softmax: scores become weights 2^(score - most). Where the largest score has grown, all that was summed
   before is too large by a factor, whose inverse is `shrink`. */
inline void weigh(Lanes *scores, int64_t count, Lanes most, Lanes sum, Lanes shrink) {
    Lanes now, added = {};
    memcpy(now, most, sizeof now);
    for (int64_t x = 0; x < count; x++)
        for (int y = 0; y < QUERIES; y += LANES) {
            const Vector s = at(scores[x] + y);
            at(now + y) = s > at(now + y) ? s : at(now + y);
        }
    for (int64_t x = 0; x < count; x++)
        for (int y = 0; y < QUERIES; y += LANES)
            at(added + y) += at(scores[x] + y) = power_of_two(at(scores[x] + y) - at(now + y));
    for (int y = 0; y < QUERIES; y += LANES) {
        at(shrink + y) = power_of_two(at(most + y) - at(now + y));
        at(most + y) = at(now + y);
        at(sum + y) = at(sum + y) * at(shrink + y) + at(added + y);
    }
}

/* Row y of `to` is row y of x times factor[y]. */
inline void multiply(Number *to, int64_t to_row, const Number *x, int64_t row, int64_t features, const Block &block,
                     const Lanes factor) {
    for (int64_t y = 0; y < block.queries; y++)
        for (int64_t f = 0; f < features; f++) to[y * to_row + f] = x[y * row + f] * factor[y];
}

/* `count` rows of x, up to KEYS, side by side until the next call: far apart, rows that are read again and again would
   drive one another out of the cache. */
inline const Number *together(const Number *x, int64_t count, int64_t features, int64_t step) {
    static thread_local Number room[KEYS * FEATURES] __attribute__((aligned(64))); /* too large for some stacks */
    if (step == 1) return x;
    for (int64_t y = 0; y < count; y++) memcpy(room + y * features, x + y * step * features, sizeof(Number) * features);
    return room;
}

} // namespace

/* Of the row of each query: the mean of the values, the largest score, and the sum of 2^(score - largest). */
extern "C" void forward(const Work &work, const Number *q, const Number *k, const Number *v, Number *mean,
                        Number *largest, Number *total) {
    const int64_t d = work.d, d_v = work.d_v, step = work.step;
    Lanes queries[FEATURES], scores[KEYS], most, sum, shrink;
    Number weighted[QUERIES * FEATURES] __attribute__((aligned(64))); /* the sums of weight times value */
    for (const Block *block = work.blocks; block < work.blocks + work.n_blocks; block++) {
        const int64_t first = block->first, present = block->queries;
        to_lanes(queries, q + first * d, step * d, d, *block, work.scale);
        for (int64_t y = 0; y < QUERIES; y++) {
            const bool begun = work.merge && y < present;
            most[y] = begun ? largest[first + y * step] : Limits::lowest();
            sum[y] = begun ? total[first + y * step] : 0;
        }
        if (work.merge)
            multiply(weighted, d_v, mean + first * d_v, step * d_v, d_v, *block, sum);
        else
            memset(weighted, 0, sizeof(Number) * present * d_v);
        chunks(work, *block, [&](const Span &span, int64_t from, int64_t count, int64_t row) {
            score(scores, work, *block, span, from, count, k + row * d, queries);
            weigh(scores, count, most, sum, shrink);
            multiply(weighted, d_v, weighted, d_v, d_v, *block, shrink);
            const Number *values = together(v + row * d_v, count, d_v, step);
            product(weighted, d_v, present, {*scores, 1, QUERIES}, values, d_v, count, d_v, true);
        });
        for (int64_t y = 0; y < present; y++) {
            largest[first + y * step] = most[y], total[first + y * step] = sum[y];
            shrink[y] = sum[y] == 0 ? 1 : 1 / sum[y];
        }
        multiply(mean + first * d_v, step * d_v, weighted, d_v, d_v, *block, shrink);
    }
}

/* Adds to the gradients of k and v, and writes (merge: adds to) that of q, for the gradient g of the mean:
   ∂L/∂s_ij = α_ij (g_i · v_j − g_i · a_i), where α_ij is the weight and a_i the mean. */
extern "C" void backward(const Work &work, const Number *q, const Number *k, const Number *v, const Number *mean,
                         const Number *largest, const Number *total, const Number *g, Number *to_q, Number *to_k,
                         Number *to_v) {
    const int64_t d = work.d, d_v = work.d_v, step = work.step;
    const Vector natural = all(Number(work.scale * M_LN2));
    Lanes queries[FEATURES], gradients[FEATURES], weights[KEYS], slopes[KEYS];
    Lanes most = {}, share = {}, common = {};
    for (const Block *block = work.blocks; block < work.blocks + work.n_blocks; block++) {
        const int64_t first = block->first, present = block->queries;
        const Number *own_q = q + first * d, *own_g = g + first * d_v;
        to_lanes(queries, own_q, step * d, d, *block, work.scale);
        to_lanes(gradients, own_g, step * d_v, d_v, *block, 1);
        for (int64_t y = 0; y < present; y++) {
            const int64_t row = first + y * step;
            most[y] = largest[row], share[y] = total[row] == 0 ? 0 : 1 / total[row], common[y] = 0;
            for (int64_t f = 0; f < d_v; f++) common[y] += g[row * d_v + f] * mean[row * d_v + f];
        }
        for (int64_t y = 0; y < present && !work.merge; y++)
            memset(to_q + (first + y * step) * d, 0, sizeof(Number) * d);
        chunks(work, *block, [&](const Span &span, int64_t from, int64_t count, int64_t row) {
            const Number *keys = k + row * d, *values = v + row * d_v;
            score(weights, work, *block, span, from, count, keys, queries);
            product(*slopes, QUERIES, count, {values, step * d_v, 1}, *gradients, QUERIES, d_v, QUERIES, false);
            for (int64_t x = 0; x < count; x++)
                for (int y = 0; y < QUERIES; y += LANES) {
                    const Vector weight = power_of_two(at(weights[x] + y) - at(most + y)) * at(share + y);
                    at(weights[x] + y) = weight;
                    at(slopes[x] + y) = (at(slopes[x] + y) - at(common + y)) * weight * natural;
                }
            const Matrix by_weight = {*weights, QUERIES, 1}, by_slope = {*slopes, QUERIES, 1};
            product(to_v + row * d_v, step * d_v, count, by_weight, own_g, step * d_v, present, d_v, true);
            product(to_k + row * d, step * d, count, by_slope, own_q, step * d, present, d, true);
            const Number *near = together(keys, count, d, step);
            product(to_q + first * d, step * d, present, {*slopes, 1, QUERIES}, near, d, count, d, true);
        });
    }
}
