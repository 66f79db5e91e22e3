/* Loops over ranges, and reductions of them, by all workers.
 *
 *     static int scale(size_t begin, size_t end, void *arg) {
 *       double *x = arg;
 *       for (size_t i = begin; i < end; i++) x[i] *= 2;
 *       return 0;
 *     }
 *     thrum_parallel_for(0, n, scale, x);      // each index once, in pieces; returns when all are done
 *
 * The function is called with piece after piece of the range, by the caller and, while workers have nothing else to do, by
 * threads that help it. Nobody chooses how large a piece is: it begins with one index, and grows until a piece takes some
 * 20 us. A thread that has done its share takes half of what is left of another one's, so iterations may differ as much as
 * they like. With one worker a loop is a plain loop in pieces, unless a foreign thread calls it. It is for what computes:
 * iterations that wait are better off in threads of their own, since no more of them run at once than there are workers; and one
 * more in a loop of a foreign thread, which takes no worker.
 *
 * What the caller did before the loop has happened for each call of the function, and what they did has happened for whoever
 * returns from the loop. Which thread calls it for which piece is not known; thrum_current() differs from piece to piece. The
 * function may wait, spawn, join and run loops of its own. It must return: not leave by an exception or longjmp, nor end its
 * thread (thrum_exit, which says so and aborts). In the child of a fork that it makes nothing of the loop goes on, so that one calls exec or _exit.
 *
 * Failures. A function that returns a negative errno has failed. The loop returns the failure of the lowest piece that
 * failed, as a plain loop would: what lies above it and has not begun does not begin, what lies below is done. So what is returned
 * does not depend on how many workers there are. That holds unless the caller is cancelled, too: then something below may have been
 * left out as well, and the failure is that of the lowest piece that failed of those that ran.
 *
 * Cancellation. Each loop is a cancellation point of its caller, between two pieces of its own. What has not begun then does not
 * begin, what has begun is waited for, and the loop returns -ECANCELED, unless a piece failed or nothing was left out. Whether its
 * caller is cancelled a helper does not know.
 *
 * Every loop can be run by threads of all kinds. The caller of whatever kind takes part; it switches only while it waits for
 * the last pieces of others. A loop that finds no memory for helpers does without them. */
#ifndef THRUM_PARALLEL_H
#define THRUM_PARALLEL_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The indices from `begin` on, below `end`. 0, or a negative errno. */
typedef int thrum_range_fn(size_t begin, size_t end, void *arg);

/* Calls fn for pieces that are disjoint and make up the range, and returns when all are done. 0; a failure of fn; -EINVAL: fn is NULL,
 * or begin is above end; -ECANCELED. An empty range is done at once. Switches; a cancellation point. */
THRUM_API int thrum_parallel_for(size_t begin, size_t end, thrum_range_fn *fn, void *arg);

/* Calls fn for each of n items of an array. A failure of fn ends the loop, as above: items above it that have not begun do not
 * begin. -EINVAL also: items is NULL while n is not 0, item_size is 0, or the array would not fit into memory. Switches; a
 * cancellation point. */
THRUM_API int thrum_parallel_each(void *items, size_t n, size_t item_size, int (*fn)(void *item, void *arg),
                                  void *arg);

/* How a range is made into one value.
 *
 *     static int add(size_t begin, size_t end, void *accumulator, void *arg) {
 *       double sum = *(double *)accumulator;
 *       for (size_t i = begin; i < end; i++) sum += ((double *)arg)[i];
 *       *(double *)accumulator = sum;
 *       return 0;
 *     }
 *     static void plus(void *left, void *right, void *arg) { *(double *)left += *(double *)right; }
 *
 *     static const thrum_reduction sum = {sizeof(double), NULL, add, plus};
 *     thrum_parallel_reduce(0, n, &sum, x, &total);
 *
 * An accumulator holds what indices that lie side by side have come to. It begins as a copy of the identity; `fold` adds the next indices
 * to it, in rising order, and `combine` adds to `left` what `right`, of the indices behind, has come to. So combine need be associative,
 * not commutative: strings may be joined. Where accumulators of neighbours meet depends on chance; sums of floating-point numbers
 * may therefore differ in their last digits.
 *
 * Accumulators may own memory: combine is called once for each of them but the one that is `result`, and never sees it again,
 * so it frees or takes over what `right` owns. Accumulators are aligned as malloc's memory is, but for the one that is `result`,
 * which is aligned as the caller has it; no two threads use one at the same time. Fold and combine may run in any thread. */
typedef struct thrum_reduction {
  size_t size;          /* bytes of an accumulator, at least 1 */
  const void *identity; /* NULL: all-zero */
  int (*fold)(size_t begin, size_t end, void *accumulator, void *arg); /* 0, or a negative errno */
  void (*combine)(void *left, void *right, void *arg);
} thrum_reduction;

/* Folds the range, and stores what it has come to in *result, which need not be initialised. After a failure, too, all accumulators have
 * been combined into *result, with what was left out missing, so that nothing which they own is lost. 0; a failure of fold;
 * -ECANCELED; -EINVAL, with *result as it was: begin is above end, a pointer is NULL that must not be, size is 0. Switches; a
 * cancellation point. */
THRUM_API int thrum_parallel_reduce(size_t begin, size_t end, const thrum_reduction *how, void *arg,
                                    void *result);

#ifdef __cplusplus
}
#endif
#endif
