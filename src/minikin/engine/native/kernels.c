// The kernels of a decoder's layers.
//
// The Python wrappers check all sizes.

#include "attention.h"
#include "convolution.h"
#include "delta_net.h"
#include "latent.h"
#include "mamba.h"
#include "matmul.h"
#include "mixture.h"
#include "ranking.h"
#include "regroup.h"

// The instruction set of these kernels, or NULL if the system does not allow its tile registers.
const char *instructions(void) { return tiles_are_allowed() ? INSTRUCTIONS : NULL; }

// Whether products of many rows take bfloat16 tiles.
int takes_tiles(void) { return TAKES_TILES; }

// The numbers that Python compares with its own.
const struct term *contract(void) { return terms; }

struct writing {
    const float *x;
    struct inputs out;
    int64_t width;
};

static void write_row(const void *job, int64_t r) {
    const struct writing *w = job;
    for (int64_t g = 0; g < w->width / GROUP; g++) {
        const float *group = w->x + r * w->width + g * GROUP;
        write_group(&w->out, r, g, w->width / GROUP, v_load(group), v_load(group + 16));
    }
}

// out = x [rows, width].
void write_rows(const float *x, const struct inputs *out, int64_t rows, int64_t width) {
    const struct writing job = {x, *out, width};
    run_chunks(write_row, &job, rows);
}

// out [rows, width] = the first rows, which are integers.
void read_rows(const struct inputs *x, int64_t rows, int64_t width, float *out) {
    const int64_t groups = width / GROUP;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t g = 0; g < groups; g++) read_group(x, r, g, groups, out + r * width + g * GROUP);
}

struct heads {
    const struct model *model;
    const struct layer *layer;
    const int64_t *positions;
    float *qkv;
    int64_t rows;
};

static inline void norm_head(float *x, const float *weight, int64_t dim, float epsilon) {
    const floats scale = norm_scale(x, dim, epsilon);
    for (int64_t i = 0; i < dim; i += 16)
        v_store(x + i, v_mul(v_mul(v_load(x + i), scale), v_load(weight + i)));
}

// Rotate each pair (i, i + dim / 2) in place.
static inline void rotate_head(float *x, const float *cosine, const float *sine, int64_t half) {
    for (int64_t i = 0; i < half; i += 16) {
        const floats left = v_load(x + i), right = v_load(x + half + i);
        const floats c = v_load(cosine + i), n = v_load(sine + i);
        v_store(x + i, v_mul_sub(left, c, v_mul(right, n)));
        v_store(x + half + i, v_mul_add(right, c, v_mul(left, n)));
    }
}

static void heads_chunk(const void *job, int64_t chunk) {
    const struct heads *h = job;
    const struct model *m = h->model;
    const struct layer *layer = h->layer;
    const int64_t count = row_heads(m), size = rows_a_chunk(h->rows);
    const int64_t half = m->dim / 2;
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, h->rows); r++) {
        float *row = h->qkv + r * count * m->dim, *keys = row + m->heads * m->dim;
        if (layer->wide_norms) {
            norm_head(row, layer->query_norm, m->heads * m->dim, m->epsilon);
            norm_head(keys, layer->key_norm, m->kv_heads * m->dim, m->epsilon);
            continue;
        }
        for (int64_t i = 0; i < m->heads + m->kv_heads; i++) {
            float *head = row + i * m->dim;
            const int64_t angle = h->positions[r] * half;
            if (layer->early_cosine)
                rotate_head(head, layer->early_cosine + angle, layer->early_sine + angle, half);
            norm_head(head, head < keys ? layer->query_norm : layer->key_norm, m->dim, m->epsilon);
        }
    }
}

// Norms of queries and keys, in place, for layers that have some.
static void finish_heads(
    const struct model *model, const struct layer *layer, const int64_t *positions, float *qkv,
    int64_t rows) {
    if (!layer->query_norm) return;
    const struct heads job = {model, layer, positions, qkv, rows};
    run_chunks(heads_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

// x += in times the matrix, by its norm if there is one.
static void add_part(
    const struct matrix *weight, const struct inputs *in, const float *norm,
    const struct room *room, float *x, int64_t rows, float epsilon) {
    if (!norm) {
        packed_matmul(weight, in, x, rows, ADD);
        return;
    }
    packed_matmul(weight, in, room->added, rows, STORE);
    add_normed(room->added, norm, x, rows, weight->outputs, epsilon);
}

// The inputs of half a layer: x by its norm, or x itself if there is none.
static void begin_half(
    const float *x, const float *norm, const struct inputs *out, int64_t rows, int64_t hidden,
    float epsilon) {
    if (norm)
        rms_norm(x, norm, out, rows, hidden, epsilon);
    else
        write_rows(x, out, rows, hidden);
}

static void run_recurrence(
    const struct model *model, const struct layer *layer, const struct step *step,
    const struct room *room) {
    packed_matmul(&layer->inputs, &room->normed, room->qkv, step->rows, STORE);
    if (!layer->fading) {
        run_convolution(model, layer, step, room);
        return;
    }
    packed_matmul(&layer->rates, &room->normed, room->rates, step->rows, STORE);
    (layer->skip ? run_mamba : run_delta_net)(model, layer, step, room);
}

// All layers, in place on x [rows, hidden].
void run_layers(
    const struct model *model, const struct layer *layers, int64_t count, const struct step *step,
    const struct room *room, float *x) {
    const int64_t rows = step->rows, hidden = model->hidden;
    const float epsilon = model->epsilon;
    int64_t few_units, longest = 1;
    const int64_t units = make_units(model, step, room->units, &few_units);
    for (int64_t r = 0; r < step->few; r++) longest = larger(longest, step->positions[r] + 1);
    const int64_t parts = ceiling(longest, PART);
    for (const struct layer *layer = layers; layer < layers + count; layer++) {
        begin_half(x, layer->attention_norm, &room->normed, rows, hidden, epsilon);
        if (layer->keys) {
            float *made = layer->latent.norm ? room->compressed : room->qkv;
            packed_matmul(&layer->qkv, &room->normed, made, rows, STORE);
            if (layer->latent.norm) run_latent(model, &layer->latent, room, rows);
            finish_heads(model, layer, step->positions, room->qkv, rows);
            run_attention(
                &(struct attention){
                    model, step, room->qkv, layer->query_cosine, layer->query_sine, layer->cosine,
                    layer->sine, layer->sinks, layer->window, layer->keys, layer->values,
                    room->attended, room->units, few_units, parts, room->partial},
                units);
            add_part(
                &layer->output, &room->attended, layer->attention_post_norm, room, x, rows, epsilon);
        }
        if (layer->convolution) {
            run_recurrence(model, layer, step, room);
            add_part(
                &layer->returned, &room->attended, layer->attention_post_norm, room, x, rows, epsilon);
        }
        begin_half(x, layer->feed_forward_norm, &room->normed, rows, hidden, epsilon);
        if (layer->mixture.count) {
            add_mixture(model, layer, room, x, rows);
            continue;
        }
        const struct inputs gated = run_gated(&layer->gate_up, room, rows, model->activation);
        add_part(&layer->down, &gated, layer->feed_forward_post_norm, room, x, rows, epsilon);
    }
}
