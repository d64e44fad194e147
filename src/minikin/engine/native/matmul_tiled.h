// Products with few rows by integers, and with many rows by tiles: weights are unpacked two panels at a
// time. The set defines `panel_by_rows` for ROWS rows of integers, and `unpack_bits` for a panel.

#ifndef MATMUL_TILED_H
#define MATMUL_TILED_H

#include "matmul_bf16.h"
#include "tiles.h"

// A panel as tiles: unpacked into `room`, or as it is if it consists of tiles.
static const uint16_t *panel_tiles(const struct matrix *m, int64_t panel, uint16_t *room) {
    const int64_t groups = m->width / GROUP;
    const uint8_t *cells = m->cells + panel * groups * cell_bytes(m->bits);
    if (m->bits == BF16) return (const uint16_t *)cells;
    if (m->bits == 4)
        unpack_bits(cells, room, groups, 4);
    else
        unpack_bits(cells, room, groups, 8);
    return room;
}

// Store the sums of up to 32 rows from the tiled row `row` on and the panels from `panel` on.
static void finish_panels(const struct matmul *m, int64_t panel, int64_t row, float (*sums)[256]) {
    const int64_t outputs = m->weight.outputs, few = m->x.few;
    const int64_t rows = smaller(m->rows - few - row, 2 * TILE);
    const floats bias[2] = {start_of(m, panel), start_of(m, panel + 1)};
    for (int64_t r = 0; r < rows; r++) {
        const float *sum = sums[r / TILE * 2] + r % TILE * 16;
        const floats left = v_add(v_load(sum), bias[0]), right = v_add(v_load(sum + 256), bias[1]);
        const int64_t groups = passed(&m->weight, m->activation) / GROUP;
        if (m->mode == GATE && has_gates(m->activation)) {
            uint16_t *out = tiled_at(&m->gated, row + r, panel / 4, groups);
            v_store_bf16(out + panel % 4 * 8, gated(left, right, m->activation));
        } else if (m->mode == GATE) {
            uint16_t *out = tiled_at(&m->gated, row + r, panel / 2, groups);
            v_store_bf16(out, squared_relu(left));
            v_store_bf16(out + PANEL, squared_relu(right));
        } else {
            float *out = m->out + (few + row + r) * outputs + panel * PANEL;
            finish(out, left, m->mode);
            finish(out + PANEL, right, m->mode);
        }
    }
}

// Panels `first` to below `last` for the `rows` tiled rows. (Apart, for its room on the stack.)
static __attribute__((noinline)) void tiled_panels(
    const struct matmul *m, int64_t rows, int64_t first, int64_t last) {
    const int64_t groups = m->weight.width / GROUP;
    uint16_t room[2][groups * TILE_VALUES] __attribute__((aligned(64)));
    float sums[4][256] __attribute__((aligned(64)));
    begin_tiles();
    for (int64_t p = first; p < last; p += 2) {
        const uint16_t *left = panel_tiles(&m->weight, p, room[0]);
        const uint16_t *right = panel_tiles(&m->weight, p + 1, room[1]);
        for (int64_t r = 0; r < rows; r += 2 * TILE) {
            const uint16_t *x = m->x.tiles + r * m->weight.width;
            multiply_panels(left, right, x, groups, rows - r > TILE ? 2 : 1, sums);
            finish_panels(m, p, r, sums);
        }
    }
    end_tiles();
}

static void matmul_chunk(const void *job, int64_t chunk) {
    const struct matmul *m = job;
    const int64_t first = chunk * m->chunk_panels;
    const int64_t last = smaller(first + m->chunk_panels, m->weight.outputs / PANEL);
    const int64_t few = smaller(m->x.few, m->rows), many = m->rows - few;
    if (few && m->weight.bits == BF16) bf16_panels(m, few, first, last);
    if (few && m->weight.bits != BF16)
        for (int64_t p = first; p < last; p++)
            for (int64_t r = 0; r < few; r += ROWS) panel_by_rows(m, p, r, smaller(few - r, ROWS));
    if (many) tiled_panels(m, many, first, last);
}

#endif
