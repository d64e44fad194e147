// Mamba 2 (Dao and Gu 2024): a row adds its value to what a memory has at its key. In Mamba's words, queries
// are C, keys are B, values are x, key heads are groups, and the size of a step is dt.

#ifndef MAMBA_H
#define MAMBA_H

#include "memory.h"

static struct change mamba_change(const struct recalling *c, int64_t r, int64_t head) {
    const struct model *m = c->model;
    const int64_t keys = m->key_heads * m->key_dim;
    float *row = c->rows + r * c->width;
    const float *query = row + key_head_of(m, head) * m->key_dim;
    const float size = softplus(c->rates[r * c->layer->rates.outputs + head] + c->layer->offset[head]);
    return (struct change){
        query, query + keys, row + 2 * keys + head * m->value_dim, .kept = expf(c->layer->fading[head] * size),
        .moved = size, .skip = c->layer->skip[head]};
}

static inline __attribute__((always_inline)) void add_row(
    const struct change *c, int64_t keys, const float *from, int64_t from_step, float *to,
    int64_t to_step, int64_t column, const int count) {
    const floats kept = v_all(c->kept), moved = v_all(c->moved), skip = v_all(c->skip);
    floats added[4], found[4];
    for (int j = 0; j < count; j++) {
        const floats value = v_load(c->value + column + 16 * j);
        added[j] = v_mul(value, moved);
        found[j] = v_mul(value, skip);
    }
    for (int64_t i = 0; i < keys; i++) {
        const floats key = v_all(c->key[i]), query = v_all(c->query[i]);
        for (int j = 0; j < count; j++) {
            const floats old = v_mul(kept, v_load(from + i * from_step + 16 * j));
            const floats memory = v_mul_add(key, added[j], old);
            v_store(to + i * to_step + 16 * j, memory);
            found[j] = v_mul_add(query, memory, found[j]);
        }
    }
    for (int j = 0; j < count; j++) v_store(c->value + column + 16 * j, found[j]);
}

static void add_columns(
    const struct change *c, int64_t keys, const float *from, int64_t from_step, float *to,
    int64_t to_step, int64_t column, int64_t count) {
    if (count == 4)
        add_row(c, keys, from, from_step, to, to_step, column, 4);
    else if (count == 2)
        add_row(c, keys, from, from_step, to, to_step, column, 2);
    else
        add_row(c, keys, from, from_step, to, to_step, column, 1);
}

// The outputs of a key head times SiLU of their gates, then their norm if there is one.
static void write_gated(const struct recalling *c, int64_t r, int64_t key_head) {
    const struct model *m = c->model;
    const int64_t outputs = m->value_heads * m->value_dim, size = outputs / m->key_heads;
    float *found = c->rows + r * c->width + m->channels - outputs;
    const float *gates = found + outputs, *weight = c->layer->output_norm;
    const int64_t first = key_head * size;
    for (int64_t i = first; i < first + size; i += 16) {
        const floats gate = v_load(gates + i);
        v_store(found + i, times_sigmoid(v_mul(v_load(found + i), gate), gate));
    }
    const floats scale = weight ? norm_scale(found + first, size, m->plain_epsilon) : v_all(1);
    for (int64_t i = first; i < first + size; i += GROUP) {
        floats half[2];
        for (int j = 0; j < 2; j++) {
            const int64_t at = i + 16 * j;
            half[j] = v_load(found + at);
            if (weight) half[j] = v_mul(v_mul(half[j], scale), v_load(weight + at));
        }
        write_group(&c->out, r, i / GROUP, outputs / GROUP, half[0], half[1]);
    }
}

static void write_gated_chunk(const void *job, int64_t chunk) {
    const struct recalling *c = job;
    const int64_t size = rows_a_chunk(c->step->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, c->step->rows); r++)
        for (int64_t i = 0; i < c->model->key_heads; i++) write_gated(c, r, i);
}

static void run_mamba(
    const struct model *m, const struct layer *layer, const struct step *step,
    const struct room *room) {
    run_memories(m, layer, step, room, mamba_change, add_columns, write_gated_chunk);
}

#endif
