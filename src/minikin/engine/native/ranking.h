// The log probability of a token, and the most likely tokens, of each row of logits.

#ifndef RANKING_H
#define RANKING_H

#include "sampling.h"

struct ranking {
    const float *logits;
    int64_t width, most;
    const int64_t *tokens;
    double *totals;  // the logarithms of the sums of exponentials
    int64_t *places, *best;
};

// The sum of the exponentials of a row, as a logarithm.
static double log_total(const float *row, int64_t width) {
    double total = 0;
    floats most = v_all(-INFINITY);
    for (int64_t i = 0; i < width; i += 16)
        most = v_max(most, logits_at(row, width, i));
    const float top = v_most(most);
    for (int64_t s = 0; s < width; s += STRETCH) {
        floats sum = v_all(0);
        for (int64_t i = s; i < smaller(s + STRETCH, width); i += 16)
            sum = v_add(sum, weights_of(row, width, i, top, LOG2_E));
        total += v_sum(sum);
    }
    return top + log(total);
}

// The `most` largest logits in descending order, equal ones in the order of their tokens.
static void find_best(const float *row, int64_t width, int64_t most, int64_t *best) {
    int64_t count = 0;
    for (int64_t i = 0; i < width; i += 16) {
        const float bound = count == most ? row[best[most - 1]] : -INFINITY;
        const floats x = logits_at(row, width, i);
        uint32_t in = count == most ? v_above(x, v_all(bound)) : 0xffff;
        for (; in; in &= in - 1) {
            const int64_t token = i + __builtin_ctz(in);
            if (token >= width) break;
            int64_t at = count < most ? count++ : most;
            for (; at > 0 && row[token] > row[best[at - 1]]; at--)
                if (at < most) best[at] = best[at - 1];
            if (at < most) best[at] = token;
        }
    }
}

static void rank_row(const void *job, int64_t r) {
    const struct ranking *k = job;
    const float *row = k->logits + r * k->width;
    const floats own = v_all(row[k->tokens[r]]);
    int64_t place = 0;
    for (int64_t i = 0; i < k->width; i += 16)
        place += __builtin_popcount(v_above(logits_at(row, k->width, i), own));
    k->places[r] = place;
    k->totals[r] = log_total(row, k->width);
    if (k->most) find_best(row, k->width, k->most, k->best + r * k->most);
}

// For each row: the logarithm of the sum of exponentials, how many logits are larger than that of its
// token, and its `most` best tokens. `most` is at most `width`.
void rank_tokens(
    const float *logits, int64_t rows, int64_t width, const int64_t *tokens, int64_t most,
    double *totals, int64_t *places, int64_t *best) {
    const struct ranking job = {logits, width, most, tokens, totals, places, best};
    run_chunks(rank_row, &job, rows);
}

#endif
