// The worker threads. A job consists of chunks. Every thread that runs takes the next chunk, including
// the calling thread. A worker that the system has suspended therefore delays a job only if it is inside
// a chunk. The high half of `ticket` is the number of the job, the low half is the count of chunks left.
// One compare-and-swap takes a chunk of exactly this job. The fields of a job do not change until its
// last chunk is done.

#ifndef WORKERS_H
#define WORKERS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "simd.h"
#include "waits.h"

typedef void chunk_function(const void *job, int64_t chunk);

enum { SPINS = 4000 };  // about 60 microseconds: longer than the gaps between two jobs of a step
// The stack of a worker. A chunk keeps up to 4 MB there: two unpacked panels, or the weights of a row.
// Systems give less by themselves: macOS 512 KB, musl 128 KB, and glibc what `ulimit -s` says.
enum { STACK = 8 << 20 };

static struct {
    chunk_function *run;
    const void *job;
    _Atomic uint64_t ticket;
    _Atomic uint32_t number, sleepers, done;
    int threads;
} pool = {.threads = 1};

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
        for (int spin = 0; spin < SPINS && atomic_load(&pool.number) == number; spin++) relax();
        if (atomic_load(&pool.number) == number) {
            atomic_fetch_add(&pool.sleepers, 1);
            wait_for_change(&pool.number, number);
            atomic_fetch_sub(&pool.sleepers, 1);
        }
    }
    return unused;
}

// Start `count` workers. Returns 0 if all of them run.
int start_workers(int count) {
    pthread_attr_t attributes;
    int fault = pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, STACK) ||
                pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < count && !fault; i++) {
        pthread_t thread;
        fault = pthread_create(&thread, &attributes, work, NULL);
        if (!fault) pool.threads++;
    }
    pthread_attr_destroy(&attributes);
    return fault ? -1 : 0;
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
    if (atomic_load(&pool.sleepers)) wake_all(&pool.number);
    while (take_chunk()) {}
    for (int spin = 0; atomic_load(&pool.done) != chunks; spin++)
        spin < SPINS ? relax() : (void)sched_yield();
}

// The rows in a chunk of a job that goes over rows.
static inline int64_t rows_a_chunk(int64_t rows) {
    const int64_t even = (rows + 8 * pool.threads - 1) / (8 * pool.threads);
    return even < 4 ? 4 : even;
}

#endif
