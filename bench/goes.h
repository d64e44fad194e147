// The best of five goes of a function in so many threads.

#include <pthread.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

// Seconds. `work` gets the number of its thread.
static double best_go(int threads, void *(*work)(void *)) {
    double best = 1e9;
    for (int go = 0; go < 5; go++) {
        pthread_t all[threads];
        const double started = now();
        for (int i = 0; i < threads; i++) pthread_create(&all[i], NULL, work, (void *)(size_t)i);
        for (int i = 0; i < threads; i++) pthread_join(all[i], NULL);
        if (now() - started < best) best = now() - started;
    }
    return best;
}
