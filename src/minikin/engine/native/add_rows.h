// Products of bf16 tiles, TOGETHER rows at a time. The set defines `add_some_rows` for up to so many.

#ifndef ADD_ROWS_H
#define ADD_ROWS_H

static inline void add_product(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, int64_t rows) {
    for (; rows > 0; rows -= TOGETHER, c += TOGETHER * c_stride, a += TOGETHER * a_stride)
        switch (smaller(rows, TOGETHER)) {
        case 1: add_some_rows(c, c_stride, a, a_stride, b, b_stride, 1); break;
        case 2: add_some_rows(c, c_stride, a, a_stride, b, b_stride, 2); break;
        case 3: add_some_rows(c, c_stride, a, a_stride, b, b_stride, 3); break;
        default: add_some_rows(c, c_stride, a, a_stride, b, b_stride, TOGETHER);
        }
}

#endif
