// Gated delta nets (Yang et al. 2024). A row has queries and keys of the key heads and values of the value
// heads, which first go through a convolution, and gates of the outputs. The state is that of the
// convolution, then a memory of each value head, [key_dim][value_dim]. Rows go through a memory in the
// order of their sequence, and each column is apart from the others.

#ifndef DELTA_NET_H
#define DELTA_NET_H

#include "convolution.h"
#include "norms.h"

enum { MOST_COLUMNS = 64 };  // of a memory in a chunk

// Convolve in place, and SiLU. The last row is first, because a row needs those before it.
static void convolve_in_place(
    const struct convolving *c, const struct stretch *s, int64_t from, int64_t to) {
    for (int64_t r = s->stop - 1; r >= s->start; r--)
        for (int64_t i = from; i < to; i += 16) {
            const floats sum = summed(c, s, r, i);
            v_store(c->rows + r * c->width + c->first + i, times_sigmoid(sum, sum));
        }
}

static void convolve_in_place_chunk(const void *job, int64_t chunk) {
    const struct convolving *c = job;
    const int64_t slices = ceiling(c->model->channels, SLICE * GROUP);
    const int64_t *chain = c->step->chains + chunk / slices;
    const int64_t from = chunk % slices * SLICE * GROUP;
    const int64_t to = smaller(from + SLICE * GROUP, c->model->channels);
    const struct stretch *stretches = c->step->stretches;
    // States have the values before the convolution.
    for (int64_t i = chain[0]; i < chain[1]; i++)
        if (stretches[i].target >= 0) store_state(c, stretches + i, from, to);
    for (int64_t i = chain[0]; i < chain[1]; i++) convolve_in_place(c, stretches + i, from, to);
}

struct recalling {
    const struct model *model;
    const struct layer *layer;
    const struct step *step;
    float *rows;
    const float *rates;
    int64_t width;
    struct inputs out;
};

// What one row does to a value head.
struct change {
    const float *query, *key;
    float *value;             // becomes the output
    float query_scale, key_scale, kept, moved;
};

static inline float inverse_length(const float *x, int64_t size) {
    floats squares = v_all(0);
    for (int64_t i = 0; i < size; i += 16) squares = v_mul_add(v_load(x + i), v_load(x + i), squares);
    return 1.0f / sqrtf(v_sum(squares) + 1e-6f);
}

static inline struct change read_change(const struct recalling *c, int64_t r, int64_t head) {
    const struct model *m = c->model;
    const int64_t dim = m->key_dim, keys = m->key_heads * dim;
    const int64_t own = m->grouped ? head / (m->value_heads / m->key_heads) : head % m->key_heads;
    float *row = c->rows + r * c->width;
    const float *rates = c->rates + r * c->layer->rates.outputs;
    const float rate = rates[head] + c->layer->offset[head];
    const float softplus = rate > 20 ? rate : log1pf(expf(rate));
    const float *query = row + own * dim, *key = query + keys;
    return (struct change){
        query, key, row + 2 * keys + head * m->value_dim,
        inverse_length(query, dim) / sqrtf(dim), inverse_length(key, dim),
        expf(c->layer->fading[head] * softplus), 1.0f / (1.0f + expf(-rates[m->value_heads + head]))};
}

// Change `count` vectors of columns, of a memory `from` with rows of `step` numbers, and store it `to`.
static inline __attribute__((always_inline)) void recall_row(
    const struct change *c, int64_t keys, const float *from, int64_t from_step, float *to,
    int64_t to_step, int64_t column, const int count) {
    floats known[4], found[4];
    for (int j = 0; j < count; j++) known[j] = found[j] = v_all(0);
    for (int64_t i = 0; i < keys; i++) {
        const floats key = v_all(c->key[i] * c->key_scale);
        for (int j = 0; j < count; j++)
            known[j] = v_mul_add(key, v_load(from + i * from_step + 16 * j), known[j]);
    }
    const floats kept = v_all(c->kept), moved = v_all(c->moved);
    for (int j = 0; j < count; j++) {
        const floats value = v_load(c->value + column + 16 * j);
        known[j] = v_mul(v_sub_mul(value, kept, known[j]), moved);
    }
    for (int64_t i = 0; i < keys; i++) {
        const floats key = v_all(c->key[i] * c->key_scale), query = v_all(c->query[i] * c->query_scale);
        for (int j = 0; j < count; j++) {
            const floats old = v_mul(kept, v_load(from + i * from_step + 16 * j));
            const floats memory = v_mul_add(key, known[j], old);
            v_store(to + i * to_step + 16 * j, memory);
            found[j] = v_mul_add(query, memory, found[j]);
        }
    }
    for (int j = 0; j < count; j++) v_store(c->value + column + 16 * j, found[j]);
}

// One head and some columns of its memory, for the rows of one stretch.
static void recall_stretch(
    const struct recalling *c, const struct stretch *s, int64_t head, int64_t column, int64_t columns) {
    const struct model *m = c->model;
    const int64_t dim = m->value_dim;
    const int64_t at = (m->taps - 1) * m->channels + head * m->key_dim * dim + column;
    float unkept[MOST_KEYS * MOST_COLUMNS] __attribute__((aligned(64)));
    const float *from = c->layer->states + s->source * m->state_size + at;
    float *to = s->target < 0 ? unkept : c->layer->states + s->target * m->state_size + at;
    int64_t from_step = dim;
    const int64_t to_step = s->target < 0 ? columns : dim;
    for (int64_t r = s->start; r < s->stop; r++, from = to, from_step = to_step) {
        const struct change change = read_change(c, r, head);
        if (columns == MOST_COLUMNS)
            recall_row(&change, m->key_dim, from, from_step, to, to_step, column, 4);
        else
            recall_row(&change, m->key_dim, from, from_step, to, to_step, column, 2);
    }
}

static inline int64_t columns_of(const struct model *m) {
    return m->value_dim % MOST_COLUMNS ? GROUP : MOST_COLUMNS;
}

static void recall_chunk(const void *job, int64_t chunk) {
    const struct recalling *c = job;
    const int64_t columns = columns_of(c->model), parts = c->model->value_dim / columns;
    const int64_t head = chunk / parts % c->model->value_heads;
    const int64_t *chain = c->step->chains + chunk / parts / c->model->value_heads;
    for (int64_t i = chain[0]; i < chain[1]; i++)
        recall_stretch(c, c->step->stretches + i, head, chunk % parts * columns, columns);
}

// The norm of each head's output, times SiLU of its gates.
static void gate_outputs_chunk(const void *job, int64_t chunk) {
    const struct recalling *c = job;
    const struct model *m = c->model;
    const int64_t dim = m->value_dim, groups = dim / GROUP, size = rows_a_chunk(c->step->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, c->step->rows); r++)
        for (int64_t i = 0; i < m->value_heads * groups; i++) {
            const float *gates = c->rows + r * c->width + m->channels;
            const float *found = gates - m->value_heads * dim + i / groups * dim;
            const floats scale = norm_scale(found, dim, m->epsilon);
            floats half[2];
            for (int j = 0; j < 2; j++) {
                const int64_t at = i % groups * GROUP + 16 * j;
                const floats gate = v_load(gates + i * GROUP + 16 * j);
                const floats weight = v_mul(v_load(c->layer->output_norm + at), scale);
                half[j] = v_mul(v_mul(v_load(found + at), weight), times_sigmoid(gate, gate));
            }
            write_group(&c->out, r, i, m->value_heads * groups, half[0], half[1]);
        }
}

static void run_delta_net(
    const struct model *m, const struct layer *layer, const struct step *step,
    const struct room *room) {
    const int64_t width = m->channels + m->value_heads * m->value_dim, rows = step->rows;
    const struct convolving before = {m, layer, step, room->qkv, width, 0, room->attended};
    run_slices(convolve_in_place_chunk, &before);
    const struct recalling job = {m, layer, step, room->qkv, room->rates, width, room->attended};
    run_chunks(recall_chunk, &job, step->spans * m->value_heads * (m->value_dim / columns_of(m)));
    run_chunks(gate_outputs_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

#endif
