// Heads that remember values by keys. A row has queries and keys of the key heads and values of the value
// heads, which first go through a convolution, and gates of the outputs. The state is that of the
// convolution, then a memory of each value head, [key_dim][value_dim]. Rows go through a memory in the
// order of their sequence, and each column is apart from the others. `delta_net.h` and `mamba.h` say what
// a row changes.

#ifndef MEMORY_H
#define MEMORY_H

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

struct recalling;

// What one row does to a value head.
struct change {
    const float *query, *key;
    float *value;             // becomes the output
    float query_scale, key_scale, kept, moved, skip;
};

typedef struct change change_function(const struct recalling *, int64_t r, int64_t head);

// Change `count` vectors of columns, of a memory `from` with rows of `step` numbers, and store it `to`.
typedef void recall_function(
    const struct change *, int64_t keys, const float *from, int64_t from_step, float *to,
    int64_t to_step, int64_t column, int64_t count);

struct recalling {
    const struct model *model;
    const struct layer *layer;
    const struct step *step;
    float *rows;
    const float *rates;
    int64_t width;
    struct inputs out;
    change_function *read_change;
    recall_function *recall;
};

// The key head of a value head.
static inline int64_t key_head_of(const struct model *m, int64_t head) {
    return m->grouped ? head / (m->value_heads / m->key_heads) : head % m->key_heads;
}

static inline float softplus(float x) { return x > 20 ? x : log1pf(expf(x)); }

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
        const struct change change = c->read_change(c, r, head);
        c->recall(&change, m->key_dim, from, from_step, to, to_step, column, columns / 16);
    }
}

static inline int64_t columns_of(const struct model *m) {
    if (m->value_dim % GROUP) return GROUP / 2;
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

// The rows' outputs, in place of their values, which `write` gates and writes to room->attended. Each span is
// one chunk for each head and its columns.
static void run_memories(
    const struct model *m, const struct layer *layer, const struct step *step, const struct room *room,
    change_function *read_change, recall_function *recall, chunk_function *write) {
    const int64_t width = m->channels + m->value_heads * m->value_dim, rows = step->rows;
    const struct convolving before = {m, layer, step, room->qkv, width, 0, room->attended};
    const struct recalling job = {
        m, layer, step, room->qkv, room->rates, width, room->attended, read_change, recall};
    run_slices(convolve_in_place_chunk, &before);
    run_chunks(recall_chunk, &job, step->spans * m->value_heads * (m->value_dim / columns_of(m)));
    run_chunks(write, &job, ceiling(rows, rows_a_chunk(rows)));
}

#endif
