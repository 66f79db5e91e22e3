/* What is free is taken, and what nobody waits for is given, by the code in the headers. Each name that they call where that code
 * does not do is counted by the linker's --wrap (meson.build has the same list), and then does what it does: no call goes there.
 * One call is allowed: who takes a gil notes when, by thrumi_gil_begin, once each time; that reads the clock.
 *
 * Calls in any case, and not in this test: all of conditions and barriers, a once until it has run, what destroys or names. */
#include "../support.h"

enum { ROUNDS = 1000 };

static long slow_calls, gil_begins; /* of this thread: nobody else uses an object meanwhile */

/* By the calling conventions of both architectures the arguments, at most four, are in registers, and so is the result. */
#define COUNTED(name) \
  intptr_t __real_thrumi_##name##_slow(intptr_t a, intptr_t b, intptr_t c, intptr_t d); \
  intptr_t __wrap_thrumi_##name##_slow(intptr_t a, intptr_t b, intptr_t c, intptr_t d); \
  intptr_t __wrap_thrumi_##name##_slow(intptr_t a, intptr_t b, intptr_t c, intptr_t d) { \
    ADD(slow_calls, 1); \
    return __real_thrumi_##name##_slow(a, b, c, d); \
  }

COUNTED(lock_acquire)
COUNTED(lock_try)
COUNTED(lock_for)
COUNTED(lock_release)
COUNTED(rlock_acquire)
COUNTED(rlock_try)
COUNTED(rlock_for)
COUNTED(rwlock_read)
COUNTED(rwlock_try_read)
COUNTED(rwlock_read_for)
COUNTED(rwlock_release_read)
COUNTED(rwlock_write)
COUNTED(rwlock_try_write)
COUNTED(rwlock_write_for)
COUNTED(rwlock_release_write)
COUNTED(sem_acquire)
COUNTED(sem_try)
COUNTED(sem_for)
COUNTED(sem_release)
COUNTED(event_set)
COUNTED(event_clear)
COUNTED(event_wait)
COUNTED(event_for)
COUNTED(once)
COUNTED(once_for)
COUNTED(waitgroup_add)
COUNTED(waitgroup_wait)
COUNTED(waitgroup_for)
COUNTED(gil_acquire)
COUNTED(gil_try)
COUNTED(gil_for)
COUNTED(gil_release)
COUNTED(gil_check)

void __real_thrumi_gil_begin(thrum_gil *gil);
void __wrap_thrumi_gil_begin(thrum_gil *gil);
void __wrap_thrumi_gil_begin(thrum_gil *gil) {
  ADD(gil_begins, 1);
  __real_thrumi_gil_begin(gil);
}

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_rwlock rwlock;
static thrum_sem sem = THRUM_SEM_INIT(1);
static thrum_event event;
static thrum_waitgroup group;
static thrum_once once;
static thrum_gil gil;

static void use_locks(void) {
  thrum_lock_acquire(&lock);
  CHECK(thrum_lock_held(&lock));
  CHECK_EQ(thrum_lock_release(&lock) | thrum_lock_try_acquire(&lock), 0);
  CHECK_EQ(thrum_lock_release(&lock) | thrum_lock_acquire_for(&lock, THRUM_S(1)), 0);
  CHECK_EQ(thrum_lock_release(&lock) | thrum_lock_acquire_for(&lock, 0), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  THRUM_LOCKED(&lock) {}
}

static void use_rlocks(void) {
  thrum_rlock_acquire(&rlock);
  thrum_rlock_acquire(&rlock); /* again */
  CHECK_EQ(thrum_rlock_release(&rlock) | thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_rlock_try_acquire(&rlock) | thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_rlock_acquire_for(&rlock, THRUM_S(1)) | thrum_rlock_release(&rlock), 0);
  THRUM_RLOCKED(&rlock) {}
}

static void use_rwlocks(void) {
  thrum_rwlock_acquire_read(&rwlock);
  CHECK_EQ(thrum_rwlock_try_acquire_read(&rwlock), 0);
  CHECK_EQ(thrum_rwlock_acquire_read_for(&rwlock, THRUM_S(1)), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_rwlock_release_read(&rwlock), 0);
  thrum_rwlock_acquire_write(&rwlock);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock) | thrum_rwlock_try_acquire_write(&rwlock), 0);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock) | thrum_rwlock_acquire_write_for(&rwlock, THRUM_S(1)), 0);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock), 0);
  THRUM_READ_LOCKED(&rwlock) {}
  THRUM_WRITE_LOCKED(&rwlock) {}
}

static intptr_t no_more(void *unused) { return unused ? 1 : 0; }

static void use_others(void) {
  thrum_sem_acquire(&sem);
  CHECK_EQ(thrum_sem_release(&sem, 1) | thrum_sem_try_acquire(&sem), 0);
  CHECK_EQ(thrum_sem_release(&sem, 2) | thrum_sem_acquire_for(&sem, THRUM_S(1)), 0);
  thrum_event_set(&event);
  thrum_event_wait(&event);
  CHECK_EQ(thrum_event_wait_for(&event, THRUM_S(1)), 0);
  thrum_event_clear(&event);
  thrum_waitgroup_add(&group, 2);
  thrum_waitgroup_add(&group, -1);
  thrum_waitgroup_done(&group);
  thrum_waitgroup_wait(&group);
  CHECK_EQ(thrum_waitgroup_wait_for(&group, THRUM_S(1)), 0);
  CHECK_EQ(thrum_once_call(&once, no_more, &once), 0); /* it was done */
  CHECK_EQ(thrum_once_call_for(&once, no_more, &once, THRUM_S(1)), 0);
}

static void use_gil(void) {
  STORE(gil_begins, 0);
  thrum_gil_acquire(&gil);
  thrum_gil_check(&gil);
  CHECK_EQ(gil_begins, 1);
  CHECK_EQ(thrum_gil_release(&gil) | thrum_gil_try_acquire(&gil), 0);
  CHECK_EQ(thrum_gil_release(&gil) | thrum_gil_acquire_for(&gil, THRUM_S(1)), 0);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  CHECK_EQ(gil_begins, 3); /* of three acquires; a check and a release call nothing */
}

static intptr_t free_ones(void *arg) {
  (void)arg;
  CHECK(thrum_current().value); /* from here on the thread has its mark */
  CHECK_EQ(thrum_once_call(&once, no_more, NULL), 0);
  STORE(slow_calls, 0);
  for (int i = 0; i < ROUNDS; i++) {
    use_locks();
    use_rlocks();
    use_rwlocks();
    use_others();
    use_gil();
    if (slow_calls) check_failed(__FILE__, __LINE__, "%ld calls out of line in round %d", slow_calls, i);
  }
  return 0;
}

/* The count itself must work, for each of them: what would wait, or is not held, does go out of line. */
static void taken_ones_are_counted(void) {
  static thrum_sem none;
  STORE(slow_calls, 0);
  thrum_lock_acquire(&lock);
  CHECK_EQ(thrum_lock_try_acquire(&lock), -EAGAIN);
  CHECK_EQ(thrum_lock_acquire_for(&lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK_EQ(thrum_lock_release(&lock), -EPERM);
  CHECK_EQ(slow_calls, 3);
  thrum_rwlock_acquire_write(&rwlock);
  CHECK_EQ(thrum_rwlock_try_acquire_read(&rwlock), -EAGAIN);
  CHECK_EQ(thrum_rwlock_acquire_read_for(&rwlock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_rwlock_try_acquire_write(&rwlock), -EAGAIN);
  CHECK_EQ(thrum_rwlock_acquire_write_for(&rwlock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_rwlock_release_read(&rwlock), -EPERM);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock), 0);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock), -EPERM);
  CHECK_EQ(slow_calls, 9);
  CHECK_EQ(thrum_sem_try_acquire(&none), -EAGAIN);
  CHECK_EQ(thrum_sem_acquire_for(&none, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_sem_release(&none, 0), -EINVAL);
  CHECK_EQ(thrum_event_wait_for(&event, 0), -ETIMEDOUT);
  CHECK_EQ(slow_calls, 13);
  thrum_waitgroup_add(&group, 1);
  CHECK_EQ(thrum_waitgroup_wait_for(&group, 0), -ETIMEDOUT);
  thrum_waitgroup_done(&group);
  thrum_gil_acquire(&gil);
  CHECK_EQ(thrum_gil_try_acquire(&gil), -EAGAIN);
  CHECK_EQ(thrum_gil_acquire_for(&gil, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  CHECK_EQ(thrum_gil_release(&gil), -EPERM);
  CHECK_EQ(slow_calls, 17);
}

int main(void) {
  run_in_each_kind(free_ones, NULL);
  taken_ones_are_counted();
  return 0;
}
