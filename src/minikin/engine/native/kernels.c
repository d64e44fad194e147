// The kernels of one decode step for CPUs with AVX-512 VNNI and BF16, and AMX where there is some.
//
// A packed matrix [outputs, width] is kept in panels of 16 outputs. For each panel and each group of
// 32 inputs there is a cell: levels of 4 or 8 bits, then 16 scales and 16 minima in half precision:
// w = scale * level + minimum, exactly as the model file has it. A register of a cell holds for each
// of the 16 outputs the four bytes that VPDPBUSD multiplies with four inputs at once. With 8 bits,
// byte i of register j is the level of input 4 j + i; with 4 bits its low half is the level of
// input 8 j + i and its high half that of input 8 j + 4 + i.
//
// A row of inputs comes in two forms. For VPDPBUSD: 16-bit integers in two signed bytes, x = step *
// (256 * high + low) with a step for each group. For the tile unit: bf16.
//
// bf16 is uint16_t here. Every function is called with sizes that its Python wrapper has checked.

#define _GNU_SOURCE
#include <immintrin.h>
#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// The workers. A job is cut into chunks; whoever is awake takes the next one, the calling thread
// too, so a worker that the system has put aside holds nothing up unless it is inside a chunk.
// `ticket` holds the job's number in its high half and the chunks left to take in its low half: one
// compare-and-swap takes a chunk of this very job, and a job's fields stay as they are until its
// last chunk is done.

typedef void chunk_function(const void *job, int64_t chunk);

enum { SPINS = 4000 };  // about 60 microseconds: longer than the gaps between two jobs of a step

static struct {
    chunk_function *run;
    const void *job;
    _Atomic uint64_t ticket;
    _Atomic uint32_t number, sleepers, done;
} pool;

static int take_chunk(void) {
    uint64_t ticket = atomic_load(&pool.ticket);
    while ((uint32_t)ticket)
        if (atomic_compare_exchange_weak(&pool.ticket, &ticket, ticket - 1)) {
            pool.run(pool.job, (uint32_t)ticket - 1);
            atomic_fetch_add(&pool.done, 1);
            return 1;
        }
    return 0;
}

static void *work(void *unused) {
    for (;;) {
        uint32_t number = atomic_load(&pool.number);
        while (take_chunk()) {}
        for (int spin = 0; spin < SPINS && atomic_load(&pool.number) == number; spin++) _mm_pause();
        if (atomic_load(&pool.number) == number) {
            atomic_fetch_add(&pool.sleepers, 1);
            syscall(SYS_futex, &pool.number, FUTEX_WAIT_PRIVATE, number, NULL, NULL, 0);
            atomic_fetch_sub(&pool.sleepers, 1);
        }
    }
    return unused;
}

// Start `count` workers beside the calling thread; 0 if all of them run.
int start_workers(int count) {
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL)) return -1;
        pthread_detach(thread);
    }
    return 0;
}

static void run_chunks(chunk_function *run, const void *job, int64_t chunks) {
    if (chunks == 1) {
        run(job, 0);
        return;
    }
    pool.run = run;
    pool.job = job;
    atomic_store(&pool.done, 0);
    uint32_t number = atomic_load(&pool.number) + 1;
    atomic_store(&pool.ticket, (uint64_t)number << 32 | (uint32_t)chunks);
    atomic_store(&pool.number, number);
    if (atomic_load(&pool.sleepers))
        syscall(SYS_futex, &pool.number, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    while (take_chunk()) {}
    for (int spin = 0; atomic_load(&pool.done) != chunks; spin++)
        spin < SPINS ? _mm_pause() : (void)sched_yield();
}

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

enum { PANEL = 16, GROUP = 32, ROWS = 8 };

static inline int64_t cell_bytes(int bits) { return bits * 64 + 64; }

static inline __m512 scale_of(const uint8_t *cell, int bits) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(cell + bits * 64)));
}

static inline __m512 minimum_of(const uint8_t *cell, int bits) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(cell + bits * 64 + 32)));
}

// Rows of inputs. All arrays are [rows, width] or [rows, width / GROUP].
struct inputs {
    uint16_t *rounded;
    int8_t *high, *low;
    float *steps, *sums;
};

static inline struct inputs row_of(struct inputs x, int64_t row, int64_t width) {
    const int64_t at = row * width, group = at / GROUP;
    return (struct inputs){
        x.rounded + at, x.high + at, x.low + at, x.steps + group, x.sums + group};
}

static inline __m512i four_at(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

static inline void store(float *out, __m512 value, int add) {
    _mm512_storeu_ps(out, add ? _mm512_add_ps(_mm512_loadu_ps(out), value) : value);
}

// One panel for `rows` rows; `bits` and `rows` are constants after inlining.
static inline __attribute__((always_inline)) void panel_rows(
    const uint8_t *panel, struct inputs x, float *out, int64_t width, int64_t outputs, int add,
    const int bits, const int rows) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const int64_t groups = width / GROUP;
    __m512 total[ROWS];
    for (int r = 0; r < rows; r++) total[r] = _mm512_setzero_ps();
    for (int64_t g = 0; g < groups; g++) {
        const uint8_t *cell = panel + g * cell_bytes(bits);
        __m512i high[ROWS], low[ROWS];
        for (int r = 0; r < rows; r++) high[r] = low[r] = _mm512_setzero_si512();
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            __m512i levels = _mm512_loadu_si512(cell + 64 * (bits == 8 ? j : j / 2));
            if (bits == 4 && j % 2) levels = _mm512_srli_epi16(levels, 4);
            if (bits == 4) levels = _mm512_and_si512(levels, nibble);
            for (int r = 0; r < rows; r++) {
                const int64_t at = r * width + g * GROUP + 4 * j;
                high[r] = _mm512_dpbusd_epi32(high[r], levels, four_at(x.high + at));
                low[r] = _mm512_dpbusd_epi32(low[r], levels, four_at(x.low + at));
            }
        }
        __m512 scale = scale_of(cell, bits), minimum = minimum_of(cell, bits);
        for (int r = 0; r < rows; r++) {
            __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(high[r], 8), low[r]);
            __m512 part = _mm512_mul_ps(
                _mm512_cvtepi32_ps(whole), _mm512_set1_ps(x.steps[r * groups + g]));
            total[r] = _mm512_fmadd_ps(scale, part, total[r]);
            total[r] =
                _mm512_fmadd_ps(minimum, _mm512_set1_ps(x.sums[r * groups + g]), total[r]);
        }
    }
    for (int r = 0; r < rows; r++) store(out + r * outputs, total[r], add);
}

static void panel_by_rows(
    const uint8_t *panel, struct inputs x, float *out, int64_t width, int64_t outputs, int add,
    int bits, int rows) {
    switch (rows + (bits == 8) * ROWS) {
#define CASE(n) case n: panel_rows(panel, x, out, width, outputs, add, 4, n); break; \
                case n + ROWS: panel_rows(panel, x, out, width, outputs, add, 8, n); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#undef CASE
    }
}

#ifdef __AMX_BF16__
enum { TILE = 16 };

struct tile_config {
    uint8_t palette, start, reserved[14];
    uint16_t columns[16];
    uint8_t rows[16];
};

// Tiles 0 to 3 are the sums, 4 and 5 rows of x, 6 and 7 weights.
static void configure_tiles(int first_rows, int second_rows) {
    struct tile_config config = {.palette = 1};
    const uint8_t rows[8] = {first_rows, first_rows, second_rows, second_rows,
                             first_rows, second_rows, TILE, TILE};
    for (int i = 0; i < 8; i++) config.rows[i] = rows[i] ? rows[i] : 1, config.columns[i] = 64;
    _tile_loadconfig(&config);
}

// The weights of byte `i` of each output's four levels.
static inline __m512 weights_at(__m512i levels, int shift, int mask, __m512 scale, __m512 minimum) {
    __m512i level = _mm512_and_si512(_mm512_srli_epi32(levels, shift), _mm512_set1_epi32(mask));
    return _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(level), minimum);
}

// A panel as bf16 tiles, [groups][16 pairs of inputs][16 outputs][2].
static inline __attribute__((always_inline)) void unpack_bits(
    const uint8_t *panel, uint16_t *tiles, int64_t groups, const int bits) {
    // Two runs of 16 outputs to 16 pairs.
    const __m512i pairs = _mm512_or_si512(
        _mm512_set1_epi32(16 << 16),
        _mm512_mullo_epi32(
            _mm512_set1_epi32(0x10001),
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
    for (int64_t g = 0; g < groups; g++) {
        const uint8_t *cell = panel + g * cell_bytes(bits);
        const __m512 scale = scale_of(cell, bits), minimum = minimum_of(cell, bits);
        const int mask = bits == 8 ? 255 : 15;
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
            __m512i levels = _mm512_loadu_si512(cell + 64 * (bits == 8 ? j : j / 2));
            const int half = bits == 4 && j % 2 ? 4 : 0;
#pragma GCC unroll 2
            for (int i = 0; i < 4; i += 2) {
                __m512 even = weights_at(levels, 8 * i + half, mask, scale, minimum);
                __m512 odd = weights_at(levels, 8 * i + 8 + half, mask, scale, minimum);
                __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
                _mm512_storeu_si512(
                    tiles + (g * 16 + 2 * j + i / 2) * 32, _mm512_permutexvar_epi16(pairs, both));
            }
        }
    }
}

static void unpack_panel(const uint8_t *panel, uint16_t *tiles, int64_t groups, int bits) {
    if (bits == 4)
        unpack_bits(panel, tiles, groups, 4);
    else
        unpack_bits(panel, tiles, groups, 8);
}

static void store_tile(const float *tile, float *out, int64_t outputs, int rows, int add) {
    for (int r = 0; r < rows; r++) store(out + r * outputs, _mm512_loadu_ps(tile + 16 * r), add);
}

// Two panels against up to 32 rows of x.
static void panels_by_tiles(
    const uint16_t *tiles, const uint16_t *x, float *out, int64_t width, int64_t outputs, int add,
    int rows) {
    const int first = rows < TILE ? rows : TILE, second = rows - first;
    const int64_t groups = width / GROUP;
    const uint16_t *left = tiles, *right = tiles + groups * 512;
    float sums[4][256];
    configure_tiles(first, second);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t g = 0; g < groups; g++) {
        _tile_loadd(4, x + g * GROUP, 2 * width);
        _tile_loadd(6, left + g * 512, 64);
        _tile_loadd(7, right + g * 512, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (second) {
            _tile_loadd(5, x + TILE * width + g * GROUP, 2 * width);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    store_tile(sums[0], out, outputs, first, add);
    store_tile(sums[1], out + PANEL, outputs, first, add);
    if (second) {
        _tile_stored(2, sums[2], 64);
        _tile_stored(3, sums[3], 64);
        store_tile(sums[2], out + TILE * outputs, outputs, second, add);
        store_tile(sums[3], out + TILE * outputs + PANEL, outputs, second, add);
    }
}
#endif

// Ask the kernel for the right to use tile registers; 0 if they are there.
int use_tiles(void) {
#ifdef __AMX_BF16__
    return (int)syscall(SYS_arch_prctl, 0x1023, 18);
#else
    return -1;
#endif
}

struct matmul {
    const uint8_t *weight;
    struct inputs x;
    float *out;
    int64_t rows, width, outputs;
    int bits, add, tiles;
};

enum { CHUNK_PANELS = 6 };

static void matmul_chunk(const void *job, int64_t chunk) {
    const struct matmul m = *(const struct matmul *)job;
    const int64_t groups = m.width / GROUP, panel_bytes = groups * cell_bytes(m.bits);
    const int64_t last = smaller((chunk + 1) * CHUNK_PANELS, m.outputs / PANEL);
#ifdef __AMX_BF16__
    if (m.tiles) {
        uint16_t unpacked[2 * groups * 512] __attribute__((aligned(64)));
        for (int64_t p = chunk * CHUNK_PANELS; p < last; p += 2) {
            unpack_panel(m.weight + p * panel_bytes, unpacked, groups, m.bits);
            unpack_panel(
                m.weight + (p + 1) * panel_bytes, unpacked + groups * 512, groups, m.bits);
            for (int64_t r = 0; r < m.rows; r += 2 * TILE)
                panels_by_tiles(
                    unpacked, m.x.rounded + r * m.width, m.out + r * m.outputs + p * PANEL,
                    m.width, m.outputs, m.add, smaller(m.rows - r, 2 * TILE));
        }
        _tile_release();
        return;
    }
#endif
    for (int64_t p = chunk * CHUNK_PANELS; p < last; p++)
        for (int64_t r = 0; r < m.rows; r += ROWS)
            panel_by_rows(
                m.weight + p * panel_bytes, row_of(m.x, r, m.width),
                m.out + r * m.outputs + p * PANEL, m.width, m.outputs, m.add, m.bits,
                smaller(m.rows - r, ROWS));
}

// out [rows, outputs] float (+)= x [rows, width] times the packed matrix, transposed. `tiles`
// chooses the kernel.
void packed_matmul(
    const uint8_t *weight, const struct inputs *x, float *out, int64_t rows, int64_t width,
    int64_t outputs, int bits, int add, int tiles) {
    const struct matmul job = {weight, *x, out, rows, width, outputs, bits, add, tiles};
    const int64_t panels = outputs / PANEL;
    run_chunks(matmul_chunk, &job, (panels + CHUNK_PANELS - 1) / CHUNK_PANELS);
}

struct packing {
    const uint8_t *levels;
    const uint16_t *scales, *minima;
    uint8_t *weight;
    int64_t width;
    int bits;
};

static void pack_panel(const void *job, int64_t panel) {
    const struct packing k = *(const struct packing *)job;
    const int64_t groups = k.width / GROUP;
    for (int64_t g = 0; g < groups; g++) {
        uint8_t *cell = k.weight + (panel * groups + g) * cell_bytes(k.bits);
        for (int n = 0; n < PANEL; n++) {
            const uint8_t *row = k.levels + (panel * PANEL + n) * k.width + g * GROUP;
            for (int j = 0; j < k.bits; j++)
                for (int i = 0; i < 4; i++)
                    cell[64 * j + 4 * n + i] =
                        k.bits == 8 ? row[4 * j + i] : row[8 * j + i] | row[8 * j + 4 + i] << 4;
            const int64_t at = (panel * PANEL + n) * groups + g;
            memcpy(cell + k.bits * 64 + 2 * n, k.scales + at, 2);
            memcpy(cell + k.bits * 64 + 32 + 2 * n, k.minima + at, 2);
        }
    }
}

// Levels [outputs, width] (one a byte), scales and minima [outputs, groups] half -> the layout
// above.
void pack_matrix(
    const uint8_t *levels, const uint16_t *scales, const uint16_t *minima, uint8_t *weight,
    int64_t width, int64_t outputs, int bits) {
    const struct packing job = {levels, scales, minima, weight, width, bits};
    run_chunks(pack_panel, &job, outputs / PANEL);
}

// Write a row of x in both forms.
static inline void round_row(const float *x, struct inputs out, int64_t width) {
    for (int64_t g = 0; g < width / GROUP; g++) {
        const __m512 a = _mm512_loadu_ps(x + g * GROUP), b = _mm512_loadu_ps(x + g * GROUP + 16);
        _mm256_storeu_si256(
            (__m256i *)(out.rounded + g * GROUP), (__m256i)_mm512_cvtneps_pbh(a));
        _mm256_storeu_si256(
            (__m256i *)(out.rounded + g * GROUP + 16), (__m256i)_mm512_cvtneps_pbh(b));
        const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
        const float step = most / 32512.0f;  // 127 * 256: the high byte stays in range
        const __m512 inverse = _mm512_set1_ps(most > 1e-30f ? 1.0f / step : 0.0f);
        const __m512i whole[2] = {
            _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse)),
            _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse))};
        for (int i = 0; i < 2; i++) {
            // high = (whole + 128) >> 8, so that low = whole - 256 * high fits a signed byte.
            __m512i high =
                _mm512_srai_epi32(_mm512_add_epi32(whole[i], _mm512_set1_epi32(128)), 8);
            __m512i low = _mm512_sub_epi32(whole[i], _mm512_slli_epi32(high, 8));
            const int64_t at = g * GROUP + 16 * i;
            _mm_storeu_si128((__m128i *)(out.high + at), _mm512_cvtepi32_epi8(high));
            _mm_storeu_si128((__m128i *)(out.low + at), _mm512_cvtepi32_epi8(low));
        }
        out.steps[g] = step;
        out.sums[g] = step * _mm512_reduce_add_epi32(_mm512_add_epi32(whole[0], whole[1]));
    }
}

struct norm {
    const float *x, *weight;
    struct inputs out;
    int64_t rows, width;
    float epsilon;
};

enum { CHUNK_ROWS = 4 };

static void norm_chunk(const void *job, int64_t chunk) {
    const struct norm n = *(const struct norm *)job;
    for (int64_t r = chunk * CHUNK_ROWS; r < smaller((chunk + 1) * CHUNK_ROWS, n.rows); r++) {
        const float *row = n.x + r * n.width;
        float normed[n.width];
        __m512 squares = _mm512_setzero_ps();
        for (int64_t i = 0; i < n.width; i += 16) {
            __m512 v = _mm512_loadu_ps(row + i);
            squares = _mm512_fmadd_ps(v, v, squares);
        }
        float mean = _mm512_reduce_add_ps(squares) / n.width;
        __m512 scale = _mm512_set1_ps(1.0f / sqrtf(mean + n.epsilon));
        for (int64_t i = 0; i < n.width; i += 16) {
            __m512 v = _mm512_mul_ps(_mm512_loadu_ps(row + i), scale);
            _mm512_storeu_ps(normed + i, _mm512_mul_ps(v, _mm512_loadu_ps(n.weight + i)));
        }
        round_row(normed, row_of(n.out, r, n.width), n.width);
    }
}

// out = x / rms(x) * weight (Zhang and Sennrich 2019).
void rms_norm(
    const float *x, const float *weight, const struct inputs *out, int64_t rows, int64_t width,
    float epsilon) {
    const struct norm job = {x, weight, *out, rows, width, epsilon};
    run_chunks(norm_chunk, &job, (rows + CHUNK_ROWS - 1) / CHUNK_ROWS);
}

// e^x, to about one unit in the last place of bf16's successor: 2^n times a polynomial.
static inline __m512 exponential(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    __m512 scaled = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    __m512 whole = _mm512_roundscale_ps(scaled, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 f = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693359375f), x);
    f = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.12194440e-4f), f);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    const float c[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f};
    for (int i = 0; i < 5; i++) p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(c[i]));
    p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(p, f), f, f), _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, whole);
}

struct gate {
    const float *gate_up;
    struct inputs out;
    int64_t width;
};

static void silu_row(const void *job, int64_t r) {
    const struct gate s = *(const struct gate *)job;
    const float *gate = s.gate_up + r * 2 * s.width, *up = gate + s.width;
    const __m512 one = _mm512_set1_ps(1.0f);
    float product[s.width];
    for (int64_t i = 0; i < s.width; i += 16) {
        __m512 g = _mm512_loadu_ps(gate + i);
        __m512 opposite = exponential(_mm512_sub_ps(_mm512_setzero_ps(), g));
        __m512 silu = _mm512_div_ps(g, _mm512_add_ps(one, opposite));
        _mm512_storeu_ps(product + i, _mm512_mul_ps(silu, _mm512_loadu_ps(up + i)));
    }
    round_row(product, row_of(s.out, r, s.width), s.width);
}

// out = silu(gate) * up; gate_up is [rows, 2 width].
void silu_multiply(
    const float *gate_up, const struct inputs *out, int64_t rows, int64_t width) {
    const struct gate job = {gate_up, *out, width};
    run_chunks(silu_row, &job, rows);
}

// Turn each pair (i, i + dim / 2) by its position's angle, and round to bf16.
static inline void rotate(
    const float *x, const float *cosine, const float *sine, uint16_t *out, int64_t dim) {
    const int64_t half = dim / 2;
    for (int64_t i = 0; i < half; i += 16) {
        __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + half + i);
        __m512 c = _mm512_loadu_ps(cosine + i), s = _mm512_loadu_ps(sine + i);
        __m512 left = _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s));
        __m512 right = _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s));
        _mm256_storeu_si256((__m256i *)(out + i), (__m256i)_mm512_cvtneps_pbh(left));
        _mm256_storeu_si256((__m256i *)(out + half + i), (__m256i)_mm512_cvtneps_pbh(right));
    }
}

enum { BLOCK = 16 };

// One query against `length` keys and values of one head. `dim` is a constant after inlining.
static inline __attribute__((always_inline)) void attend_head(
    const uint16_t *query, const uint16_t *keys, const uint16_t *values, const int32_t *blocks,
    int64_t length, int64_t stride, float *scores, float *out, const int dim) {
    const float scale = 1.0f / sqrtf((float)dim);
    __m512bh q[dim / 32];
    for (int i = 0; i < dim / 32; i++) q[i] = (__m512bh)_mm512_loadu_si512(query + 32 * i);
    for (int64_t t = 0; t < length; t++) {
        const uint16_t *key = keys + (blocks[t / BLOCK] * (int64_t)BLOCK + t % BLOCK) * stride;
        __m512 sum = _mm512_setzero_ps();
        for (int i = 0; i < dim / 32; i++)
            sum = _mm512_dpbf16_ps(sum, q[i], (__m512bh)_mm512_loadu_si512(key + 32 * i));
        scores[t] = _mm512_reduce_add_ps(sum) * scale;
    }
    for (int64_t t = length; t % 16; t++) scores[t] = -INFINITY;
    __m512 most = _mm512_loadu_ps(scores);
    for (int64_t t = 16; t < length; t += 16)
        most = _mm512_max_ps(most, _mm512_loadu_ps(scores + t));
    const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    __m512 total = _mm512_setzero_ps();
    for (int64_t t = 0; t < length; t += 16) {
        __mmask16 there = length - t < 16 ? (__mmask16)((1u << (length - t)) - 1) : 0xffff;
        __m512 e = _mm512_maskz_mov_ps(
            there, exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + t), top)));
        total = _mm512_add_ps(total, e);
        _mm512_storeu_ps(scores + t, e);
    }
    __m512 sum[dim / 16];
    for (int i = 0; i < dim / 16; i++) sum[i] = _mm512_setzero_ps();
    for (int64_t t = 0; t < length; t++) {
        const uint16_t *value = values + (blocks[t / BLOCK] * (int64_t)BLOCK + t % BLOCK) * stride;
        const __m512 weight = _mm512_set1_ps(scores[t]);
        for (int i = 0; i < dim / 16; i++)
            sum[i] = _mm512_fmadd_ps(
                weight,
                _mm512_cvtpbh_ps((__m256bh)_mm256_loadu_si256((const __m256i *)(value + 16 * i))),
                sum[i]);
    }
    const __m512 divisor = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(total));
    for (int i = 0; i < dim / 16; i++) _mm512_storeu_ps(out + 16 * i, _mm512_mul_ps(sum[i], divisor));
}

struct attention {
    const float *qkv, *cosine, *sine;
    const int64_t *positions, *slots;
    const int32_t *blocks;
    const int64_t *starts;
    uint16_t *keys, *values;
    struct inputs out;
    int64_t rows, heads, kv_heads, dim;
};

static void store_row(const struct attention *a, int64_t r) {
    const float *row = a->qkv + r * (a->heads + 2 * a->kv_heads) * a->dim;
    const int64_t angle = a->positions[r] * (a->dim / 2), stride = a->kv_heads * a->dim;
    for (int64_t h = 0; h < a->kv_heads; h++) {
        uint16_t *key = a->keys + a->slots[r] * stride + h * a->dim;
        rotate(row + (a->heads + h) * a->dim, a->cosine + angle, a->sine + angle, key, a->dim);
    }
    const float *value = row + (a->heads + a->kv_heads) * a->dim;
    for (int64_t i = 0; i < stride; i += 16)
        _mm256_storeu_si256(
            (__m256i *)(a->values + a->slots[r] * stride + i),
            (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(value + i)));
}

// One row's queries that share a key head.
static void attend_group(const void *job, int64_t chunk) {
    const struct attention a = *(const struct attention *)job;
    const int64_t r = chunk / a.kv_heads, kv = chunk % a.kv_heads, group = a.heads / a.kv_heads;
    const int64_t length = a.positions[r] + 1, angle = a.positions[r] * (a.dim / 2);
    const uint16_t *keys = a.keys + kv * a.dim, *values = a.values + kv * a.dim;
    const int32_t *blocks = a.blocks + a.starts[r];
    float scores[length + 16], answer[a.dim];
    uint16_t query[a.dim];
    for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
        const float *q = a.qkv + (r * (a.heads + 2 * a.kv_heads) + h) * a.dim;
        rotate(q, a.cosine + angle, a.sine + angle, query, a.dim);
        switch (a.dim) {
#define CASE(n) case n: attend_head(query, keys, values, blocks, length, a.kv_heads * n, scores, \
                                    answer, n); break;
            CASE(64) CASE(96) CASE(128) CASE(256)
#undef CASE
        }
        round_row(answer, row_of(a.out, r * a.heads + h, a.dim), a.dim);
    }
}

// Attention of all rows of a step. `qkv` [rows, heads + 2 kv_heads, dim] float; `cosine` and `sine`
// [positions, dim / 2]; row r sees the first position[r] + 1 slots of the blocks from
// blocks[starts[r]] on, its own slot included. Keys and values [slots, kv_heads, dim] bf16 take the
// rows' own first. `out` is [rows, heads, dim].
void attend(
    const float *qkv, const float *cosine, const float *sine, const int64_t *positions,
    const int64_t *slots, const int32_t *blocks, const int64_t *starts, uint16_t *keys,
    uint16_t *values, const struct inputs *out, int64_t rows, int64_t heads, int64_t kv_heads,
    int64_t dim) {
    const struct attention job = {qkv,  cosine, sine, positions, slots, blocks,   starts,
                                  keys, values, *out, rows,      heads, kv_heads, dim};
    for (int64_t r = 0; r < rows; r++) store_row(&job, r);
    run_chunks(attend_group, &job, rows * kv_heads);
}
