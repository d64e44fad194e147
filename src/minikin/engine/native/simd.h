// Sixteen floats at a time: the functions that `simd_plain.h` describes, for the chosen instruction set,
// and others that build on them.

#ifndef SIMD_H
#define SIMD_H

#include "instruction_set.h"

#include SIMD

#ifndef STORES_EVERY_OTHER
// Store 16 values as bf16, as the first or the second numbers of 16 pairs.
static inline void v_store_every_other(uint16_t *out, floats x, int second) {
    uint16_t narrow[16];
    v_store_bf16(narrow, x);
    for (int i = 0; i < 16; i++) out[2 * i + second] = narrow[i];
}
#endif

static const float LOG2_E = 1.44269504f;

// 2^x for x from -126 (below counts as -126) to 127, to 3e-6 of its value: 2^n times a polynomial.
static inline floats power_of_two(floats x) {
    x = v_max(x, v_all(-126.0f));
    const floats whole = v_round(x);
    const floats f = v_sub(x, whole);
    floats p = v_all(1.3333558e-3f);  // ln(2)^k / k!
    const float c[] = {9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f};
    for (int i = 0; i < 5; i++) p = v_mul_add(p, f, v_all(c[i]));
    return v_scale(p, whole);
}

// x / (1 + e^-y), with one step of Newton's in place of a division.
static inline floats times_sigmoid(floats x, floats y) {
    const floats power = power_of_two(v_min(v_mul(y, v_all(-LOG2_E)), v_all(126.0f)));
    const floats below = v_add(v_all(1.0f), power);
    const floats guess = v_about_inverse(below);
    const floats better = v_sub_mul(v_all(2.0f), below, guess);
    return v_mul(v_mul(x, guess), better);
}

// GELU in its tanh form, x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)).
static inline floats gelu(floats x) {
    const floats bent = v_mul_add(v_mul(v_mul(x, x), v_all(0.044715f)), x, x);
    return times_sigmoid(x, v_mul(bent, v_all(1.59576912f)));
}

// Whether a feed-forward has gates. If not, it has ups alone.
static inline int has_gates(int64_t activation) { return activation != SQUARED_RELU; }

// So et al. 2021 (Primer).
static inline floats squared_relu(floats up) {
    const floats x = v_max(up, v_all(0));
    return v_mul(x, x);
}

// What a gate lets pass of `up`: SiLU or GELU of the gate, times up (Shazeer 2020). gpt-oss clamps both
// at 7, has a steeper gate and adds 1 to up (OpenAI's release has these numbers).
static inline floats gated(floats gate, floats up, int64_t activation) {
    if (activation == SILU) return v_mul(times_sigmoid(gate, gate), up);
    if (activation == GELU) return v_mul(gelu(gate), up);
    const floats most = v_all(7), x = v_min(gate, most), y = v_max(v_min(up, most), v_all(-7));
    return v_mul(times_sigmoid(x, v_mul(x, v_all(1.702f))), v_add(y, v_all(1)));
}

#endif
