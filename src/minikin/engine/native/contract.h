// The constants that C and Python share, and the structs that Python fills. `contract.py` mirrors this
// file and compares both when it loads the kernels.

#ifndef CONTRACT_H
#define CONTRACT_H

#include <stddef.h>
#include <stdint.h>

enum {
    GROUP = 32,      // inputs that share a scale
    PANEL = 16,      // outputs that are multiplied together
    TILE = 16,       // rows of a tile
    BLOCK = 32,      // tokens of a block of the cache
    PART = 512,      // keys that a step of few rows looks at in one piece
    MOST_DIM = 512,  // of a head of attention
    MOST_KEYS = 256,  // of a key of a memory
};

// What to do with a product.
enum { STORE, ADD, GATE };

// What a gate lets pass (`gated` of `simd.h`). The last one is without a gate.
enum { SILU, GELU, CLAMPED_SILU, SQUARED_RELU };

// What goes into a product, in one of two forms (`inputs.h`).
struct inputs {
    uint16_t *tiles;
    int16_t *integers;
    float *steps, *sums;
    int64_t few;  // rows below it are integers, the others tiles, the first of them at tile 0
};

// A packed matrix (`matrix.h`).
struct matrix {
    const uint8_t *cells;
    int64_t outputs, width, bits;
    const float *bias;  // [outputs] or NULL, added to each product
};

// The experts of a layer, in place of its own gate_up and down (`mixture.h`). None: count is 0.
struct mixture {
    int64_t count, used;  // the shared ones among them
    int64_t shared;       // the last ones, which all rows use
    int64_t gated;        // whether the router's row after the others gives their share, by a sigmoid
    int64_t normalized;   // whether the shares of the experts that a row chooses add up to 1
    int64_t sigmoid;      // whether a share is the sigmoid of a score, or a part of a softmax
    int64_t groups, used_groups;  // of experts; a row chooses from the best ones only
    float scale;          // of the shares
    const float *correction;  // [count - shared] or NULL: added to shares for the choice alone
    const float *router_norm;  // [hidden] or NULL: of what the router reads, if not that of the layer
    const float *scales;       // [count - shared] or NULL: further factors of shares
    const float *router, *router_bias;  // [count - shared + gated, hidden], [count - shared] or NULL
    const struct matrix *gate_up, *down;  // [count]
};

// What latent attention has beside its first and last matrix (`latent.h`). None: norm is NULL.
struct latent {
    const float *query_norm, *norm;  // [query_rank] or NULL, [rank]
    struct matrix queries, keys, values;
};

// One of a row's experts.
struct choice {
    int32_t expert;
    int32_t place, result;  // the row of its inputs and of its result
    float share;
};

// The heads of a layer's attention. A row has those of queries, keys, values and gates.
struct heads {
    int64_t count, keys, dim;  // of queries; of keys and of values; the size of each
    int64_t stored;            // the keys that the layer makes: all, or 0 if it uses another layer's
    int64_t outputs;           // of a head: dim, or fewer
    int64_t gated;             // whether a gate for each output follows the values
};

// What all layers have in common.
struct model {
    int64_t hidden, activation;
    float epsilon, scale;
    float softcap;  // limits scores to (-softcap, softcap), unless it is 0
    float plain_epsilon;  // of norms of other vectors than the residual stream
    int64_t channels, taps, state_size;  // of layers that are convolutions or memories
    int64_t key_heads, value_heads, key_dim, value_dim;  // of memories
    int64_t grouped;  // whether the value heads of a key head are adjacent
    int64_t rank, query_rank, rotated;  // of latent attention
    int64_t input_size, input_stride;   // of a layer's own input, and of those of all layers
};

// One decoder layer. Parts that a family does not have are NULL.
struct layer {
    const float *attention_norm, *feed_forward_norm;
    const float *attention_post_norm, *feed_forward_post_norm;  // of the output of each half
    const float *query_norm, *key_norm;  // [dim], over each head, or [heads * dim], over all
    const float *value_norm;             // [dim], over each head
    const float *early_cosine, *early_sine;  // rotate before those norms, not in attention
    const float *sinks;  // [heads]: the score of one more position, without a value
    struct matrix qkv, output, inputs, returned, gate_up, down;  // inputs and outputs of a recurrence; the
                                                                 // outputs of one that is not there are 0
    struct mixture mixture;
    // [hidden], of a mixture beside gate_up and down: of what it reads, of what each of both adds.
    // NULL: it replaces them.
    const float *mixture_norm, *dense_added_norm, *mixture_added_norm;
    uint16_t *keys, *values;     // of the cache
    const float *query_cosine, *query_sine, *cosine, *sine;  // [positions, dim / 2]; of keys
    const float *convolution;  // [taps, channels], in place of attention or beside it
    const float *convolution_bias;  // [channels]
    float *states;             // [rooms, state_size]
    struct matrix rates;       // of a delta net: how fast each value head fades, how far it moves; of Mamba: dt
    const float *fading, *offset;  // [value_heads]: fading times softplus(rate + offset). NULL: no memory
    const float *output_norm;      // [value_dim], of Mamba [value_heads * value_dim] or NULL
    const float *skip;             // [value_heads]: the part of a value in its output. NULL: no Mamba
    struct latent latent;
    int64_t window;      // tokens that a row sees, including its own; 0: all before it
    int64_t wide_norms;  // whether the norms of queries and keys are over all heads
    struct heads heads;
    float scale;         // of the residual stream after the layer
    struct matrix input_gate, input_output;  // of the layer's own input (`own_input.h`)
    const float *input_norm;                 // [hidden]. NULL: it has none
    int64_t input_at;                        // its place in a row of room->own_inputs
};

// Rows start to stop - 1 of a sequence take its state from room source to room target. Below 0, the
// target is not stored.
struct stretch {
    int64_t start, stop, source, target;
};

// The rows of one step. Row r sees the first positions[r] + 1 tokens of the blocks from
// blocks[starts[r]] on, itself included; its own slot is slots[r].
struct step {
    int64_t rows;
    const int64_t *positions, *slots;
    const int32_t *blocks;
    const int64_t *starts;
    int64_t few;  // rows below it are exact: they look at PART keys at a time
    const struct stretch *stretches;  // those of span i begin at chains[i] and end at chains[i + 1]
    const int64_t *chains;
    int64_t spans;
};

// Buffers of a step, between its matrices.
struct room {
    struct inputs normed, attended, gated;
    float *qkv, *gate_up, *partial;
    float *added;  // [rows, hidden], for layers with post norms
    float *beside;  // [rows, hidden], for mixtures beside a feed-forward
    int32_t *units;
    struct inputs picked;    // for mixtures: each row once for each of its experts, as in `gated`
    struct choice *choices;  // [rows, used]
    float *results;          // [rows * used, hidden]
    float *rates;            // [rows, outputs of the matrix]
    struct inputs latent;    // of vectors that heads are made from
    float *compressed;       // [rows, outputs of the first matrix]
    float *expanded;         // the queries, keys and values of all rows, one after the other
    const float *own_inputs;  // [rows, input_stride]
};

// How to choose a token (`sampling.h`). Without a limit, top_p is 1, top_k 0 and min_p 0.
struct draw {
    float temperature, top_p, min_p;
    int32_t top_k;
    double point;          // in [0, 1)
    const int64_t *tokens; // whose logits change first, each once
    const float *amounts;  // what is added to them
    int64_t changes;
};

struct term {
    const char *name;
    int64_t value;
};

#define CONSTANT(name) {#name, name}
#define SIZE(type) {#type, sizeof(struct type)}
#define AT(type, field) {#type "." #field, offsetof(struct type, field)}

// Every constant, the size of each struct and the offset of each field. The last entry has no name.
static const struct term terms[] = {
    CONSTANT(GROUP), CONSTANT(PANEL), CONSTANT(TILE), CONSTANT(BLOCK), CONSTANT(PART),
    CONSTANT(MOST_DIM), CONSTANT(MOST_KEYS), CONSTANT(STORE), CONSTANT(ADD), CONSTANT(SILU), CONSTANT(GELU),
    CONSTANT(CLAMPED_SILU), CONSTANT(SQUARED_RELU),
    SIZE(inputs), AT(inputs, tiles), AT(inputs, integers), AT(inputs, steps), AT(inputs, sums),
    AT(inputs, few),
    SIZE(matrix), AT(matrix, cells), AT(matrix, outputs), AT(matrix, width), AT(matrix, bits), AT(matrix, bias),
    SIZE(mixture), AT(mixture, count), AT(mixture, used), AT(mixture, shared), AT(mixture, gated),
    AT(mixture, normalized), AT(mixture, sigmoid), AT(mixture, groups),
    AT(mixture, used_groups), AT(mixture, scale), AT(mixture, correction),
    AT(mixture, router_norm), AT(mixture, scales),
    AT(mixture, router), AT(mixture, router_bias), AT(mixture, gate_up), AT(mixture, down),
    SIZE(latent), AT(latent, query_norm), AT(latent, norm), AT(latent, queries), AT(latent, keys),
    AT(latent, values),
    SIZE(choice), AT(choice, expert), AT(choice, place), AT(choice, result), AT(choice, share),
    SIZE(heads), AT(heads, count), AT(heads, keys), AT(heads, dim), AT(heads, stored), AT(heads, outputs), AT(heads, gated),
    SIZE(model), AT(model, hidden), AT(model, activation), AT(model, epsilon), AT(model, scale),
    AT(model, softcap), AT(model, plain_epsilon), AT(model, key_heads), AT(model, value_heads), AT(model, key_dim),
    AT(model, value_dim), AT(model, grouped), AT(model, rank), AT(model, query_rank),
    AT(model, rotated), AT(model, input_size), AT(model, input_stride), AT(model, channels), AT(model, taps), AT(model, state_size),
    SIZE(layer), AT(layer, attention_norm), AT(layer, feed_forward_norm),
    AT(layer, attention_post_norm), AT(layer, feed_forward_post_norm), AT(layer, query_norm),
    AT(layer, key_norm), AT(layer, value_norm), AT(layer, early_cosine), AT(layer, early_sine), AT(layer, sinks), AT(layer, qkv), AT(layer, output),
    AT(layer, inputs), AT(layer, returned),
    AT(layer, gate_up), AT(layer, down), AT(layer, mixture),
    AT(layer, mixture_norm), AT(layer, dense_added_norm), AT(layer, mixture_added_norm), AT(layer, keys), AT(layer, values),
    AT(layer, query_cosine), AT(layer, query_sine), AT(layer, cosine),
    AT(layer, sine), AT(layer, convolution), AT(layer, convolution_bias), AT(layer, states),
    AT(layer, rates), AT(layer, fading), AT(layer, offset), AT(layer, output_norm), AT(layer, skip), AT(layer, latent),
    AT(layer, window), AT(layer, wide_norms), AT(layer, heads), AT(layer, scale),
    AT(layer, input_gate), AT(layer, input_output), AT(layer, input_norm), AT(layer, input_at),
    SIZE(stretch), AT(stretch, start), AT(stretch, stop), AT(stretch, source), AT(stretch, target),
    SIZE(step), AT(step, rows), AT(step, positions), AT(step, slots), AT(step, blocks),
    AT(step, starts), AT(step, few),
    AT(step, stretches), AT(step, chains), AT(step, spans),
    SIZE(room), AT(room, normed), AT(room, attended), AT(room, gated), AT(room, qkv),
    AT(room, gate_up), AT(room, partial), AT(room, added), AT(room, beside), AT(room, units),
    AT(room, picked), AT(room, choices), AT(room, results), AT(room, rates),
    AT(room, latent), AT(room, compressed), AT(room, expanded), AT(room, own_inputs),
    SIZE(draw), AT(draw, temperature), AT(draw, top_p), AT(draw, min_p), AT(draw, top_k),
    AT(draw, point), AT(draw, tokens), AT(draw, amounts), AT(draw, changes),
    {0},
};

#endif
