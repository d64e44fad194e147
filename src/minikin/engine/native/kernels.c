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
#include "own_input.h"
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

struct finishing {
    const struct model *model;
    const struct layer *layer;
    const int64_t *positions;
    float *qkv;
    int64_t rows;
};

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
    const struct finishing *f = job;
    const struct layer *layer = f->layer;
    const struct heads *h = &layer->heads;
    const float epsilon = f->model->epsilon;
    const int64_t dim = h->dim, half = dim / 2, size = rows_a_chunk(f->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, f->rows); r++) {
        float *row = f->qkv + r * row_heads(h) * dim, *keys = row + h->count * dim;
        float *values = keys + h->stored * dim;
        if (layer->wide_norms) {
            norm_in_place(row, layer->query_norm, h->count * dim, epsilon);
            norm_in_place(keys, layer->key_norm, h->keys * dim, epsilon);
            continue;
        }
        for (float *head = row; head < values; head += dim) {
            const int64_t angle = f->positions[r] * half;
            if (layer->early_cosine)
                rotate_head(head, layer->early_cosine + angle, layer->early_sine + angle, half);
            norm_in_place(head, head < keys ? layer->query_norm : layer->key_norm, dim, epsilon);
        }
        for (int64_t i = 0; layer->value_norm && i < h->stored; i++)
            norm_in_place(values + i * dim, layer->value_norm, dim, epsilon);
    }
}

// Norms of queries, keys and values, in place, for layers that have some.
static void finish_heads(
    const struct model *model, const struct layer *layer, const int64_t *positions, float *qkv,
    int64_t rows) {
    if (!layer->query_norm) return;
    const struct finishing job = {model, layer, positions, qkv, rows};
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

struct scaling {
    float *x, factor;
    int64_t width;
};

static void scale_row(const void *job, int64_t r) {
    const struct scaling *s = job;
    for (float *x = s->x + r * s->width; x < s->x + (r + 1) * s->width; x += 16)
        v_store(x, v_mul(v_load(x), v_all(s->factor)));
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
    int64_t longest = 1;
    for (int64_t r = 0; r < step->few; r++) longest = larger(longest, step->positions[r] + 1);
    const int64_t parts = ceiling(longest, PART);
    for (const struct layer *layer = layers; layer < layers + count; layer++) {
        if (layer->keys || layer->convolution)
            begin_half(x, layer->attention_norm, &room->normed, rows, hidden, epsilon);
        if (layer->keys) {
            float *made = layer->latent.norm ? room->compressed : room->qkv;
            packed_matmul(&layer->qkv, &room->normed, made, rows, STORE);
            if (layer->latent.norm) run_latent(model, layer, room, rows);
            finish_heads(model, layer, step->positions, room->qkv, rows);
            run_attention(&(struct attention){
                model, layer, step, room->qkv, room->attended, room->units, 0, parts, room->partial});
            add_part(
                &layer->output, &room->attended, layer->attention_post_norm, room, x, rows, epsilon);
        }
        if (layer->convolution) {
            run_recurrence(model, layer, step, room);
            add_part(
                &layer->returned, &room->attended, layer->attention_post_norm, room, x, rows, epsilon);
        }
        if (layer->mixture.count || layer->down.outputs)
            begin_half(x, layer->feed_forward_norm, &room->normed, rows, hidden, epsilon);
        if (layer->mixture.count) {
            (layer->mixture_norm ? add_beside : add_mixture)(model, layer, room, x, rows);
        } else if (layer->down.outputs) {
            const struct inputs gated = run_gated(&layer->gate_up, room, rows, model->activation);
            add_part(&layer->down, &gated, layer->feed_forward_post_norm, room, x, rows, epsilon);
        }
        if (layer->input_norm) {
            write_rows(x, &room->normed, rows, hidden);
            const struct inputs own = run_own_input(model, layer, room, rows);
            add_part(&layer->input_output, &own, layer->input_norm, room, x, rows, epsilon);
        }
        const struct scaling scaling = {x, layer->scale, hidden};
        if (layer->scale != 1) run_chunks(scale_row, &scaling, rows);
    }
}
