// Gated delta nets (Yang et al. 2024): a row moves what a memory has at its key towards its value.

#ifndef DELTA_NET_H
#define DELTA_NET_H

#include "memory.h"

static inline float inverse_length(const float *x, int64_t size) {
    floats squares = v_all(0);
    for (int64_t i = 0; i < size; i += 16) squares = v_mul_add(v_load(x + i), v_load(x + i), squares);
    return 1.0f / sqrtf(v_sum(squares) + 1e-6f);
}

static struct change delta_change(const struct recalling *c, int64_t r, int64_t head) {
    const struct model *m = c->model;
    const int64_t dim = m->key_dim, keys = m->key_heads * dim;
    float *row = c->rows + r * c->width;
    const float *rates = c->rates + r * c->layer->rates.outputs;
    const float rate = rates[head] + c->layer->offset[head];
    const float *query = row + key_head_of(m, head) * dim, *key = query + keys;
    return (struct change){
        query, key, row + 2 * keys + head * m->value_dim,
        inverse_length(query, dim) / sqrtf(dim), inverse_length(key, dim),
        expf(c->layer->fading[head] * softplus(rate)), 1.0f / (1.0f + expf(-rates[m->value_heads + head]))};
}

static inline __attribute__((always_inline)) void move_row(
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

static void move_columns(
    const struct change *c, int64_t keys, const float *from, int64_t from_step, float *to,
    int64_t to_step, int64_t column, int64_t count) {
    if (count == 4)
        move_row(c, keys, from, from_step, to, to_step, column, 4);
    else
        move_row(c, keys, from, from_step, to, to_step, column, 2);
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
            const floats scale = norm_scale(found, dim, m->plain_epsilon);
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
    run_memories(m, layer, step, room, delta_change, move_columns, gate_outputs_chunk);
}

#endif
