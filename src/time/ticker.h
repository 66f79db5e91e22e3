/* For who waits for a ticker and for other things at the same time (a select): it asks for ticks; if there are none it queues
 * at the ticker's address in the parking table, where a stop or a new start lets all go, and parks until *next at the latest. */
#ifndef THRUMI_TICKER_H
#define THRUMI_TICKER_H

#include <stdint.h>
#include <thrum/ticker.h>

/* Takes all ticks up to `now`. How many; 0: none, *next is the time of the first to come; or -EPIPE. In the bucket of the ticker's
 * address. */
int64_t thrumi_ticker_take(thrum_ticker *ticker, int64_t now, int64_t *next);

#endif
