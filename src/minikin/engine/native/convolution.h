// Short convolutions: each channel is a sum of its last tokens. In LFM2 it is between two gates: a row has
// gates before, gates after and values. The state is the last taps - 1 values of each channel, [taps - 1][channels], the oldest first. Rows are in the order
// of their sequence, so that their result does not depend on the stretches or on other rows.

#ifndef CONVOLUTION_H
#define CONVOLUTION_H

#include "inputs.h"
#include "workers.h"

enum { SLICE = 8 };  // groups of channels of a chunk

struct convolving {
    const struct model *model;
    const struct layer *layer;
    const struct step *step;
    float *rows;  // [rows, width], each with its values from `first` on
    int64_t width, first;
    struct inputs out;
};

// The values of `channel` and those after it, `back` rows before row r: in the rows, or in the state.
static inline const float *value_at(
    const struct convolving *c, const struct stretch *s, int64_t r, int64_t back, int64_t channel) {
    const int64_t channels = c->model->channels, row = r - back;
    if (row >= s->start) return c->rows + row * c->width + c->first + channel;
    const float *state = c->layer->states + s->source * c->model->state_size;
    return state + (row - s->start + c->model->taps - 1) * channels + channel;
}

// values *= gates before
static void gate_values(const struct convolving *c, const struct stretch *s, int64_t from, int64_t to) {
    const int64_t channels = c->model->channels;
    for (int64_t r = s->start; r < s->stop; r++) {
        float *row = c->rows + 3 * r * channels, *values = row + 2 * channels;
        for (int64_t i = from; i < to; i += 16)
            v_store(values + i, v_mul(v_load(row + i), v_load(values + i)));
    }
}

static inline floats summed(
    const struct convolving *c, const struct stretch *s, int64_t r, int64_t channel) {
    const int64_t channels = c->model->channels, taps = c->model->taps;
    const float *bias = c->layer->convolution_bias;
    floats sum = bias ? v_load(bias + channel) : v_all(0);
    for (int64_t k = 0; k < taps; k++) {
        const float *factor = c->layer->convolution + k * channels + channel;
        sum = v_mul_add(v_load(factor), v_load(value_at(c, s, r, taps - 1 - k, channel)), sum);
    }
    return sum;
}

static inline floats convolved(
    const struct convolving *c, const struct stretch *s, int64_t r, int64_t channel) {
    const float *gate = c->rows + (3 * r + 1) * c->model->channels + channel;
    return v_mul(v_load(gate), summed(c, s, r, channel));
}

// The last values go to the target. It can be the source.
static void store_state(const struct convolving *c, const struct stretch *s, int64_t from, int64_t to) {
    float *state = c->layer->states + s->target * c->model->state_size;
    for (int64_t k = 0; k < c->model->taps - 1; k++) {
        const float *value = value_at(c, s, s->stop - 1, c->model->taps - 2 - k, from);
        memmove(state + k * c->model->channels + from, value, (to - from) * sizeof(float));
    }
}

static void convolve_stretch(
    const struct convolving *c, const struct stretch *s, int64_t from, int64_t to) {
    gate_values(c, s, from, to);
    for (int64_t r = s->start; r < s->stop; r++)
        for (int64_t i = from; i < to; i += GROUP)
            write_group(
                &c->out, r, i / GROUP, c->model->channels / GROUP, convolved(c, s, r, i),
                convolved(c, s, r, i + 16));
    if (s->target >= 0) store_state(c, s, from, to);
}

static void convolve_chunk(const void *job, int64_t chunk) {
    const struct convolving *c = job;
    const int64_t slices = ceiling(c->model->channels, SLICE * GROUP);
    const int64_t *chain = c->step->chains + chunk / slices;
    const int64_t from = chunk % slices * SLICE * GROUP;
    const int64_t to = smaller(from + SLICE * GROUP, c->model->channels);
    for (int64_t i = chain[0]; i < chain[1]; i++)
        convolve_stretch(c, c->step->stretches + i, from, to);
}

// One chunk for each slice of the channels of each span.
static void run_slices(chunk_function *run, const struct convolving *c) {
    run_chunks(run, c, c->step->spans * ceiling(c->model->channels, SLICE * GROUP));
}

static void run_convolution(
    const struct model *m, const struct layer *layer, const struct step *step,
    const struct room *room) {
    const int64_t width = 3 * m->channels, first = 2 * m->channels;
    run_slices(
        convolve_chunk,
        &(struct convolving){m, layer, step, room->qkv, width, first, room->attended});
}

#endif
