// Operations a second of all cores' fastest unit for products of floats, on registers alone. Prints
// the unit's name and the best of 5 goes.

#define _GNU_SOURCE
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "goes.h"

enum { TURNS = 20000000 };

#if defined __AMX_BF16__

static const char *const NAME = "bfloat16 on the tile unit (AMX)";
enum { STEPS = TURNS / 20, OPERATIONS = 4 * 2 * 16 * 16 * 32 };
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

struct config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_a_row[16];
    uint8_t rows[16];
};

static void compute(void) {
    struct config config = {.palette = 1};
    for (int i = 0; i < 8; i++) config.bytes_a_row[i] = 64, config.rows[i] = 16;
    syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
    _tile_loadconfig(&config);
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    _tile_zero(4); _tile_zero(5); _tile_zero(6); _tile_zero(7);
    for (int i = 0; i < STEPS; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

#elif defined __FMA__

#if defined __AVX512F__
static const char *const NAME = "float32 with FMA (AVX-512)";
#define REGISTER "%%zmm"
enum { LANES = 16 };
#else
static const char *const NAME = "float32 with FMA (AVX2)";
#define REGISTER "%%ymm"
enum { LANES = 8 };
#endif
// Ten sums that do not wait for each other. A compiler would keep them in memory.
#define MULTIPLY_ADD(sum) "vfmadd231ps " REGISTER "10, " REGISTER "11, " REGISTER #sum "\n"
enum { STEPS = TURNS, OPERATIONS = 10 * 2 * LANES };

static void compute(void) {
    // The factors: unusual numbers would be slower.
    __asm__ volatile("vxorps %%xmm10, %%xmm10, %%xmm10\n"
                     "vxorps %%xmm11, %%xmm11, %%xmm11\n" ::: "xmm10", "xmm11");
    for (int i = 0; i < STEPS; i++)
        __asm__ volatile(
            MULTIPLY_ADD(0) MULTIPLY_ADD(1) MULTIPLY_ADD(2) MULTIPLY_ADD(3) MULTIPLY_ADD(4)
            MULTIPLY_ADD(5) MULTIPLY_ADD(6) MULTIPLY_ADD(7) MULTIPLY_ADD(8) MULTIPLY_ADD(9)
            ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9");
}

#else
#error "this processor has neither FMA nor AMX"
#endif

static void *work(void *none) {
    compute();
    return none;
}

int main(int count, char **words) {
    const int threads = count > 1 ? atoi(words[1]) : 1;
    printf("%.0f %s\n", (double)STEPS * OPERATIONS * threads / best_go(threads, work), NAME);
}
