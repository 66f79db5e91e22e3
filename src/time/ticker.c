/* Tickers: two numbers, guarded by the parking table's bucket of their address. Who waits sleeps until the next tick and looks
 * then; nothing ticks by itself, so one that nobody waits for costs nothing. Of several that wake for the same tick the first one
 * takes it. */
#include <sched/await.h>
#include <sched/self.h>
#include <thrum/ticker.h>
#include <thrum/time.h>

static int64_t sum(int64_t time, int64_t span) {
  int64_t result;
  return __builtin_add_overflow(time, span, &result) ? THRUM_FOREVER : result;
}

/* Takes all ticks up to `now`. How many; 0: none, *next is the time of the first to come; or -EPIPE. In the bucket. */
static int64_t take(thrum_ticker *ticker, int64_t now, int64_t *next) {
  if (ticker->period <= 0) return -EPIPE;
  *next = ticker->next;
  if (ticker->next > now || ticker->next == THRUM_FOREVER) return 0;
  uint64_t late = (uint64_t)now - (uint64_t)ticker->next; /* the first may lie before all time */
  uint64_t period = (uint64_t)ticker->period, ticks = late / period + 1;
  ticker->next = sum((int64_t)((uint64_t)now - late % period), ticker->period);
  return ticks > INT64_MAX ? INT64_MAX : (int64_t)ticks;
}

/* Once. 0: look again. */
static int64_t wait_once(thrum_ticker *ticker, int64_t deadline) {
  int64_t now = thrumi_os.now(), next;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(ticker);
  int64_t ticks = take(ticker, now, &next);
  if (ticks == 0 && deadline > now) {
    struct thrumi_waiter waiter;
    enum thrumi_wait_state outcome = thrumi_await(bucket, &waiter, ticker, "a ticker", ticker,
                                                  next < deadline ? next : deadline, THRUMI_CANCELLABLE);
    return outcome == THRUMI_CANCELLED ? -ECANCELED : 0;
  }
  thrumi_bucket_unlock(bucket);
  return ticks == 0 ? thrumi_poll_error(thrumi_self()->current) : ticks;
}

static int64_t wait_until(thrum_ticker *ticker, int64_t deadline) {
  int64_t ticks;
  thrumi_enter();
  do ticks = wait_once(ticker, deadline);
  while (ticks == 0);
  thrumi_rely_on(ticker);
  thrumi_leave(thrumi_self());
  return ticks;
}

int64_t thrum_ticker_wait(thrum_ticker *ticker) { return wait_until(ticker, THRUM_FOREVER); }

int64_t thrum_ticker_wait_for(thrum_ticker *ticker, thrum_duration timeout) {
  return wait_until(ticker, timeout > 0 ? thrum_after(timeout) : INT64_MIN);
}

int64_t thrum_ticker_try_wait(thrum_ticker *ticker) {
  int64_t ticks = wait_until(ticker, INT64_MIN);
  return ticks == -ETIMEDOUT || ticks == -ECANCELED ? -EAGAIN : ticks;
}

/* A new period; all who wait look at it. */
static void set(thrum_ticker *ticker, int64_t first, thrum_duration period) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_announce(ticker);
  struct thrumi_bucket *bucket = thrumi_bucket_lock(ticker);
  ticker->next = first;
  ticker->period = period;
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, ticker));) thrumi_let_go(bucket, w, 0);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
}

int thrum_ticker_start_at(thrum_ticker *ticker, thrum_time first, thrum_duration period) {
  if (period <= 0) return -EINVAL;
  set(ticker, first, period);
  return 0;
}

int thrum_ticker_start(thrum_ticker *ticker, thrum_duration period) {
  return thrum_ticker_start_at(ticker, thrum_after(period), period);
}

void thrum_ticker_stop(thrum_ticker *ticker) { set(ticker, 0, 0); }
