// A layer's own input, which a token makes for each layer (Gemma 4).

#ifndef OWN_INPUT_H
#define OWN_INPUT_H

#include "matmul.h"

struct own_input {
    const float *gates, *input;  // of the first row
    int64_t gate_stride, input_stride, width, activation;
    struct inputs out;
};

static void gate_input_row(const void *job, int64_t r) {
    const struct own_input *o = job;
    const float *gate = o->gates + r * o->gate_stride, *input = o->input + r * o->input_stride;
    for (int64_t g = 0; g < o->width / GROUP; g++, gate += GROUP, input += GROUP) {
        const floats first = gated(v_load(gate), v_load(input), o->activation);
        const floats second = gated(v_load(gate + 16), v_load(input + 16), o->activation);
        write_group(&o->out, r, g, o->width / GROUP, first, second);
    }
}

// Activated gates times the layer's input, from the rows in room->normed.
static struct inputs run_own_input(
    const struct model *model, const struct layer *layer, const struct room *room, int64_t rows) {
    struct inputs out = room->gated;
    out.few = room->normed.few;  // mixtures have each row several times
    packed_matmul(&layer->input_gate, &room->normed, room->gate_up, rows, STORE);
    const struct own_input job = {
        room->gate_up, room->own_inputs + layer->input_at, layer->input_gate.outputs,
        model->input_stride, model->input_size, model->activation, out};
    run_chunks(gate_input_row, &job, rows);
    return out;
}

#endif
