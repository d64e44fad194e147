// Choosing a token from a row of logits.

enum { STRETCH = 256 };  // tokens whose weights are summed up before one of them is looked for

struct choosing {
    const float *logits;  // [rows, width]
    int64_t width;
    const float *temperatures;
    const double *points;
    int64_t *tokens;
};

static inline __m512 logits_at(const struct choosing *c, int64_t row, int64_t i) {
    return _mm512_mask_loadu_ps(
        _mm512_set1_ps(-INFINITY), lanes_below(c->width - i), c->logits + row * c->width + i);
}

// The first of the largest logits, or -1 if one is not a number or the largest is infinite.
static int64_t largest_logit(const struct choosing *c, int64_t row) {
    __m512 most = _mm512_set1_ps(-INFINITY);
    __m512i where = _mm512_setzero_si512();
    __mmask16 spoilt = 0;
    for (int64_t i = 0; i < c->width; i += 16) {
        const __m512 x = logits_at(c, row, i);
        spoilt |= _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        const __mmask16 more = _mm512_cmp_ps_mask(x, most, _CMP_GT_OQ);
        most = _mm512_mask_mov_ps(most, more, x);
        where = _mm512_mask_mov_epi32(where, more, _mm512_set1_epi32(i));
    }
    const float top = _mm512_reduce_max_ps(most);
    if (spoilt || !isfinite(top)) return -1;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_mask_reduce_min_epi32(
        _mm512_cmp_ps_mask(most, _mm512_set1_ps(top), _CMP_EQ_OQ), _mm512_add_epi32(where, lane));
}

// 2^((logit - top) * scale); zero where that is below 2^-125.
static inline __m512 token_weights(
    const struct choosing *c, int64_t row, int64_t i, float top, float scale) {
    const __m512 distance = _mm512_sub_ps(logits_at(c, row, i), _mm512_set1_ps(top));
    const __m512 x = _mm512_mul_ps(distance, _mm512_set1_ps(scale));
    const __mmask16 there = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-125.0f), _CMP_GT_OQ);
    return _mm512_maskz_mov_ps(there, power_of_two(x));
}

// The first token at which the weights up to it exceed the row's share of all weights.
static int64_t drawn_token(const struct choosing *c, int64_t row, int64_t best) {
    const float top = c->logits[row * c->width + best], scale = LOG2_E / c->temperatures[row];
    const int64_t stretches = ceiling(c->width, STRETCH);
    double sums[stretches], total = 0, before = 0;
    for (int64_t s = 0; s < stretches; s++) {
        __m512 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i < STRETCH; i += 16)
            sum = _mm512_add_ps(sum, token_weights(c, row, s * STRETCH + i, top, scale));
        total += sums[s] = _mm512_reduce_add_ps(sum);
    }
    const double goal = c->points[row] * total;
    int64_t at = 0, last = best;
    while (at < stretches - 1 && before + sums[at] <= goal) before += sums[at++];
    for (int64_t i = at * STRETCH; i < (at + 1) * STRETCH; i += 16) {
        float weights[16];
        _mm512_storeu_ps(weights, token_weights(c, row, i, top, scale));
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

// A token for each row: the likeliest where the temperature is 0, otherwise by inverting the
// cumulative distribution at the row's point in [0, 1). -1 where a logit is not a number.
void choose_tokens(
    const float *logits, int64_t rows, int64_t width, const float *temperatures,
    const double *points, int64_t *tokens) {
    const struct choosing job = {logits, width, temperatures, points, tokens};
    run_chunks(choose_row, &job, rows);
}
