// The kernels of a decoder's layers for CPUs with AVX-512 VNNI and BF16, and AMX where there is some.
//
// bf16 is uint16_t here. Every function is called with sizes that its Python wrapper has checked.

#define _GNU_SOURCE
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "workers.h"

#include "inputs.h"

#include "tiles.h"

#include "matmul.h"

#include "attention.h"

#include "sampling.h"

// Ask the system for the right to use tile registers; 0 if they are there.
int use_tiles(void) {
#ifdef __AMX_BF16__
    return (int)syscall(SYS_arch_prctl, 0x1023, 18);
#else
    return -1;
#endif
}

struct norm {
    const float *x, *weight;
    struct inputs out;
    int64_t rows, width;
    float epsilon;
};

static void norm_chunk(const void *job, int64_t chunk) {
    const struct norm *n = job;
    const int64_t groups = n->width / GROUP, size = rows_a_chunk(n->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, n->rows); r++) {
        const float *row = n->x + r * n->width;
        __m512 squares = _mm512_setzero_ps();
        for (int64_t i = 0; i < n->width; i += 16) {
            const __m512 v = _mm512_loadu_ps(row + i);
            squares = _mm512_fmadd_ps(v, v, squares);
        }
        const float mean = _mm512_reduce_add_ps(squares) / n->width;
        const __m512 scale = _mm512_set1_ps(1.0f / sqrtf(mean + n->epsilon));
        for (int64_t g = 0; g < groups; g++) {
            __m512 half[2];
            for (int i = 0; i < 2; i++) {
                const int64_t at = g * GROUP + 16 * i;
                half[i] = _mm512_mul_ps(_mm512_loadu_ps(row + at), scale);
                half[i] = _mm512_mul_ps(half[i], _mm512_loadu_ps(n->weight + at));
            }
            write_group(&n->out, r, g, groups, half[0], half[1]);
        }
    }
}

// out = x / rms(x) * weight (Zhang and Sennrich 2019). x is [rows, width].
void rms_norm(
    const float *x, const float *weight, const struct inputs *out, int64_t rows, int64_t width,
    float epsilon) {
    const struct norm job = {x, weight, *out, rows, width, epsilon};
    run_chunks(norm_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

struct writing {
    const float *x;
    struct inputs out;
    int64_t width;
};

static void write_row(const void *job, int64_t r) {
    const struct writing *w = job;
    for (int64_t g = 0; g < w->width / GROUP; g++) {
        const float *group = w->x + r * w->width + g * GROUP;
        write_group(
            &w->out, r, g, w->width / GROUP, _mm512_loadu_ps(group), _mm512_loadu_ps(group + 16));
    }
}

// out = x [rows, width].
void write_rows(const float *x, const struct inputs *out, int64_t rows, int64_t width) {
    const struct writing job = {x, *out, width};
    run_chunks(write_row, &job, rows);
}

struct gating {
    const float *gate_up;
    struct inputs out;
    int64_t rows, width;
};

static void gate_chunk(const void *job, int64_t chunk) {
    const struct gating *s = job;
    const int64_t groups = s->width / GROUP, size = rows_a_chunk(s->rows);
    for (int64_t r = chunk * size; r < smaller((chunk + 1) * size, s->rows); r++)
        for (int64_t g = 0; g < groups; g++) {
            const float *four = s->gate_up + (r * groups + g) * 4 * PANEL;
            const __m512 a = silu(_mm512_loadu_ps(four)), b = silu(_mm512_loadu_ps(four + 32));
            write_group(
                &s->out, r, g, groups, _mm512_mul_ps(a, _mm512_loadu_ps(four + 16)),
                _mm512_mul_ps(b, _mm512_loadu_ps(four + 48)));
        }
}

// One decoder layer.
struct layer {
    const float *attention_norm, *feed_forward_norm;
    struct matrix qkv, output, gate_up, down;
    uint16_t *keys, *values;  // of the cache
};

// What a step writes between its matrices.
struct room {
    struct inputs normed, attended, gated;
    float *qkv, *gate_up, *partial;
    int32_t *units;
};

// out = silu(gate) * up of x times the matrix, whose panels are gates and ups in turn.
static void run_gated(const struct matrix *weight, const struct room *room, int64_t rows) {
    if (room->normed.tiled) {
        run_matmul((struct matmul){
            .weight = *weight, .x = room->normed, .gated = room->gated, .rows = rows, .mode = GATE});
        return;
    }
    packed_matmul(weight, &room->normed, room->gate_up, rows, STORE);
    const struct gating job = {room->gate_up, room->gated, rows, weight->outputs / 2};
    run_chunks(gate_chunk, &job, ceiling(rows, rows_a_chunk(rows)));
}

// All layers, in place on x [rows, hidden].
void run_layers(
    const struct model *model, const struct layer *layers, int64_t count, const struct step *step,
    const struct room *room, float *x) {
    const int64_t rows = step->rows, hidden = model->hidden;
    const int64_t units = make_units(model, step, room->units);
    int64_t longest = 0;
    for (int64_t r = 0; r < rows; r++) longest = larger(longest, step->positions[r] + 1);
    const int64_t parts = room->attended.tiled ? 1 : ceiling(longest, PART);
    for (const struct layer *layer = layers; layer < layers + count; layer++) {
        rms_norm(x, layer->attention_norm, &room->normed, rows, hidden, model->epsilon);
        packed_matmul(&layer->qkv, &room->normed, room->qkv, rows, STORE);
        const struct attention attention = {
            model, step, room->qkv, layer->keys, layer->values, room->attended, room->units,
            parts, room->partial};
        run_attention(&attention, units);
        packed_matmul(&layer->output, &room->attended, x, rows, ADD);
        rms_norm(x, layer->feed_forward_norm, &room->normed, rows, hidden, model->epsilon);
        run_gated(&layer->gate_up, room, rows);
        packed_matmul(&layer->down, &room->gated, x, rows, ADD);
    }
}
