// The tokens that pass the limits of a draw. All that others weigh is set to 0.
//
// The weights of a row are at most 1, and their number is a multiple of STRETCH.

#ifndef LIMITS_H
#define LIMITS_H

#include "simd.h"

enum { STRETCH = 256 };         // weights that are added before they are added to others
enum { SEARCHED = 1 << 22 };    // from half an octave on, only the weights in it are searched

// Weights above it are kept, and the first `ties` that equal it.
struct cut {
    float weight;
    int64_t ties;
};

static inline float as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint32_t as_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

// The sum of the weights above `bound`, or their number.
static double above(const float *weights, int64_t width, float bound, int number) {
    double total = 0;
    for (int64_t s = 0; s < width; s += STRETCH) {
        floats sum = v_all(0);
        for (int64_t i = s; i < s + STRETCH; i += 16) {
            const floats x = v_load(weights + i);
            sum = v_add(sum, v_where_above(x, bound, number ? v_all(1) : x));
        }
        total += v_sum(sum);
    }
    return total;
}

// Copy the weights above `low`, up to `high`. Returns their number, rounded up with zeros.
static int64_t gather(const float *weights, int64_t width, float low, float high, float *out) {
    int64_t count = 0;
    for (int64_t i = 0; i < width; i += 16) {
        const floats x = v_load(weights + i);
        for (uint32_t in = v_above(x, v_all(low)) & ~v_above(x, v_all(high)); in; in &= in - 1)
            out[count++] = weights[i + __builtin_ctz(in)];
    }
    while (count % STRETCH) out[count++] = 0;
    return count;
}

// The fewest of the largest weights whose sum, or number, is at least `goal`. (Floats above 0 have the
// order of their bits.)
static struct cut cut_at(const float *weights, int64_t width, double goal, int number) {
    if (above(weights, width, 0, number) < goal) return (struct cut){0, 0};
    float some[width + STRETCH];
    double larger = 0;  // the part of weights that are no longer searched
    uint32_t low = 0, high = as_bits(1);  // above low there is enough, above high too little
    while (high - low > 1) {
        if (high - low <= SEARCHED && weights != some) {
            larger = above(weights, width, as_float(high), number);
            width = gather(weights, width, as_float(low), as_float(high), some);
            weights = some;
        }
        const uint32_t middle = low + (high - low) / 2;
        *(larger + above(weights, width, as_float(middle), number) >= goal ? &low : &high) = middle;
    }
    const double rest = goal - larger - above(weights, width, as_float(high), number);
    return (struct cut){as_float(high), ceil(number ? rest : rest / as_float(high))};
}

static struct cut stricter(struct cut a, struct cut b) {
    if (a.weight != b.weight) return a.weight > b.weight ? a : b;
    return a.ties < b.ties ? a : b;
}

static void keep(float *weights, int64_t width, struct cut cut) {
    for (int64_t i = 0; i < width; i += 16) {
        const floats x = v_load(weights + i);
        v_store(weights + i, v_where_above(x, cut.weight, x));
        for (uint32_t in = v_equal(x, v_all(cut.weight)); in && cut.ties > 0; in &= in - 1, cut.ties--)
            weights[i + __builtin_ctz(in)] = cut.weight;
    }
}

// Each limit holds alone, in the whole distribution:
// top_p: the fewest most likely tokens with this part of the total (Holtzman et al. 2020)
// top_k: this number of most likely tokens (Fan et al. 2018)
// min_p: tokens with at least this part of the highest probability (Nguyen et al. 2024)
static void apply_limits(float *weights, int64_t width, const struct draw *draw) {
    struct cut cut = {0, 0};
    if (draw->top_p < 1) {
        const double total = above(weights, width, 0, 0);
        cut = cut_at(weights, width, fmax(draw->top_p, 1e-9) * total, 0);
    }
    if (draw->top_k) cut = stricter(cut, cut_at(weights, width, draw->top_k, 1));
    if (draw->min_p > 0) cut = stricter(cut, (struct cut){draw->min_p, width});
    if (cut.weight > 0) keep(weights, width, cut);
}

#endif
