// Mixtures of experts: each row passes through a few of several gated feed-forward parts.
//
// A row's choices are in the order of the experts, and its results are added in this order. Its inputs
// keep their form. So the result of a row does not depend on other rows.

#ifndef MIXTURE_H
#define MIXTURE_H

#include "gate.h"
#include "norms.h"

struct mixing {
    const struct model *model;
    const struct layer *layer;
    const struct room *room;
    float *x;
    int64_t rows, exact;  // the first `exact` rows are integers
};

// The index of the largest score that is not taken.
static int64_t best_left(const float *scores, const char *taken, int64_t count) {
    int64_t best = -1;
    for (int64_t i = 0; i < count; i++)
        if (!taken[i] && (best < 0 || scores[i] > scores[best])) best = i;
    return best;
}

// Keep the scores of the best groups of experts. The score of a group is the sum of its two best.
static void keep_groups(const struct mixture *mixture, float *scores, int64_t count) {
    const int64_t size = count / mixture->groups;
    float sums[mixture->groups];
    char best[size], kept[mixture->groups];
    for (int64_t g = 0; g < mixture->groups; g++) {
        memset(best, 0, size);
        sums[g] = 0;
        for (int k = 0; k < 2; k++) {
            const int64_t at = best_left(scores + g * size, best, size);
            best[at] = 1;
            sums[g] += scores[g * size + at];
        }
    }
    memset(kept, 0, mixture->groups);
    for (int64_t k = 0; k < mixture->used_groups; k++) kept[best_left(sums, kept, mixture->groups)] = 1;
    for (int64_t e = 0; e < count; e++)
        if (!kept[e / size]) scores[e] = -3e38f;
}

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

// The scores of a row by the router, from its norm.
static void score(const struct mixing *m, int64_t r, float *scores) {
    const struct mixture *mixture = &m->layer->mixture;
    const int64_t hidden = m->model->hidden;
    const float *x = m->x + r * hidden;
    const float *weight = mixture->router_norm ? mixture->router_norm : m->layer->feed_forward_norm;
    const floats scale = norm_scale(x, hidden, m->model->epsilon);
    float normed[hidden];
    for (int64_t i = 0; i < hidden; i += 16)
        v_store(normed + i, v_mul(v_mul(v_load(x + i), scale), v_load(weight + i)));
    const int64_t count = mixture->count - mixture->shared;
    for (int64_t e = 0; e < count + mixture->gated; e++) {
        floats sum = v_all(0);
        for (int64_t i = 0; i < hidden; i += 16)
            sum = v_mul_add(v_load(normed + i), v_load(mixture->router + e * hidden + i), sum);
        scores[e] = v_sum(sum) + (mixture->router_bias && e < count ? mixture->router_bias[e] : 0);
    }
}

// The experts that a row chooses, and their shares: a softmax over all scores or over those of the
// best, or a sigmoid of each. Then the shared experts, with a share of their own.
static void route_row(const void *job, int64_t r) {
    const struct mixing *m = job;
    const struct mixture *mixture = &m->layer->mixture;
    const int64_t count = mixture->count - mixture->shared, used = mixture->used - mixture->shared;
    float scores[count + 1], shares[count], all = 0, total = 0;
    char taken[count];
    struct choice *choices = m->room->choices + r * mixture->used;
    score(m, r, scores);
    memset(taken, 0, count);
    const float most = scores[best_left(scores, taken, count)];
    for (int64_t e = 0; e < count; e++) {
        shares[e] = mixture->sigmoid ? sigmoid(scores[e]) : expf(scores[e] - most);
        all += shares[e];
    }
    if (mixture->sigmoid) all = 1;
    if (mixture->correction || mixture->groups > 1)
        for (int64_t e = 0; e < count; e++)
            scores[e] = shares[e] / all + (mixture->correction ? mixture->correction[e] : 0);
    if (mixture->groups > 1) keep_groups(mixture, scores, count);
    for (int64_t k = 0; k < used; k++) taken[best_left(scores, taken, count)] = 1;
    for (int64_t e = 0; e < count; e++) {
        if (!taken[e]) continue;
        *choices++ = (struct choice){.expert = e, .share = shares[e]};
        total += shares[e];
    }
    if (!mixture->normalized) total = all;
    for (int64_t k = 1; k <= used; k++) {
        const float own = mixture->scales ? mixture->scales[choices[-k].expert] : 1;
        choices[-k].share = choices[-k].share / total * mixture->scale * own;
    }
    const float share = mixture->gated ? sigmoid(scores[count]) : 1;
    for (int64_t e = count; e < mixture->count; e++)
        *choices++ = (struct choice){.expert = e, .share = share};
}

// The rows of one expert: integers, then tiled rows from a whole tile on.
struct crowd {
    int64_t exact, tiled, first_exact, first_tiled, first_result;
};

// Count the rows of each expert, and give each choice its place.
static void place_rows(const struct mixing *m, struct crowd *crowds) {
    const int64_t count = m->layer->mixture.count, used = m->layer->mixture.used;
    struct choice *choices = m->room->choices;
    memset(crowds, 0, count * sizeof *crowds);
    for (int64_t i = 0; i < m->rows * used; i++)
        i < m->exact * used ? crowds[choices[i].expert].exact++ : crowds[choices[i].expert].tiled++;
    int64_t exact = 0, tiled = 0, results = 0;
    for (struct crowd *c = crowds; c < crowds + count; c++) {
        c->first_exact = exact;
        c->first_tiled = tiled;
        c->first_result = results;
        exact += c->exact;
        tiled += ceiling(c->tiled, TILE) * TILE;
        results += c->exact + c->tiled;
        c->exact = c->tiled = 0;
    }
    for (int64_t i = 0; i < m->rows * used; i++) {
        struct crowd *c = crowds + choices[i].expert;
        choices[i].result = c->first_result + c->exact + c->tiled;
        choices[i].place =
            i < m->exact * used ? c->first_exact + c->exact++ : c->first_tiled + c->tiled++;
    }
}

// Copy a row's inputs to each of its places.
static void pick_row(const void *job, int64_t r) {
    const struct mixing *m = job;
    const struct inputs *from = &m->room->normed, *to = &m->room->picked;
    const int64_t width = m->model->hidden, groups = width / GROUP, used = m->layer->mixture.used;
    for (int64_t k = 0; k < used; k++) {
        const int64_t place = m->room->choices[r * used + k].place;
        if (r < m->exact) {
            memcpy(to->integers + place * width, from->integers + r * width, width * sizeof(int16_t));
            memcpy(to->steps + place * groups, from->steps + r * groups, groups * sizeof(float));
            memcpy(to->sums + place * groups, from->sums + r * groups, groups * sizeof(float));
        } else
            for (int64_t g = 0; g < groups; g++)
                memcpy(
                    tiled_at(to, place, g, groups), tiled_at(from, r - m->exact, g, groups),
                    GROUP * sizeof(uint16_t));
    }
}

static struct inputs inputs_of(const struct inputs *all, const struct crowd *c, int64_t width) {
    return (struct inputs){
        all->tiles + c->first_tiled * width, all->integers + c->first_exact * width,
        all->steps + c->first_exact * (width / GROUP), all->sums + c->first_exact * (width / GROUP),
        c->exact};
}

struct products {
    const struct matmul *products;
    int64_t chunks;  // of each product
};

static void product_chunk(const void *job, int64_t chunk) {
    const struct products *p = job;
    matmul_chunk(p->products + chunk / p->chunks, chunk % p->chunks);
}

// `count` products of one shape. Their chunks are one job.
static void run_products(struct matmul *products, int64_t count) {
    const int64_t panels = products->weight.outputs / PANEL;
    const int64_t size = smaller(2 * ceiling(count * panels, 8 * pool.threads), 6);
    for (int64_t i = 0; i < count; i++) products[i].chunk_panels = size;
    const struct products job = {products, ceiling(panels, size)};
    run_chunks(product_chunk, &job, count * job.chunks);
}

// Both products of each expert that has rows. The results are one for each choice.
static void run_experts(const struct mixing *m, const struct crowd *crowds) {
    const struct mixture *mixture = &m->layer->mixture;
    const struct room *room = m->room;
    const int64_t hidden = m->model->hidden, inside = mixture->down->width;
    const int64_t activation = m->model->activation;
    struct matmul products[mixture->count];
    int64_t count = 0;
    for (int64_t e = 0; e < mixture->count; e++) {
        const struct crowd *c = crowds + e;
        if (c->exact + c->tiled)
            products[count++] = (struct matmul){
                .weight = mixture->gate_up[e], .x = inputs_of(&room->picked, c, hidden),
                .out = room->gate_up + c->first_exact * mixture->gate_up->outputs,
                .gated = inputs_of(&room->gated, c, inside), .rows = c->exact + c->tiled,
                .mode = GATE, .activation = activation};
    }
    run_products(products, count);
    gate_rows(room->gate_up, &room->gated, m->exact * mixture->used, inside, activation);
    count = 0;
    for (int64_t e = 0; e < mixture->count; e++) {
        const struct crowd *c = crowds + e;
        if (c->exact + c->tiled)
            products[count++] = (struct matmul){
                .weight = mixture->down[e], .x = inputs_of(&room->gated, c, inside),
                .out = room->results + c->first_result * hidden, .rows = c->exact + c->tiled,
                .mode = STORE};
    }
    run_products(products, count);
}

// Add up the results of a row's experts: to x, or for the norm that follows.
static void sum_row(const void *job, int64_t r) {
    const struct mixing *m = job;
    const int64_t hidden = m->model->hidden, used = m->layer->mixture.used;
    const int adds = !m->layer->feed_forward_post_norm;
    float *out = (adds ? m->x : m->room->added) + r * hidden;
    for (int64_t i = 0; i < hidden; i += 16) {
        floats sum = v_all(0);
        for (int64_t k = 0; k < used; k++) {
            const struct choice *choice = m->room->choices + r * used + k;
            const float *result = m->room->results + choice->result * hidden + i;
            sum = v_mul_add(v_all(choice->share), v_load(result), sum);
        }
        v_store(out + i, adds ? v_add(v_load(out + i), sum) : sum);
    }
}

// The mixture of the rows in room->normed: x += it or, if a norm follows, room->added = it.
static void run_mixture(
    const struct model *model, const struct layer *layer, const struct room *room, float *x,
    int64_t rows) {
    const struct mixing job = {model, layer, room, x, rows, smaller(room->normed.few, rows)};
    struct crowd crowds[layer->mixture.count];
    run_chunks(route_row, &job, rows);
    place_rows(&job, crowds);
    run_chunks(pick_row, &job, rows);
    run_experts(&job, crowds);
    run_chunks(sum_row, &job, rows);
}

// x += the mixture of the rows in room->normed, by its norm if there is one.
static void add_mixture(
    const struct model *model, const struct layer *layer, const struct room *room, float *x,
    int64_t rows) {
    run_mixture(model, layer, room, x, rows);
    if (layer->feed_forward_post_norm)
        add_normed(room->added, layer->feed_forward_post_norm, x, rows, model->hidden, model->epsilon);
}

// x += the sum of the feed-forward and the mixture beside it, each by its norm, by the layer's norm.
static void add_beside(
    const struct model *model, const struct layer *layer, const struct room *room, float *x,
    int64_t rows) {
    const int64_t hidden = model->hidden;
    const struct inputs gated = run_gated(&layer->gate_up, room, rows, model->activation);
    packed_matmul(&layer->down, &gated, room->beside, rows, STORE);
    rms_norm(x, layer->mixture_norm, &room->normed, rows, hidden, model->epsilon);
    run_mixture(model, layer, room, x, rows);
    norm_rows(room->added, layer->mixture_added_norm, rows, hidden, model->epsilon);
    add_normed(room->beside, layer->dense_added_norm, room->added, rows, hidden, model->epsilon);
    add_normed(room->added, layer->feed_forward_post_norm, x, rows, hidden, model->epsilon);
}

#endif
