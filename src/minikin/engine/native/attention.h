// Attention over a paged cache. For each block of BLOCK tokens and each key head the cache has the
// keys as [dim / 2][BLOCK][2] and the values as [BLOCK / 2][dim][2]: what the tile unit takes.

enum { BLOCK = 32, SPAN = 256, PART = 512, MOST_DIM = 256 };

// What all layers have in common.
struct model {
    int64_t hidden, feed_forward, heads, kv_heads, dim;
    float epsilon, scale;
};

// The rows of one step. Row r sees the first positions[r] + 1 tokens of the blocks from
// blocks[starts[r]] on, itself included; its own slot is slots[r].
struct step {
    int64_t rows;
    const int64_t *positions, *slots;
    const int32_t *blocks;
    const int64_t *starts;
    const float *cosine, *sine;  // [positions, dim / 2]
};

struct attention {
    const struct model *model;
    const struct step *step;
    const float *qkv;  // [rows, heads + 2 kv_heads, dim]
    uint16_t *keys, *values;
    struct inputs out;  // [rows, heads * dim]
    const int32_t *units;
    // Steps of few rows look at PART keys at a time, so that all threads have work; whatever the
    // company, so that an answer does not depend on it.
    int64_t parts;
    float *partial;
};

// Turn each pair (i, i + dim / 2) by its position's angle.
static inline void rotate(
    const struct step *s, int64_t row, const float *x, uint16_t *out, int64_t dim) {
    const int64_t half = dim / 2, angle = s->positions[row] * half;
    for (int64_t i = 0; i < half; i += 16) {
        __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + half + i);
        __m512 c = _mm512_loadu_ps(s->cosine + angle + i), n = _mm512_loadu_ps(s->sine + angle + i);
        store_bf16(out + i, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, n)));
        store_bf16(out + half + i, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, n)));
    }
}

// Put a row's keys and values into its slot.
static void store_row(const struct attention *a, int64_t r) {
    const struct model *m = a->model;
    const int64_t dim = m->dim, offset = a->step->slots[r] % BLOCK;
    const int64_t block = a->step->slots[r] / BLOCK * m->kv_heads * dim * BLOCK;
    const float *key = a->qkv + (r * (m->heads + 2 * m->kv_heads) + m->heads) * dim;
    const float *value = key + m->kv_heads * dim;
    // Not a number would spoil other rows, which weigh this slot by zero.
    const __m512 most = _mm512_set1_ps(3e38f), least = _mm512_set1_ps(-3e38f);
    for (int64_t h = 0; h < m->kv_heads; h++) {
        uint16_t turned[MOST_DIM];
        rotate(a->step, r, key + h * dim, turned, dim);
        uint16_t *keys = a->keys + block + h * dim * BLOCK;
        for (int64_t i = 0; i < dim / 2; i++)
            memcpy(keys + (i * BLOCK + offset) * 2, turned + 2 * i, 4);
        uint16_t *values = a->values + block + h * dim * BLOCK + offset / 2 * dim * 2;
        for (int64_t i = 0; i < dim; i += 16) {
            __m512 v = _mm512_loadu_ps(value + h * dim + i);
            v = _mm512_min_ps(_mm512_max_ps(v, least), most);
            __m512i wide = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(v));
            _mm512_mask_storeu_epi16(
                values + 2 * i, offset % 2 ? 0xaaaaaaaa : 0x55555555,
                offset % 2 ? _mm512_slli_epi32(wide, 16) : wide);
        }
    }
}

static void store_chunk(const void *job, int64_t chunk) {
    const struct attention *a = job;
    const int64_t size = rows_a_chunk(a->step->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, a->step->rows); r++)
        store_row(a, r);
}

// scores[16][SPAN], columns `at` to at + 63 = queries [dim / 32][16][32] times four tiles of keys.
static inline void score_keys(
    const uint16_t *queries, const uint16_t *const *keys, float *scores, int64_t dim, int64_t rows) {
#ifdef __AMX_BF16__
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t j = 0; j < dim / GROUP; j++) {
        const int64_t at = j * 16 * BLOCK * 2;
        _tile_loadd(4, queries + j * TILE_VALUES, 64);
        _tile_loadd(5, keys[0] + at, BLOCK * 4);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, keys[1] + at, BLOCK * 4);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, keys[2] + at, BLOCK * 4);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, keys[3] + at, BLOCK * 4);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, scores, SPAN * 4);
    _tile_stored(1, scores + 16, SPAN * 4);
    _tile_stored(2, scores + 32, SPAN * 4);
    _tile_stored(3, scores + 48, SPAN * 4);
#else
    for (int64_t r = 0; r < rows; r++) memset(scores + r * SPAN, 0, 256);
    for (int i = 0; i < 4; i++)
        for (int64_t j = 0; j < dim / GROUP; j++)
            add_product(
                scores + 16 * i, SPAN, queries + j * TILE_VALUES, GROUP,
                keys[i] + j * 16 * BLOCK * 2, BLOCK * 2, rows);
#endif
}

// sums[16][dim], columns d to d + 31 += weights [16][SPAN] times `count` blocks of values.
static inline void weigh_values(
    const uint16_t *weights, const uint16_t *const *values, int64_t count, float *sums, int64_t d,
    int64_t dim, int64_t rows) {
#ifdef __AMX_BF16__
    _tile_loadd(0, sums + d, dim * 4);
    _tile_loadd(1, sums + d + 16, dim * 4);
    for (int64_t b = 0; b < count; b++) {
        _tile_loadd(4, weights + b * BLOCK, SPAN * 2);
        _tile_loadd(5, values[b] + 2 * d, dim * 4);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, values[b] + 2 * d + 32, dim * 4);
        _tile_dpbf16ps(1, 4, 6);
    }
    _tile_stored(0, sums + d, dim * 4);
    _tile_stored(1, sums + d + 16, dim * 4);
#else
    for (int64_t b = 0; b < count; b++)
        for (int i = 0; i < 32; i += 16)
            add_product(
                sums + d + i, dim, weights + b * BLOCK, SPAN, values[b] + 2 * (d + i), 2 * dim, rows);
#endif
}

static inline __mmask16 lanes_below(int64_t count) {
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

// Softmax over keys that come a span at a time (Milakov and Gimelshein 2018): turn a row's `length`
// scores into bf16 weights, zeros up to `padded`, and return by how much earlier sums have to
// shrink. `scale`, above 0, takes a score to powers of two.
static inline float weigh_scores(
    const float *scores, uint16_t *weights, int64_t length, int64_t padded, float scale, float *top,
    float *total) {
    if (length <= 0) {
        memset(weights, 0, padded * sizeof *weights);
        return 1;
    }
    const int64_t full = length / 16 * 16, rest = length - full;
    __m512 most = _mm512_set1_ps(*top);
    for (int64_t t = 0; t < full; t += 16) most = _mm512_max_ps(most, _mm512_loadu_ps(scores + t));
    if (rest)
        most = _mm512_mask_max_ps(most, lanes_below(rest), most, _mm512_loadu_ps(scores + full));
    const float highest = _mm512_reduce_max_ps(most), shrink = exp2f((*top - highest) * scale);
    const __m512 factor = _mm512_set1_ps(scale), offset = _mm512_set1_ps(highest * scale);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t t = 0; t < full; t += 16) {
        const __m512 e =
            power_of_two(_mm512_fmsub_ps(_mm512_loadu_ps(scores + t), factor, offset));
        sum = _mm512_add_ps(sum, e);
        store_bf16(weights + t, e);
    }
    for (int64_t t = full; t < padded; t += 16) {
        const __m512 score = _mm512_loadu_ps(scores + t);
        const __m512 e = _mm512_maskz_mov_ps(
            lanes_below(length - t), power_of_two(_mm512_fmsub_ps(score, factor, offset)));
        sum = _mm512_add_ps(sum, e);
        store_bf16(weights + t, e);
    }
    *total = *total * shrink + _mm512_reduce_add_ps(sum);
    *top = highest;
    return shrink;
}

// Some rows of one sequence that follow each other: their queries of one key head, up to 16, and
// what they have found in the keys of one part.
struct unit {
    const struct attention *a;
    int64_t kv, first, end, queries, length;
    const int32_t *blocks;
    float sums[TILE * MOST_DIM] __attribute__((aligned(64)));
    float top[TILE], total[TILE];
};

static void begin_unit(struct unit *u, const struct attention *a, int64_t index) {
    const struct model *m = a->model;
    const struct step *s = a->step;
    u->a = a;
    u->kv = index % m->kv_heads;
    u->first = a->units[index / m->kv_heads];
    u->end = a->units[index / m->kv_heads + 1];
    u->queries = (u->end - u->first) * (m->heads / m->kv_heads);
    u->length = s->positions[u->end - 1] + 1;
    u->blocks = s->blocks + s->starts[u->first];
    memset(u->sums, 0, TILE * m->dim * sizeof *u->sums);
    for (int64_t q = 0; q < u->queries; q++) u->top[q] = -INFINITY, u->total[q] = 0;
}

// Its queries, turned, as tiles [dim / 32][16][32].
static void turn_queries(const struct unit *u, uint16_t *tiles) {
    const struct model *m = u->a->model;
    const int64_t dim = m->dim, share = m->heads / m->kv_heads;
    for (int64_t q = 0; q < u->queries; q++) {
        const int64_t row = u->first + q / share, head = u->kv * share + q % share;
        const float *query = u->a->qkv + (row * (m->heads + 2 * m->kv_heads) + head) * dim;
        uint16_t turned[MOST_DIM];
        rotate(u->a->step, row, query, turned, dim);
        for (int64_t j = 0; j < dim / GROUP; j++)
            memcpy(tiles + j * TILE_VALUES + q * GROUP, turned + j * GROUP, 2 * GROUP);
    }
}

// Where the block with the token `t` is, in keys and in values.
static inline int64_t block_at(const struct unit *u, int64_t t) {
    const struct model *m = u->a->model;
    const int64_t block = u->blocks[smaller(t, u->length - 1) / BLOCK];
    return (block * m->kv_heads + u->kv) * m->dim * BLOCK;
}

// Look at up to SPAN keys from `t` on.
static void attend_span(struct unit *u, const uint16_t *query, int64_t t, int64_t here) {
    const struct attention *a = u->a;
    const int64_t dim = a->model->dim, share = a->model->heads / a->model->kv_heads;
    const int64_t count = ceiling(here, BLOCK);
    uint16_t weights[TILE * SPAN] __attribute__((aligned(64)));
    float scores[TILE * SPAN] __attribute__((aligned(64)));
    const uint16_t *keys[SPAN / TILE], *values[SPAN / BLOCK];
    for (int64_t k = 0; k < ceiling(here, 64) * 64; k += TILE)
        keys[k / TILE] = a->keys + block_at(u, t + k) + k % BLOCK * 2;
    for (int64_t b = 0; b < count; b++) {
        values[b] = a->values + block_at(u, t + b * BLOCK);
        if (u->end - u->first > 1) continue;  // many rows find them near
        ask_for(values[b], 2 * dim * BLOCK);
        if (t + SPAN + b * BLOCK < u->length)
            ask_for(a->keys + block_at(u, t + SPAN + b * BLOCK), 2 * dim * BLOCK);
    }
    for (int64_t k = 0; k < here; k += 64)
        score_keys(query, keys + k / TILE, scores + k, dim, u->queries);
    for (int64_t q = 0; q < u->queries; q++) {
        const int64_t seen = a->step->positions[u->first + q / share] + 1 - t;
        const float shrink = weigh_scores(
            scores + q * SPAN, weights + q * SPAN, smaller(seen, here), count * BLOCK,
            a->model->scale * LOG2_E, u->top + q, u->total + q);
        for (int64_t d = 0; t && d < dim; d += 16) {
            float *sum = u->sums + q * dim + d;
            _mm512_store_ps(sum, _mm512_mul_ps(_mm512_load_ps(sum), _mm512_set1_ps(shrink)));
        }
    }
    for (int64_t d = 0; d < dim; d += 32)
        weigh_values(weights, values, count, u->sums, d, dim, u->queries);
}

static void write_unit(const struct unit *u) {
    const struct model *m = u->a->model;
    const int64_t dim = m->dim, share = m->heads / m->kv_heads;
    for (int64_t q = 0; q < u->queries; q++) {
        const int64_t row = u->first + q / share, head = u->kv * share + q % share;
        const __m512 divisor = _mm512_set1_ps(1.0f / u->total[q]);
        for (int64_t j = 0; j < dim / GROUP; j++) {
            const float *sum = u->sums + q * dim + j * GROUP;
            write_group(
                &u->a->out, row, head * dim / GROUP + j, m->heads * dim / GROUP,
                _mm512_mul_ps(_mm512_load_ps(sum), divisor),
                _mm512_mul_ps(_mm512_load_ps(sum + 16), divisor));
        }
    }
}

// A part's sums [queries][dim], tops and totals [queries] are kept until all parts are there.
static inline float *part_at(const struct unit *u, int64_t index, int64_t part) {
    return u->a->partial + (index * u->a->parts + part) * TILE * (u->a->model->dim + 2);
}

static void keep_part(const struct unit *u, float *kept) {
    const int64_t values = u->queries * u->a->model->dim;
    memcpy(kept, u->sums, values * sizeof *kept);
    memcpy(kept + values, u->top, u->queries * sizeof *kept);
    memcpy(kept + values + u->queries, u->total, u->queries * sizeof *kept);
}

static void attend_part(const void *job, int64_t chunk) {
    const struct attention *a = job;
    const int64_t index = chunk / a->parts, part = chunk % a->parts;
    struct unit u;
    begin_unit(&u, a, index);
    const int64_t from = part * PART, to = a->parts > 1 ? smaller(u.length, from + PART) : u.length;
    if (from >= to) return;
    for (int64_t t = from; u.end - u.first == 1 && t < smaller(to, from + SPAN); t += BLOCK)
        ask_for(a->keys + block_at(&u, t), 2 * a->model->dim * BLOCK);
    uint16_t query[MOST_DIM / GROUP * TILE_VALUES] __attribute__((aligned(64)));
    turn_queries(&u, query);
    begin_tiles();
    for (int64_t t = from; t < to; t += SPAN) attend_span(&u, query, t, smaller(to - t, SPAN));
    end_tiles();
    if (a->parts > 1)
        keep_part(&u, part_at(&u, index, part));
    else
        write_unit(&u);
}

// Put a unit's parts together, each at its share of the whole.
static void join_parts(const void *job, int64_t index) {
    const struct attention *a = job;
    const int64_t dim = a->model->dim;
    struct unit u;
    begin_unit(&u, a, index);
    for (int64_t part = 0; part < ceiling(u.length, PART); part++) {
        const float *sums = part_at(&u, index, part);
        const float *tops = sums + u.queries * dim, *totals = tops + u.queries;
        for (int64_t q = 0; q < u.queries; q++) {
            // A row may see nothing of the last part.
            if (!totals[q]) continue;
            const float top = fmaxf(u.top[q], tops[q]), scale = a->model->scale * LOG2_E;
            const float old = exp2f((u.top[q] - top) * scale), more = exp2f((tops[q] - top) * scale);
            u.total[q] = u.total[q] * old + totals[q] * more;
            u.top[q] = top;
            for (int64_t d = 0; d < dim; d++)
                u.sums[q * dim + d] = u.sums[q * dim + d] * old + sums[q * dim + d] * more;
        }
    }
    write_unit(&u);
}

// Cut a step's rows into units; returns how many there are. `units` has room for rows + 1.
static int64_t make_units(const struct model *m, const struct step *s, int32_t *units) {
    const int64_t most = TILE / (m->heads / m->kv_heads);
    int64_t count = 0;
    for (int64_t r = 0; r < s->rows; r++)
        if (!r || r - units[count - 1] == most || s->starts[r] != s->starts[r - 1])
            units[count++] = r;
    units[count] = s->rows;
    return count;
}

static void run_attention(const struct attention *a, int64_t units) {
    run_chunks(store_chunk, a, ceiling(a->step->rows, rows_a_chunk(a->step->rows)));
    run_chunks(attend_part, a, units * a->model->kv_heads * a->parts);
    if (a->parts > 1) run_chunks(join_parts, a, units * a->model->kv_heads);
}
