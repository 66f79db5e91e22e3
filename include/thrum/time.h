/* Time: spans are thrum_duration, points are thrum_time, both in nanoseconds of the monotonic clock, which
 * neither a changed wall clock nor a suspended machine moves.
 *
 *     thrum_time deadline = thrum_after(THRUM_S(2));
 *     ... thrum_read_for(fd, p, n, thrum_left(deadline)) ...    // any `_for` call takes what is left */
#ifndef THRUM_TIME_H
#define THRUM_TIME_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

THRUM_API thrum_time thrum_now(void);

/* now + span, THRUM_FOREVER if that is beyond the end of time. */
THRUM_API thrum_time thrum_after(thrum_duration span);

/* What is left until then: 0 if it has passed, THRUM_FOREVER for THRUM_FOREVER. */
THRUM_API thrum_duration thrum_left(thrum_time deadline);

/* Sleeps until then; a time that has passed yields. Switches; a cancellation point. 0 or -ECANCELED. */
THRUM_API int thrum_sleep_until(thrum_time when);

#ifdef __cplusplus
}
#endif
#endif
