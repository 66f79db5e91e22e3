/* The readers-writer lock: its inline paths and those of sync/rwlock.c, with the parking table and the wait word beneath.
 * Readers and writers come and go, give up when their time is over, and become one from the other. In every order nobody is
 * inside beside a writer, nobody waits for ever, and the word is 0 in the end. */
#include "explore.h"

#include <stdbool.h>

#include <core/parking.h>
#include <errno.h>
#include <sched/self.h>
#include <sched/timeout.h>
#include <stdlib.h>
#include <string.h>
#include <sync/lock.h>

enum { CALLERS = 3, SLOT = 1, WRITER_INSIDE = 1000, LATE = THRUM_MS(2) };

static struct thrumi_thread records[CALLERS];
static struct thrumi_kthread kthreads[CALLERS];
static struct thrumi_worker worker;
static _Atomic uint32_t ready[CALLERS];
static thrum_rwlock candidates[4096], *the_lock;
#define lock \
  (*the_lock) /* one whose two queues share a bucket: fewer steps, of which none decides anything */
static _Atomic uint32_t inside; /* readers, and WRITER_INSIDE a writer */
static struct {
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
} timeout;
static _Atomic uint32_t one_waits, both_wait; /* of callers 1 and 2 */
static int waited, stayed;
static _Atomic uint32_t timed; /* the timeout runs, or will not */
static bool watched;           /* who is inside is counted */
static int64_t now, tick;
static enum held {
  BY_NOBODY,
  BY_READER,
  BY_WRITER,
  BY_STRANGER
} held; /* as it begins; a stranger reads, and stays */

/* ---- The parts of the scheduler that these functions call ---------------------------------------------- */

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

uint32_t explore_mark(void) { return thrumi_self()->current->mark; }

thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (thrum_thread){t->slot}; }
void thrumi_make_ready(struct thrumi_thread *t) { thrumi_add(&ready[t - records], 1u); }

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (++waited <= 2) thrumi_store(waited == 1 ? &one_waits : &both_wait, 1);
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready[t - records]);
  EXPECT(thrumi_swap(&ready[t - records], 0) == 1);
}

uint32_t thrumi_timeout_start(struct thrumi_thread *t, uint32_t shard, int64_t deadline) {
  (void)deadline;
  timeout.thread = t;
  timeout.ticket = thrumi_wait_ticket(&t->wait);
  thrumi_store(&timed, 1);
  return shard;
}
void thrumi_timeout_stop(struct thrumi_thread *t, uint32_t shard) { (void)t, (void)shard; }

int64_t thrumi_clock(void) { return now; }
thrum_time thrum_after(thrum_duration d) { return now + d; }
static int64_t model_now(void) { return now += tick; }

bool thrumi_holder_runs(uint64_t word, const struct thrumi_thread *me) { return (void)word, (void)me, false; }

/* ---- What happens at once ------------------------------------------------------------------------------ */

/* With three threads that would be too many steps: what is checked there is that all end, and the word. */
static void enter_as(uint32_t who) {
  if (watched) EXPECT(who == 1 ? thrumi_add(&inside, who) < WRITER_INSIDE : thrumi_add(&inside, who) == 0);
}

static void leave_as(uint32_t who) {
  if (watched) EXPECT(thrumi_add(&inside, -who) == who || who == 1);
}

static void be_reader(void) { enter_as(1); }
static void be_no_reader(void) { leave_as(1); }
static void be_writer(void) { enter_as(WRITER_INSIDE); }
static void be_no_writer(void) { leave_as(WRITER_INSIDE); }

static void leave_reading(void) {
  be_no_reader();
  EXPECT(thrum_rwlock_release_read(&lock) == 0);
}

static void leave_writing(void) {
  be_no_writer();
  EXPECT(thrum_rwlock_release_write(&lock) == 0);
}

static void stop_reading(void *unused) {
  (void)unused;
  leave_reading();
}

static void stop_writing(void *unused) {
  (void)unused;
  leave_writing();
}

static void stop_writing_late(void *unused) {
  explore_await(&both_wait);
  stop_writing(unused);
}

static void stop_writing_to_one(void *unused) {
  explore_await(&one_waits);
  stop_writing(unused);
}

static void read_once(void *unused) {
  (void)unused;
  thrum_rwlock_acquire_read(&lock);
  be_reader();
  leave_reading();
}

static void write_once(void *unused) {
  (void)unused;
  thrum_rwlock_acquire_write(&lock);
  be_writer();
  leave_writing();
}

static void write_then_read(void *unused) {
  (void)unused;
  if (held == BY_WRITER) {
    explore_await(&both_wait);
  } else {
    thrum_rwlock_acquire_write(&lock);
    be_writer();
  }
  be_no_writer();
  be_reader();
  EXPECT(thrum_rwlock_downgrade(&lock) == 0);
  leave_reading();
}

static void read_then_write(void *unused) {
  (void)unused;
  thrum_rwlock_acquire_read(&lock);
  be_reader();
  if (thrum_rwlock_try_upgrade(&lock) != 0) {
    leave_reading();
    return;
  }
  be_no_reader();
  be_writer();
  leave_writing();
}

static void read_and_stay(void *unused) {
  (void)unused;
  thrum_rwlock_acquire_read(&lock);
  stayed++;
}

static void become_reader_and_stay(void *unused) {
  (void)unused;
  EXPECT(thrum_rwlock_downgrade(&lock) == 0);
  stayed++;
}

/* Comes when somebody has queued whose time may be over. */
static void read_behind(void *unused) {
  explore_await(&timed);
  read_once(unused);
}

static void write_behind(void *unused) {
  explore_await(&timed);
  write_once(unused);
}

static void write_impatiently(void *unused) {
  (void)unused;
  int error = thrum_rwlock_acquire_write_for(&lock, 1);
  EXPECT(error == 0 || error == -ETIMEDOUT);
  if (!error) {
    be_writer();
    leave_writing();
  }
  thrumi_store(&timed, 1);
}

static void read_impatiently(void *unused) {
  (void)unused;
  int error = thrum_rwlock_acquire_read_for(&lock, 1);
  EXPECT(error == 0 || error == -ETIMEDOUT);
  if (!error) {
    be_reader();
    leave_reading();
  }
  thrumi_store(&timed, 1);
}

static void deadline(void *unused) {
  (void)unused;
  explore_await(&timed);
  if (timeout.thread) thrumi_wake(timeout.thread, timeout.ticket, THRUMI_TIMED_OUT);
}

/* The time of whoever waits is over before the last reader, or the writer, leaves. */
static void deadline_then_stop_reading(void *unused) {
  deadline(unused);
  leave_reading();
}

static void deadline_then_stop_writing(void *unused) {
  deadline(unused);
  leave_writing();
}

static thrum_rwlock *with_one_bucket(void) {
  for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
    struct thrumi_buckets b = thrumi_buckets_lock(&candidates[i], (char *)&candidates[i] + 4);
    thrumi_buckets_unlock(b);
    if (b.of[0] == b.of[1]) return &candidates[i];
  }
  abort();
}

static void reset_to(int64_t step, enum held by) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  for (uint32_t i = 0; i < CALLERS; i++) {
    records[i].slot = SLOT + i;
    records[i].mark = 1u << 24 | (SLOT + i);
    atomic_store(&kthreads[i].current, &records[i]);
    kthreads[i].worker = &worker;
    atomic_store(&ready[i], 0);
  }
  if (!the_lock) the_lock = with_one_bucket();
  held = by;
  lock.word = by == BY_NOBODY   ? 0
              : by == BY_WRITER ? thrumi_rwlock_mine(records[0].mark)
                                : (uint64_t)THRUMI_RWLOCK_ONE;
  watched = by == BY_NOBODY || by == BY_STRANGER;
  atomic_store(&inside, 0);
  atomic_store(&timed, 0);
  atomic_store(&one_waits, 0);
  atomic_store(&both_wait, 0);
  waited = 0;
  stayed = by == BY_STRANGER;
  timeout.thread = NULL;
  now = 1;
  tick = step;
  thrumi_os.now = model_now;
  thrumi_parking_fork(); /* a schedule that was cut short leaves waiters behind */
}

/* Time stands still: no writer waits for long. And time flies: each one does. */
static void reset(void) { reset_to(0, BY_NOBODY); }
static void reset_late(void) { reset_to(LATE, BY_NOBODY); }
static void reset_read(void) { reset_to(0, BY_READER); }
static void reset_written(void) { reset_to(0, BY_WRITER); }
static void reset_written_late(void) { reset_to(LATE, BY_WRITER); }
static void reset_strange(void) { reset_to(0, BY_STRANGER); }

static void check(void) {
  EXPECT(lock.word == (uint64_t)stayed * THRUMI_RWLOCK_ONE);
  EXPECT(inside == 0);
}

#define CALLER(i, fn) \
  { .name = #fn, .run = fn, .self = &kthreads[i] }
#define MODEL(text, when, ...) \
  { \
    .name = "rwlock, " text, .reset = when, .check = check, .threads = { __VA_ARGS__ } \
  }

static const struct explore_model models[] = {
    MODEL("writer and reader", reset, CALLER(0, write_once), CALLER(1, read_once)),
    MODEL("two writers", reset, CALLER(0, write_once), CALLER(1, write_once)),
    MODEL("two writers, late", reset_late, CALLER(0, write_once), CALLER(1, write_once)),
    MODEL("upgrade and upgrade", reset, CALLER(0, read_then_write), CALLER(1, read_then_write)),
    MODEL("upgrade and writer", reset, CALLER(0, read_then_write), CALLER(1, write_once)),
    MODEL("downgrade and reader", reset, CALLER(0, write_then_read), CALLER(1, read_once)),
    MODEL("downgrade and reader, both stay", reset_written, CALLER(0, become_reader_and_stay),
          CALLER(1, read_and_stay)),
    MODEL("downgrade and writer", reset, CALLER(0, write_then_read), CALLER(1, write_once)),
    MODEL("impatient writer", reset, CALLER(0, write_once), CALLER(1, write_impatiently),
          CALLER(2, deadline)),
    MODEL("impatient reader", reset, CALLER(0, write_once), CALLER(1, read_impatiently), CALLER(2, deadline)),
    MODEL("impatient writer, a reader stays", reset_strange, CALLER(0, write_impatiently),
          CALLER(1, read_once), CALLER(2, deadline)),
    MODEL("impatient reader, a reader leaves", reset_read, CALLER(0, deadline_then_stop_reading),
          CALLER(1, write_once), CALLER(2, read_impatiently)),
    MODEL("reader leaves, writer and reader", reset_read, CALLER(0, stop_reading), CALLER(1, write_once),
          CALLER(2, read_once)),
    MODEL("reader leaves, two writers", reset_read, CALLER(0, stop_reading), CALLER(1, write_once),
          CALLER(2, write_once)),
    MODEL("writer leaves, two writers", reset_written, CALLER(0, stop_writing), CALLER(1, write_once),
          CALLER(2, write_once)),
    MODEL("writer leaves late, two writers", reset_written_late, CALLER(0, stop_writing),
          CALLER(1, write_once), CALLER(2, write_once)),
    MODEL("writer leaves, writer and reader wait", reset_written, CALLER(0, stop_writing_late),
          CALLER(1, write_once), CALLER(2, read_once)),
    MODEL("writer leaves, two readers wait and stay", reset_written, CALLER(0, stop_writing_late),
          CALLER(1, read_and_stay), CALLER(2, read_and_stay)),
    MODEL("writer becomes reader, writer and reader wait", reset_written, CALLER(0, write_then_read),
          CALLER(1, write_once), CALLER(2, read_once)),
    MODEL("writer leaves, one waits, writer and reader", reset_written, CALLER(0, stop_writing_to_one),
          CALLER(1, write_once), CALLER(2, read_once)),
    MODEL("impatient writer and writer, a writer leaves", reset_written,
          CALLER(0, deadline_then_stop_writing), CALLER(1, write_impatiently), CALLER(2, write_behind)),
    MODEL("impatient writer and reader, a writer leaves", reset_written,
          CALLER(0, deadline_then_stop_writing), CALLER(1, write_impatiently), CALLER(2, read_behind)),
    MODEL("impatient writer, a reader leaves", reset_read, CALLER(0, deadline_then_stop_reading),
          CALLER(1, write_impatiently), CALLER(2, read_behind)),
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
