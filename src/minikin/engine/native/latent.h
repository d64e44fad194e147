// Latent attention: each head makes its keys and values from one vector (DeepSeek-AI 2024, DeepSeek-V2).
//
// A row's product with the layer's first matrix is its queries, or a vector that they are made from,
// then the latent vector, then the part of keys that rotates. In both halves of a head, the rotated
// part comes first.

#ifndef LATENT_H
#define LATENT_H

#include "attention.h"
#include "matmul.h"
#include "norms.h"

struct heads_of_latent {
    const struct model *model;
    const struct heads *heads;
    const float *queries, *rotated, *keys, *values;  // of the first row
    int64_t query_stride, rotated_stride;
    float *qkv;
};

static void join_row(const void *job, int64_t r) {
    const struct heads_of_latent *l = job;
    const int64_t heads = l->heads->count, dim = l->heads->dim, outputs = l->heads->outputs;
    const int64_t half = dim / 2, turning = l->model->rotated / 2, kept = half - turning;
    float *row = l->qkv + r * row_heads(l->heads) * dim;
    memcpy(row, l->queries + r * l->query_stride, heads * dim * sizeof *row);
    const float *rotated = l->rotated + r * l->rotated_stride;
    const float *keys = l->keys + r * heads * 2 * kept, *values = l->values + r * heads * outputs;
    for (int64_t h = 0; h < heads; h++) {
        float *key = row + (heads + h) * dim, *value = key + heads * dim;
        for (int i = 0; i < 2; i++) {
            memcpy(key + i * half, rotated + i * turning, turning * sizeof *key);
            memcpy(key + i * half + turning, keys + (2 * h + i) * kept, kept * sizeof *key);
        }
        memcpy(value, values + h * outputs, outputs * sizeof *value);
        memset(value + outputs, 0, (dim - outputs) * sizeof *value);
    }
}

// room->qkv: the heads of all rows, from room->compressed.
static void run_latent(
    const struct model *m, const struct layer *layer, const struct room *room, int64_t rows) {
    const struct latent *latent = &layer->latent;
    const int64_t heads = layer->heads.count, dim = layer->heads.dim;
    const int64_t queries = latent->query_norm ? m->query_rank : heads * dim;
    const int64_t stride = queries + m->rank + m->rotated;
    const float *vectors = room->compressed + queries;
    float *made = room->expanded, *keys = made + rows * heads * dim;
    float *values = keys + rows * heads * (dim - m->rotated);
    if (latent->query_norm) {
        norm_part(
            room->compressed, stride, latent->query_norm, &room->latent, rows, m->query_rank, m->epsilon);
        packed_matmul(&latent->queries, &room->latent, made, rows, STORE);
    }
    norm_part(vectors, stride, latent->norm, &room->latent, rows, m->rank, m->epsilon);
    packed_matmul(&latent->keys, &room->latent, keys, rows, STORE);
    packed_matmul(&latent->values, &room->latent, values, rows, STORE);
    const struct heads_of_latent job = {
        m, &layer->heads, latent->query_norm ? made : room->compressed, vectors + m->rank, keys, values,
        latent->query_norm ? heads * dim : stride, stride, room->qkv};
    run_chunks(join_row, &job, rows);
}

#endif
