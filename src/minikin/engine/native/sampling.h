// Choosing a token from a row of logits.

#ifndef SAMPLING_H
#define SAMPLING_H

#include "workers.h"

enum { STRETCH = 256 };  // tokens whose weights are added before the search inside them

struct choosing {
    const float *logits;  // [rows, width]
    int64_t width;
    const float *temperatures;
    const double *points;
    int64_t *tokens;
};

static inline floats logits_at(const struct choosing *c, int64_t row, int64_t i) {
    return v_load_first(c->width - i, c->logits + row * c->width + i, v_all(-INFINITY));
}

// The first of the largest logits, or -1 if a logit is NaN or the largest is infinite.
static int64_t largest_logit(const struct choosing *c, int64_t row) {
    floats most = v_all(-INFINITY);
    uint32_t spoilt = 0;
    for (int64_t i = 0; i < c->width; i += 16) {
        const floats x = logits_at(c, row, i);
        spoilt |= v_nan(x);
        most = v_max(most, x);
    }
    const float top = v_most(most);
    if (spoilt || !isfinite(top)) return -1;
    uint32_t equal = 0;
    int64_t at = 0;
    while (!(equal = v_equal(logits_at(c, row, at), v_all(top)))) at += 16;
    return at + __builtin_ctz(equal);
}

// 2^((logit - top) * scale); zero where that is below 2^-125.
static inline floats token_weights(
    const struct choosing *c, int64_t row, int64_t i, float top, float scale) {
    const floats x = v_mul(v_sub(logits_at(c, row, i), v_all(top)), v_all(scale));
    return v_where_above(x, -125.0f, power_of_two(x));
}

// The first token at which the weights up to it exceed the row's share of all weights.
static int64_t drawn_token(const struct choosing *c, int64_t row, int64_t best) {
    const float top = c->logits[row * c->width + best], scale = LOG2_E / c->temperatures[row];
    const int64_t stretches = ceiling(c->width, STRETCH);
    double sums[stretches], total = 0, before = 0;
    for (int64_t s = 0; s < stretches; s++) {
        floats sum = v_all(0);
        for (int64_t i = 0; i < STRETCH; i += 16)
            sum = v_add(sum, token_weights(c, row, s * STRETCH + i, top, scale));
        total += sums[s] = v_sum(sum);
    }
    const double goal = c->points[row] * total;
    int64_t at = 0, last = best;
    while (at < stretches - 1 && before + sums[at] <= goal) before += sums[at++];
    for (int64_t i = at * STRETCH; i < (at + 1) * STRETCH; i += 16) {
        float weights[16];
        v_store(weights, token_weights(c, row, i, top, scale));
        for (int n = 0; n < 16; n++) {
            before += weights[n];
            if (weights[n]) last = i + n;
            if (before > goal) return last;
        }
    }
    return last;
}

static void choose_row(const void *job, int64_t row) {
    const struct choosing *c = job;
    const int64_t best = largest_logit(c, row);
    c->tokens[row] = best >= 0 && c->temperatures[row] > 0 ? drawn_token(c, row, best) : best;
}

// A token for each row: the most likely one if the temperature is 0, else the inverse of the cumulative
// distribution at the row's point in [0, 1). -1 if a logit is NaN.
void choose_tokens(
    const float *logits, int64_t rows, int64_t width, const float *temperatures,
    const double *points, int64_t *tokens) {
    const struct choosing job = {logits, width, temperatures, points, tokens};
    run_chunks(choose_row, &job, rows);
}

#endif
