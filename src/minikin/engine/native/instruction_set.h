// The one place that chooses the instruction set.
//
// An instruction set is two headers. `simd_*.h` has vectors of sixteen floats and the layout of the
// integers that products multiply. `matmul_*.h` has the products. AMX is AVX-512 with a third header
// for its tile unit. The plain set is C without intrinsics: it runs on every processor, and the others
// are tested against it.
//
// Headers of one kind share an include guard, so the first one that is included wins. Each of them can
// therefore be compiled alone, for any processor.

#ifndef INSTRUCTION_SET_H
#define INSTRUCTION_SET_H

// The best set to use: 0 is plain C, 1 AVX2, 2 AVX-512, 3 AMX.
#ifndef MOST
#define MOST 3
#endif

#if MOST >= 2 && defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#define SIMD "simd_avx512.h"
#define MATMUL "matmul_avx512.h"
#if MOST >= 3 && defined(__AMX_BF16__)
#define INSTRUCTIONS "AMX"
#define TILES "tiles_amx.h"
#else
#define INSTRUCTIONS "AVX-512"
#define TILES "tiles_simd.h"
#endif
#elif MOST >= 1 && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define INSTRUCTIONS "AVX2"
#define SIMD "simd_avx2.h"
#define MATMUL "matmul_avx2.h"
#define TILES "tiles_simd.h"
#elif MOST >= 1 && defined(__ARM_FEATURE_DOTPROD)
#if MOST >= 2 && defined(__ARM_FEATURE_MATMUL_INT8) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define INSTRUCTIONS "NEON i8mm"
#else
#define INSTRUCTIONS "NEON"
#endif
#define SIMD "simd_neon.h"
#define MATMUL "matmul_neon.h"
#define TILES "tiles_simd.h"
#else
#define INSTRUCTIONS "plain C"
#define SIMD "simd_plain.h"
#define MATMUL "matmul_plain.h"
#define TILES "tiles_simd.h"
#endif

#endif
