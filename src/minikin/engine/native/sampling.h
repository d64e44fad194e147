// Choosing a token from a row of logits.

#ifndef SAMPLING_H
#define SAMPLING_H

#include "limits.h"
#include "workers.h"

struct choosing {
    float *logits;  // [rows, width]
    int64_t width;
    const struct draw *draws;
    int64_t *tokens;
};

static inline floats logits_at(const float *row, int64_t width, int64_t i) {
    return v_load_first(width - i, row + i, v_all(-INFINITY));
}

// The first of the largest logits, or -1 if a logit is NaN or the largest is infinite.
static int64_t largest_logit(const float *row, int64_t width) {
    floats most = v_all(-INFINITY);
    uint32_t spoilt = 0;
    for (int64_t i = 0; i < width; i += 16) {
        const floats x = logits_at(row, width, i);
        spoilt |= v_nan(x);
        most = v_max(most, x);
    }
    const float top = v_most(most);
    if (spoilt || !isfinite(top)) return -1;
    uint32_t equal = 0;
    int64_t at = 0;
    while (!(equal = v_equal(logits_at(row, width, at), v_all(top)))) at += 16;
    return at + __builtin_ctz(equal);
}

// 2^((logit - top) * scale); zero where that is below 2^-125.
static inline floats weights_of(const float *row, int64_t width, int64_t i, float top, float scale) {
    const floats x = v_mul(v_sub(logits_at(row, width, i), v_all(top)), v_all(scale));
    return v_where_above(x, -125.0f, power_of_two(x));
}

// The first token at which the weights up to it exceed the row's share of all weights.
static int64_t drawn_token(const float *row, int64_t width, const struct draw *draw, int64_t best) {
    const int64_t stretches = ceiling(width, STRETCH);
    float weights[stretches * STRETCH];
    double sums[stretches], total = 0, before = 0;
    for (int64_t i = 0; i < stretches * STRETCH; i += 16)
        v_store(weights + i, weights_of(row, width, i, row[best], LOG2_E / draw->temperature));
    apply_limits(weights, stretches * STRETCH, draw);
    for (int64_t s = 0; s < stretches; s++) {
        floats sum = v_all(0);
        for (int64_t i = 0; i < STRETCH; i += 16)
            sum = v_add(sum, v_load(weights + s * STRETCH + i));
        total += sums[s] = v_sum(sum);
    }
    const double goal = draw->point * total;
    int64_t at = 0, last = best;
    while (at < stretches - 1 && before + sums[at] <= goal) before += sums[at++];
    for (int64_t i = at * STRETCH; i < (at + 1) * STRETCH; i++) {
        before += weights[i];
        if (weights[i]) last = i;
        if (before > goal) return last;
    }
    return last;
}

static void choose_row(const void *job, int64_t r) {
    const struct choosing *c = job;
    const struct draw *draw = c->draws + r;
    float *row = c->logits + r * c->width;
    for (int64_t i = 0; i < draw->changes; i++) row[draw->tokens[i]] += draw->amounts[i];
    const int64_t best = largest_logit(row, c->width);
    c->tokens[r] = best >= 0 && draw->temperature > 0 ? drawn_token(row, c->width, draw, best) : best;
}

// A token for each row: the most likely one if the temperature is 0, else the inverse of the cumulative
// distribution of the tokens within the limits, at the draw's point. -1 if a logit is NaN. The changes
// of the draws stay in the logits.
void choose_tokens(
    float *logits, int64_t rows, int64_t width, const struct draw *draws, int64_t *tokens) {
    const struct choosing job = {logits, width, draws, tokens};
    run_chunks(choose_row, &job, rows);
}

#endif
