// Products of bf16 tiles: a is 16 rows of 32 inputs, b 16 pairs of inputs by 16 outputs by 2, c 16
// rows of 16 float sums. With AMX the tile unit computes them, otherwise VDPBF16PS, or FMA on AVX2.

#ifdef __AMX_BF16__

// All tiles are full: a row too many costs nothing and is not stored.
static inline void begin_tiles(void) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t columns[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.rows[i] = TILE, config.columns[i] = 64;
    _tile_loadconfig(&config);
}

static inline void end_tiles(void) { _tile_release(); }

#else

static inline void begin_tiles(void) {}
static inline void end_tiles(void) {}

// c += a b for the first `rows` rows. Strides count elements; b's is from pair to pair.
#if WIDE

static inline void add_product(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, int64_t rows) {
    for (int64_t r = 0; r < rows; r++) {
        __m512 sum = v_load(c + r * c_stride);
        for (int p = 0; p < 16; p++) {
            int32_t pair;
            memcpy(&pair, a + r * a_stride + 2 * p, 4);
            sum = _mm512_dpbf16_ps(
                sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)_mm512_loadu_si512(b + p * b_stride));
        }
        v_store(c + r * c_stride, sum);
    }
}

#else

enum { TOGETHER = 4 };  // rows whose sums stay in registers

static inline __attribute__((always_inline)) void add_some_rows(
    float *c, int64_t c_stride, const uint16_t *a, int64_t a_stride, const uint16_t *b,
    int64_t b_stride, const int rows) {
    floats sum[TOGETHER];
    for (int r = 0; r < rows; r++) sum[r] = v_load(c + r * c_stride);
    for (int p = 0; p < 16; p++) {
        const floats first = v_firsts(b + p * b_stride), second = v_seconds(b + p * b_stride);
        for (int r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, a + r * a_stride + 2 * p, 4);
            const __m256i both = _mm256_set1_epi32(pair);
            sum[r] = v_mul_add(first, BOTH(first_of(both), first_of(both)), sum[r]);
            sum[r] = v_mul_add(second, BOTH(second_of(both), second_of(both)), sum[r]);
        }
    }
    for (int r = 0; r < rows; r++) v_store(c + r * c_stride, sum[r]);
}

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

#endif
