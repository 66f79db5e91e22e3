/* thrum_shared_rwlock: a shared lock for the writer, and a word for each process that reads.
 *
 * The word of a reading process, 64 bits; its upper half is the state that a writer waits for (shared_wait.h):
 *
 *   bits    name      meaning                                     changed by
 *   0-31    holder    whose word it is; 0: nobody's               a process that takes a word whose count is 0, or whose process is dead
 *   32      WANTED    a writer waits for the count to be 0        that writer; cleared with the count becoming 0
 *   33-63   count     reads that the process holds                its threads; a writer that finds the process dead makes it all 0
 *
 * Legal: WANTED: with a count that is not 0; its writer may have given up or died meanwhile, which costs a call of the kernel. A count of 0
 * leaves `holder` as it was: who had the word last.
 *
 * Who reads counts itself in, and then looks whether anybody writes, or waits to; if so it counts itself out again and waits as writers do,
 * for the lock of the writer, and counts itself in while it holds that. Who writes takes that lock, and then waits until every count is
 * 0. Both change a word and then look at the other's, with a fence in between: so either the reader sees the writer, or the writer
 * sees the count. Since all changes are compare-and-swaps of one word, one that is killed has either counted or not.
 *
 * A dead reader is found by the writer that waits for it: its count is dropped, since who reads leaves nothing half done. A dead writer is found
 * by whoever takes its lock next, by -EOWNERDEAD. Who did that in order to read holds the lock for writing then.
 *
 * Rejected: one count for all readers: who of them died? The readers' counts beside the table of slots: 512 words, of which a writer would look
 * at all. */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>

#define WANTED (UINT64_C(1) << 32)
#define READ (UINT64_C(1) << 33)

typedef _Atomic uint64_t reader_word;

static reader_word *word_of(thrum_shared_rwlock *lock, int i) { return (reader_word *)&lock->readers[i]; }
static thrumi_futex *state_of(thrum_shared_rwlock *lock, int i) {
  return (thrumi_futex *)&lock->readers[i] + 1;
}
static uint64_t count_of(uint64_t word) { return word / READ; }
static thrumi_holder holder_of(uint64_t word) { return (uint32_t)word; }

/* ---- Counting --------------------------------------------------------------------------------------------------------------- */

static bool count_in_at(thrum_shared_rwlock *lock, int i, thrumi_holder me, bool takes) {
  uint64_t seen = thrumi_load_relaxed(word_of(lock, i));
  for (;;) {
    bool mine = holder_of(seen) == me, free = count_of(seen) == 0;
    if (!mine && !(takes && free)) return false;
    uint64_t next = mine ? seen + READ : (seen & WANTED) | READ | me;
    if (thrumi_cas(word_of(lock, i), &seen, next)) return true;
  }
}

/* One read more of this process. False: so many processes read that there is no word for it. */
static bool count_in(thrum_shared_rwlock *lock, thrumi_holder me) {
  for (int takes = 0; takes < 2; takes++)
    for (int i = 0; i < THRUM_SHARED_READERS; i++)
      if (count_in_at(lock, i, me, takes)) {
        atomic_thread_fence(memory_order_seq_cst); /* with drain: the count, then the writer's lock */
        return true;
      }
  return false;
}

static bool count_out_at(thrum_shared_rwlock *lock, int i, thrumi_holder me) {
  uint64_t seen = thrumi_load_relaxed(word_of(lock, i)), next;
  do {
    if (holder_of(seen) != me || count_of(seen) == 0) return false;
    next = count_of(seen) == 1 ? (seen - READ) & ~WANTED : seen - READ;
  } while (!thrumi_cas(word_of(lock, i), &seen, next));
  if (seen & WANTED && count_of(seen) == 1) thrumi_shared_wake(state_of(lock, i), THRUMI_SHARED_EVERYBODY);
  return true;
}

static int count_out(thrum_shared_rwlock *lock, thrumi_holder me) {
  for (int i = 0; i < THRUM_SHARED_READERS; i++)
    if (count_out_at(lock, i, me)) return 0;
  return -EPERM;
}

/* ---- Waiting for readers ------------------------------------------------------------------------------------------------------ */

struct draining {
  struct thrumi_shared_wait wait;
  thrum_shared_rwlock *lock;
  struct thrumi_segment *segment;
  int64_t deadline;
  int flags;
};

/* Sleeps once, until the count is another, or its process has ended. */
static int await_reader(struct draining *d, int i, uint64_t seen) {
  uint64_t wanted = seen | WANTED;
  d->wait.end = thrumi_slot_watch(d->segment, holder_of(seen), &d->wait.end_expected);
  if (!d->wait.end) return 0;
  if (wanted != seen && !thrumi_cas(word_of(d->lock, i), &seen, wanted)) return 0;
  thrumi_enter();
  int error =
      thrumi_shared_await(&d->wait, state_of(d->lock, i), (uint32_t)(wanted >> 32), d->deadline, d->flags);
  thrumi_leave(thrumi_self());
  return error;
}

/* Until the count is 0. */
static int drain_one(struct draining *d, int i) {
  for (int error = 0;;) {
    uint64_t seen = thrumi_load(word_of(d->lock, i));
    if (count_of(seen) == 0) return 0;
    if (thrumi_slot_is_dead(d->segment, holder_of(seen))) {
      thrumi_cas(word_of(d->lock, i), &seen, 0);
      continue;
    }
    if (error) return error;
    error = await_reader(d, i, seen);
  }
}

static struct draining new_draining(thrum_shared_rwlock *lock, int64_t deadline, int flags) {
  return (struct draining){
      .wait = {.what = "a shared rwlock", .object = lock, .shift = THRUMI_SHARED_STATE},
      .lock = lock,
      .segment = thrumi_segment_of(lock),
      .deadline = deadline,
      .flags = flags,
  };
}

/* Holding the writer's lock: waits until nobody reads. */
static int drain(thrum_shared_rwlock *lock, int64_t deadline, int flags) {
  struct draining d = new_draining(lock, deadline, flags);
  int error = 0;
  atomic_thread_fence(memory_order_seq_cst); /* with count_in: the writer's lock, then the counts */
  thrumi_shared_ready();
  for (int i = 0; i < THRUM_SHARED_READERS && !error; i++) error = drain_one(&d, i);
  if (!error) thrumi_rely_on(lock);
  return error;
}

/* ---- Reading --------------------------------------------------------------------------------------------------------------- */

/* 0, or -EAGAIN: somebody writes, or waits to. */
static int read_at_once(thrum_shared_rwlock *lock, thrumi_holder me) {
  if (!count_in(lock, me)) return -EAGAIN;
  if (thrumi_shared_lock_is_free(&lock->writer)) {
    thrumi_rely_on(lock);
    return 0;
  }
  count_out(lock, me);
  return -EAGAIN;
}

/* Holding the writer's lock: nobody comes, some may leave. */
static int count_in_somewhere(thrum_shared_rwlock *lock, thrumi_holder me, int64_t deadline, int flags) {
  struct draining d = new_draining(lock, deadline, flags);
  int error = 0;
  for (int i = 0; !count_in(lock, me) && !error; i = (i + 1) % THRUM_SHARED_READERS) error = drain_one(&d, i);
  return error;
}

static int read_in_turn(thrum_shared_rwlock *lock, thrumi_holder me, int64_t deadline, int flags) {
  int error = thrumi_shared_lock_acquire(&lock->writer, deadline, flags);
  if (error == -EOWNERDEAD) drain(lock, INT64_MAX, 0);
  if (error) return error;
  thrumi_shared_ready();
  error = count_in_somewhere(lock, me, deadline, flags);
  thrum_shared_lock_release(&lock->writer);
  if (!error) thrumi_rely_on(lock);
  return error;
}

static int read_acquire(thrum_shared_rwlock *lock, int64_t deadline, int flags) {
  thrumi_holder me;
  int error = thrumi_shared_me(thrumi_segment_of(lock), &me);
  if (!error) error = read_at_once(lock, me);
  return error == -EAGAIN ? read_in_turn(lock, me, deadline, flags) : error;
}

int thrum_shared_rwlock_acquire_read(thrum_shared_rwlock *lock) { return read_acquire(lock, INT64_MAX, 0); }

/* A writer that died is found by who asks for its lock. */
int thrum_shared_rwlock_try_acquire_read(thrum_shared_rwlock *lock) {
  thrumi_holder me;
  int error = thrumi_shared_me(thrumi_segment_of(lock), &me);
  if (!error) error = read_at_once(lock, me);
  if (error != -EAGAIN) return error;
  error = thrum_shared_lock_try_acquire(&lock->writer);
  if (error == -EOWNERDEAD) drain(lock, INT64_MAX, 0);
  if (error) return error;
  error = count_in(lock, me) ? 0 : -EAGAIN;
  thrum_shared_lock_release(&lock->writer);
  return error;
}

int thrum_shared_rwlock_acquire_read_for(thrum_shared_rwlock *lock, thrum_duration timeout) {
  if (timeout <= 0) return thrumi_shared_poll_failed(thrum_shared_rwlock_try_acquire_read(lock));
  return read_acquire(lock, thrum_after(timeout), THRUMI_CANCELLABLE);
}

int thrum_shared_rwlock_release_read(thrum_shared_rwlock *lock) {
  thrumi_holder me;
  int error = thrumi_shared_me(thrumi_segment_of(lock), &me);
  thrumi_announce(lock);
  return error ? error : count_out(lock, me);
}

/* ---- Writing --------------------------------------------------------------------------------------------------------------- */

/* With the writer's lock taken, or not, by `error`. */
static int write_drained(thrum_shared_rwlock *lock, int error, int64_t deadline, int flags) {
  if (error == -EOWNERDEAD) drain(lock, INT64_MAX, 0);
  if (error) return error;
  error = drain(lock, deadline, flags);
  if (error) thrum_shared_lock_release(&lock->writer);
  return error;
}

int thrum_shared_rwlock_acquire_write(thrum_shared_rwlock *lock) {
  return write_drained(lock, thrum_shared_lock_acquire(&lock->writer), INT64_MAX, 0);
}

int thrum_shared_rwlock_try_acquire_write(thrum_shared_rwlock *lock) {
  int error = write_drained(lock, thrum_shared_lock_try_acquire(&lock->writer), 0, 0);
  return error == -ETIMEDOUT ? -EAGAIN : error;
}

int thrum_shared_rwlock_acquire_write_for(thrum_shared_rwlock *lock, thrum_duration timeout) {
  if (timeout <= 0) return thrumi_shared_poll_failed(thrum_shared_rwlock_try_acquire_write(lock));
  int64_t deadline = thrum_after(timeout);
  int error = thrumi_shared_lock_acquire(&lock->writer, deadline, THRUMI_CANCELLABLE);
  return write_drained(lock, error, deadline, THRUMI_CANCELLABLE);
}

int thrum_shared_rwlock_release_write(thrum_shared_rwlock *lock) {
  thrumi_announce(lock);
  return thrum_shared_lock_release(&lock->writer);
}

int thrum_shared_rwlock_recover(thrum_shared_rwlock *lock) {
  return thrum_shared_lock_recover(&lock->writer);
}
