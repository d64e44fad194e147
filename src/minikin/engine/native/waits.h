// Waiting for a number to change: by a futex on Linux, by a condition variable elsewhere.
//
// The caller changes the number before it wakes others. A thread that has seen the old number sleeps
// only if the number is still the same, so no wake is lost.

#ifndef WAITS_H
#define WAITS_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__linux__) && !defined(PORTABLE_WAITS)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

// Sleep while *number is `seen`. It can return earlier.
static inline void wait_for_change(_Atomic uint32_t *number, uint32_t seen) {
    syscall(SYS_futex, number, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

// Wake all threads that wait for `number`.
static inline void wake_all(_Atomic uint32_t *number) {
    syscall(SYS_futex, number, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

#else

#include <pthread.h>

// One lock for all numbers: this library waits for one.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} waits = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};

static inline void wait_for_change(_Atomic uint32_t *number, uint32_t seen) {
    pthread_mutex_lock(&waits.lock);
    while (atomic_load(number) == seen) pthread_cond_wait(&waits.changed, &waits.lock);
    pthread_mutex_unlock(&waits.lock);
}

// (The lock: a thread is either before its look at the number, or asleep.)
static inline void wake_all(_Atomic uint32_t *number) {
    (void)number;
    pthread_mutex_lock(&waits.lock);
    pthread_cond_broadcast(&waits.changed);
    pthread_mutex_unlock(&waits.lock);
}

#endif

#endif
