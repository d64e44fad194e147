// Attention over a paged cache. For each block of BLOCK tokens and each key head the cache has the
// keys as [dim / 2][BLOCK][2] and the values as [BLOCK / 2][dim][2], which the tile unit needs.

#ifndef ATTENTION_H
#define ATTENTION_H

#include "inputs.h"
#include "tiles.h"
#include "workers.h"

struct attention {
    const struct model *model;
    const struct layer *layer;
    const struct step *step;
    float *qkv;  // [rows, row_heads, dim]
    struct inputs out;  // [rows, heads * outputs]
    int32_t *units;     // [rows + 1]
    // The rows below step->few look at PART keys at a time, so that all threads have work. They are
    // the first units.
    int64_t few_units, parts;
    float *partial;
};

static inline int64_t row_heads(const struct heads *h) {
    return (h->gated ? 2 : 1) * h->count + 2 * h->stored;
}

// The query heads of a key head.
static inline int64_t sharing(const struct heads *h) { return h->count / h->keys; }

// Rotate each pair (i, i + dim / 2) by the angle of its position.
static inline void rotate(
    const struct attention *a, const float *cosine, const float *sine, int64_t row, const float *x,
    uint16_t *out) {
    const int64_t half = a->layer->heads.dim / 2, angle = a->step->positions[row] * half;
    for (int64_t i = 0; i < half; i += 16) {
        floats left = v_load(x + i), right = v_load(x + half + i);
        floats c = v_load(cosine + angle + i), n = v_load(sine + angle + i);
        v_store_bf16(out + i, v_mul_sub(left, c, v_mul(right, n)));
        v_store_bf16(out + half + i, v_mul_add(right, c, v_mul(left, n)));
    }
}

// Store the keys and values of a row in its slot.
static void store_row(const struct attention *a, int64_t r) {
    const struct layer *layer = a->layer;
    const struct heads *own = &layer->heads;
    const int64_t dim = own->dim, offset = a->step->slots[r] % BLOCK;
    const int64_t block = a->step->slots[r] / BLOCK * own->keys * dim * BLOCK;
    const float *key = a->qkv + (r * row_heads(own) + own->count) * dim;
    const float *value = key + own->keys * dim;
    // A NaN would spoil other rows, which multiply this slot by zero.
    const floats most = v_all(3e38f), least = v_all(-3e38f);
    for (int64_t h = 0; h < own->stored; h++) {
        uint16_t turned[MOST_DIM];
        rotate(a, layer->cosine, layer->sine, r, key + h * dim, turned);
        uint16_t *keys = layer->keys + block + h * dim * BLOCK;
        for (int64_t i = 0; i < dim / 2; i++)
            memcpy(keys + (i * BLOCK + offset) * 2, turned + 2 * i, 4);
        uint16_t *values = layer->values + block + h * dim * BLOCK + offset / 2 * dim * 2;
        for (int64_t i = 0; i < dim; i += 16) {
            const floats v = v_load(value + h * dim + i);
            v_store_every_other(values + 2 * i, v_min(v_max(v, least), most), offset % 2);
        }
    }
}

static void store_chunk(const void *job, int64_t chunk) {
    const struct attention *a = job;
    const int64_t size = rows_a_chunk(a->step->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, a->step->rows); r++)
        store_row(a, r);
}

// The lanes of x from `from` to below `to`; all others from `rest`.
static inline floats v_between(int64_t from, int64_t to, floats x, floats rest) {
    if (from <= 0 && to >= 16) return x;
    return v_first(to, v_first(from, rest, x), rest);
}

// Online softmax, one span of keys at a time (Milakov and Gimelshein 2018). Turns the scores `from` to
// below `to` of a row into bf16 weights, with zeros around them up to `padded`. Returns the factor for
// the earlier sums. `scale`, above 0, makes a score a power of two.
static inline float weigh_scores(
    const float *scores, uint16_t *weights, int64_t from, int64_t to, int64_t padded, float scale,
    float *top, float *total) {
    if (from >= to) {
        memset(weights, 0, padded * sizeof *weights);
        return 1;
    }
    const int64_t first = from / 16 * 16;
    floats most = v_all(*top);
    for (int64_t t = first; t < to; t += 16)
        most = v_max(most, v_between(from - t, to - t, v_load(scores + t), most));
    const float highest = v_most(most), shrink = exp2f((*top - highest) * scale);
    const floats factor = v_all(scale), offset = v_all(highest * scale);
    floats sum = v_all(0);
    memset(weights, 0, first * sizeof *weights);
    for (int64_t t = first; t < padded; t += 16) {
        const floats power = power_of_two(v_mul_sub(v_load(scores + t), factor, offset));
        const floats e = v_between(from - t, to - t, power, v_all(0));
        sum = v_add(sum, e);
        v_store_bf16(weights + t, e);
    }
    *total = *total * shrink + v_sum(sum);
    *top = highest;
    return shrink;
}

// cap tanh(score scale / cap), in place (Gemma 2).
static void bend_scores(float *scores, int64_t count, float scale, float cap) {
    for (int64_t t = 0; t < count; t += 16) {
        const floats x = v_mul(v_load(scores + t), v_all(2 * scale / cap));
        const floats share = times_sigmoid(v_all(2 * cap), x);
        v_store(scores + t, v_sub(share, v_all(cap)));
    }
}

// Consecutive rows of one sequence: their queries for one key head, at most 16, and their sums over the
// keys of one part.
struct unit {
    const struct attention *a;
    int64_t kv, first, end, queries;
    int64_t begin, length;  // the tokens that any of its rows sees
    const int32_t *blocks;
    float sums[TILE * MOST_DIM] __attribute__((aligned(64)));
    float top[TILE], total[TILE];
};

static void begin_unit(struct unit *u, const struct attention *a, int64_t index) {
    const struct heads *h = &a->layer->heads;
    const struct step *s = a->step;
    const int64_t window = a->layer->window;
    u->a = a;
    u->kv = index % h->keys;
    u->first = a->units[index / h->keys];
    u->end = a->units[index / h->keys + 1];
    u->queries = (u->end - u->first) * sharing(h);
    u->length = s->positions[u->end - 1] + 1;
    u->begin = window ? larger(0, s->positions[u->first] + 1 - window) : 0;
    u->blocks = s->blocks + s->starts[u->first];
    memset(u->sums, 0, TILE * h->dim * sizeof *u->sums);
    for (int64_t q = 0; q < u->queries; q++) u->top[q] = -INFINITY, u->total[q] = 0;
}

// The rotated queries of a unit as tiles [dim / 32][16][32].
static void turn_queries(const struct unit *u, uint16_t *tiles) {
    const struct layer *layer = u->a->layer;
    const int64_t dim = layer->heads.dim, share = sharing(&layer->heads);
    for (int64_t q = 0; q < u->queries; q++) {
        const int64_t row = u->first + q / share, head = u->kv * share + q % share;
        const float *query = u->a->qkv + (row * row_heads(&layer->heads) + head) * dim;
        uint16_t turned[MOST_DIM];
        rotate(u->a, layer->query_cosine, layer->query_sine, row, query, turned);
        for (int64_t j = 0; j < dim / GROUP; j++)
            memcpy(tiles + j * TILE_VALUES + q * GROUP, turned + j * GROUP, 2 * GROUP);
    }
}

// The offset of the block with token `t`, in the keys and in the values.
static inline int64_t block_at(const struct unit *u, int64_t t) {
    const struct heads *h = &u->a->layer->heads;
    const int64_t block = u->blocks[smaller(t, u->length - 1) / BLOCK];
    return (block * h->keys + u->kv) * h->dim * BLOCK;
}

// Attend to up to SPAN keys from `t` on.
static void attend_span(struct unit *u, const uint16_t *query, int64_t t, int64_t here) {
    const struct attention *a = u->a;
    const struct layer *layer = a->layer;
    const int64_t dim = layer->heads.dim, share = sharing(&layer->heads);
    const int64_t count = ceiling(here, BLOCK);
    uint16_t weights[TILE * SPAN] __attribute__((aligned(64)));
    float scores[TILE * SPAN] __attribute__((aligned(64)));
    const uint16_t *keys[SPAN / TILE], *values[SPAN / BLOCK];
    for (int64_t k = 0; k < ceiling(here, 64) * 64; k += TILE)
        keys[k / TILE] = layer->keys + block_at(u, t + k) + k % BLOCK * 2;
    for (int64_t b = 0; b < count; b++) {
        values[b] = layer->values + block_at(u, t + b * BLOCK);
        if (u->end - u->first > 1) continue;  // many rows find them in the cache
        ask_for(values[b], 2 * dim * BLOCK);
        if (t + SPAN + b * BLOCK < u->length)
            ask_for(layer->keys + block_at(u, t + SPAN + b * BLOCK), 2 * dim * BLOCK);
    }
    for (int64_t k = 0; k < here; k += 64)
        score_keys(query, keys + k / TILE, scores + k, dim, u->queries);
    const float cap = a->model->softcap, scale = (cap ? 1 : a->model->scale) * LOG2_E;
    for (int64_t q = 0; q < u->queries; q++) {
        if (cap) bend_scores(scores + q * SPAN, count * BLOCK, a->model->scale, cap);
        const int64_t seen = a->step->positions[u->first + q / share] + 1 - t;
        const float shrink = weigh_scores(
            scores + q * SPAN, weights + q * SPAN, layer->window ? larger(0, seen - layer->window) : 0,
            smaller(seen, here), count * BLOCK, scale, u->top + q, u->total + q);
        for (int64_t d = 0; t && d < dim; d += 16) {
            float *sum = u->sums + q * dim + d;
            v_store(sum, v_mul(v_load(sum), v_all(shrink)));
        }
    }
    for (int64_t d = 0; d < dim; d += 32)
        weigh_values(weights, values, count, u->sums, d, dim, u->queries);
}

static void write_unit(const struct unit *u) {
    const struct model *m = u->a->model;
    const struct heads *h = &u->a->layer->heads;
    const float *sinks = u->a->layer->sinks;
    const int64_t dim = h->dim, share = sharing(h), groups = h->outputs / GROUP;
    const float scale = (m->softcap ? 1 : m->scale) * LOG2_E;
    for (int64_t q = 0; q < u->queries; q++) {
        const int64_t row = u->first + q / share, head = u->kv * share + q % share;
        const float sink = sinks ? exp2f(sinks[head] * LOG2_E - u->top[q] * scale) : 0;
        const floats divisor = v_all(1.0f / (u->total[q] + sink));
        const float *gates = u->a->qkv + ((row + 1) * row_heads(h) - h->count) * dim;
        for (int64_t j = 0; j < groups; j++) {
            const float *sum = u->sums + q * dim + j * GROUP;
            floats half[2] = {v_mul(v_load(sum), divisor), v_mul(v_load(sum + 16), divisor)};
            const float *gate = gates + head * dim + j * GROUP;
            for (int i = 0; h->gated && i < 2; i++)
                half[i] = times_sigmoid(half[i], v_load(gate + 16 * i));
            write_group(&u->a->out, row, head * groups + j, h->count * groups, half[0], half[1]);
        }
    }
}

// The sums [queries][dim], tops and totals [queries] of each part are kept until all parts are done.
static inline float *part_at(const struct unit *u, int64_t index, int64_t part) {
    return u->a->partial + (index * u->a->parts + part) * TILE * (u->a->layer->heads.dim + 2);
}

static void keep_part(const struct unit *u, float *kept) {
    const int64_t values = u->queries * u->a->layer->heads.dim;
    memcpy(kept, u->sums, values * sizeof *kept);
    memcpy(kept + values, u->top, u->queries * sizeof *kept);
    memcpy(kept + values + u->queries, u->total, u->queries * sizeof *kept);
}

static void attend_part(const void *job, int64_t chunk) {
    const struct attention *a = job;
    const int64_t in_parts = a->few_units * a->layer->heads.keys * a->parts;
    const int64_t parts = chunk < in_parts ? a->parts : 1;
    const int64_t index = chunk < in_parts ? chunk / parts : chunk - in_parts + in_parts / a->parts;
    const int64_t part = chunk % parts;
    struct unit u;
    begin_unit(&u, a, index);
    const int64_t start = part * PART, to = parts > 1 ? smaller(u.length, start + PART) : u.length;
    if (start >= to) return;
    // Spans begin at multiples of SPAN, whichever rows share the unit: sums depend on their order.
    const int64_t from = larger(start, u.begin / SPAN * SPAN);
    for (int64_t t = from; u.end - u.first == 1 && t < smaller(to, from + SPAN); t += BLOCK)
        ask_for(a->layer->keys + block_at(&u, t), 2 * a->layer->heads.dim * BLOCK);
    uint16_t query[MOST_DIM / GROUP * TILE_VALUES] __attribute__((aligned(64)));
    turn_queries(&u, query);
    begin_tiles();
    for (int64_t t = from; t < to; t += SPAN) attend_span(&u, query, t, smaller(to - t, SPAN));
    end_tiles();
    if (parts > 1)
        keep_part(&u, part_at(&u, index, part));
    else
        write_unit(&u);
}

// Join the parts of a unit, each with its share of the total.
static void join_parts(const void *job, int64_t index) {
    const struct attention *a = job;
    const int64_t dim = a->layer->heads.dim;
    const float scale = (a->model->softcap ? 1 : a->model->scale) * LOG2_E;
    struct unit u;
    begin_unit(&u, a, index);
    for (int64_t part = 0; part < ceiling(u.length, PART); part++) {
        const float *sums = part_at(&u, index, part);
        const float *tops = sums + u.queries * dim, *totals = tops + u.queries;
        for (int64_t q = 0; q < u.queries; q++) {
            // A row can see nothing of the last part.
            if (!totals[q]) continue;
            const float top = fmaxf(u.top[q], tops[q]);
            const float old = exp2f((u.top[q] - top) * scale), more = exp2f((tops[q] - top) * scale);
            u.total[q] = u.total[q] * old + totals[q] * more;
            u.top[q] = top;
            for (int64_t d = 0; d < dim; d++)
                u.sums[q * dim + d] = u.sums[q * dim + d] * old + sums[q * dim + d] * more;
        }
    }
    write_unit(&u);
}

// Cut the step's rows into units; returns how many there are.
static int64_t make_units(struct attention *a) {
    const struct step *s = a->step;
    const int64_t most = TILE / sharing(&a->layer->heads);
    int64_t count = 0;
    a->few_units = 0;
    for (int64_t r = 0; r < s->rows; r++) {
        if (!r || r == s->few || r - a->units[count - 1] == most || s->starts[r] != s->starts[r - 1])
            a->units[count++] = r;
        if (r < s->few) a->few_units = count;
    }
    a->units[count] = s->rows;
    return count;
}

static void run_attention(struct attention *a) {
    const int64_t units = make_units(a);
    run_chunks(store_chunk, a, ceiling(a->step->rows, rows_a_chunk(a->step->rows)));
    const int64_t heads = a->layer->heads.keys, few = a->few_units * heads;
    run_chunks(attend_part, a, few * a->parts + units * heads - few);
    if (few && a->parts > 1) run_chunks(join_parts, a, few);
}

#endif
