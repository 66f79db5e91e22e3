/* A ticker ticks at start + period, start + 2 * period, and so on, and threads wait for its ticks.
 *
 *     static thrum_ticker ticker;                             // all-zero: stopped
 *     thrum_ticker_start(&ticker, THRUM_MS(10));
 *     while (thrum_ticker_wait(&ticker) > 0) sample();        // until somebody stops it
 *
 * It does not drift: a tick's time depends on the first one's alone, however late somebody was for one in between. Ticks that
 * nobody waited for add up, and the next wait returns at once with their number; who wants to skip them need not look at it. A
 * tick goes to one thread: several that wait share them.
 *
 * A ticker costs nothing while nobody waits. It must stay where it is while threads use it. Threads of any kind may, several at
 * once. It goes on in the child of a fork. The clock is thrum_now's.
 *
 * A select has no case for a ticker: use thrum_case_at, or a thread that waits for the ticks and puts them into a queue. */
#ifndef THRUM_TICKER_H
#define THRUM_TICKER_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_ticker {
  thrum_time next;       /* the first tick that nobody has taken */
  thrum_duration period; /* 0: stopped */
} thrum_ticker;

/* Ticks a period from now for the first time, or at `first`, which may have passed. A ticker that ticks already begins anew, also
 * for those who wait. 0, or -EINVAL: the period is not above 0. Does not switch. */
THRUM_API int thrum_ticker_start(thrum_ticker *ticker, thrum_duration period);
THRUM_API int thrum_ticker_start_at(thrum_ticker *ticker, thrum_time first, thrum_duration period);

/* Waits for a tick. How many there have been since the last wait, 1 or more; or -EPIPE: the ticker is stopped, -ECANCELED, and
 * the timed form -ETIMEDOUT, the other one -EAGAIN. An error has taken no tick. Switches; a cancellation point; the try form neither. */
THRUM_API int64_t thrum_ticker_wait(thrum_ticker *ticker);
THRUM_API THRUM_MUST_CHECK int64_t thrum_ticker_wait_for(thrum_ticker *ticker, thrum_duration timeout);
THRUM_API int64_t thrum_ticker_try_wait(thrum_ticker *ticker);

/* No more ticks: those who wait return with -EPIPE, also with ticks that they have not taken. Does not switch. */
THRUM_API void thrum_ticker_stop(thrum_ticker *ticker);

#ifdef __cplusplus
}
#endif
#endif
