// Sizes, helpers for integers, and prefetching.

#ifndef BASICS_H
#define BASICS_H

#include <math.h>
#include <string.h>

#include "contract.h"

enum { TILE_VALUES = TILE * GROUP };
enum { SPAN = 256 };  // keys whose scores are turned into weights together

static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Prefetch some bytes, at any address: the hardware prefetcher stops at each page.
// (Always inlined: gcc drops a call to a function that only prefetches.)
static inline __attribute__((always_inline)) void ask_for(const void *from, int64_t bytes) {
    for (int64_t line = 0; line < bytes; line += 64)
        __builtin_prefetch((const char *)from + line, 0, 2);  // to the L2 cache
}

#endif
