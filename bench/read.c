// Bytes a second that `threads` threads together read from memory, in plain order, asked for ahead
// of use as the engine's kernels do it. Prints the best of 5 goes over 1 GiB.

#define _GNU_SOURCE
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "goes.h"

enum { AHEAD = 8192 };
static const size_t BYTES = 1ul << 30;
static char *data;
static int threads;

static void *read_part(void *index) {
    const size_t size = BYTES / threads, from = (size_t)index * size;
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = from; i < from + size; i += 64) {
        _mm_prefetch(data + i + AHEAD, _MM_HINT_T1);
        sum = _mm256_add_epi64(sum, _mm256_load_si256((const __m256i *)(data + i)));
        sum = _mm256_add_epi64(sum, _mm256_load_si256((const __m256i *)(data + i + 32)));
    }
    return (void *)_mm256_extract_epi64(sum, 0);  // so that the sum is not dropped
}

int main(int count, char **words) {
    threads = count > 1 ? atoi(words[1]) : 1;
    data = aligned_alloc(64, BYTES + AHEAD);
    memset(data, 1, BYTES + AHEAD);
    printf("%.0f\n", BYTES / best_go(threads, read_part));
}
