/* A manager's locks, semaphores and events. All under the server's lock.
 *
 * Who waits longest is next, and nobody comes in between: a release hands over. The holder of a lock is a session, that of an rlock a
 * thread of one; a holder's locks are in its session's list `held`. Those whose holder died are `bereft` until the next holder has been
 * told. */
#include <process/manager.h>

/* ---- Locks -------------------------------------------------------------------------------------------------------------- */

/* To a request that is in no list; nobody holds the lock. */
static void grant(struct thrumi_server_lock *lock, struct thrumi_request *r) {
  int status = lock->bereft ? -EOWNERDEAD : 0;
  lock->bereft = false;
  lock->holder = r->session;
  lock->thread = r->words.argument;
  lock->count = 1;
  thrumi_ring_insert(&r->session->held, &lock->held);
  thrumi_request_finish(r, status);
}

static void pass_on(struct thrumi_server_lock *lock) {
  thrumi_ring_remove(&lock->held);
  lock->holder = NULL;
  struct thrumi_request *next = thrumi_first_wait(&lock->object.waits);
  if (!next) return;
  thrumi_request_take(next);
  grant(lock, next);
}

void thrumi_lock_bereave(struct thrumi_server_lock *lock) {
  lock->bereft = true;
  pass_on(lock);
}

static bool is_holder(const struct thrumi_server_lock *lock, const struct thrumi_request *r) {
  bool thread = lock->object.kind == THRUMI_KIND_LOCK || lock->thread == r->words.argument;
  return lock->holder == r->session && thread;
}

static int acquire(struct thrumi_server_lock *lock, struct thrumi_request *r) {
  if (!lock->holder) {
    grant(lock, r);
    return 0;
  }
  if (lock->object.kind != THRUMI_KIND_RLOCK || !is_holder(lock, r))
    return thrumi_request_wait(r, &lock->object.waits);
  if (lock->count == UINT32_MAX) return -EOVERFLOW;
  lock->count++;
  thrumi_request_finish(r, 0);
  return 0;
}

static int release(struct thrumi_server_lock *lock, struct thrumi_request *r) {
  if (!is_holder(lock, r)) return -EPERM;
  thrumi_request_finish(r, 0);
  if (--lock->count == 0) pass_on(lock);
  return 0;
}

void thrumi_lock_do(struct thrumi_server_lock *lock, struct thrumi_request *r) {
  int status = r->words.operation == THRUMI_OP_ACQUIRE ? acquire(lock, r) : release(lock, r);
  if (status) thrumi_request_finish(r, status);
}

/* ---- Semaphores and events ---------------------------------------------------------------------------------------------- */

static int done(struct thrumi_request *r, uint64_t value) {
  r->reply.value = value;
  thrumi_request_finish(r, 0);
  return 0;
}

static int down(struct thrumi_server_count *sem, struct thrumi_request *r) {
  if (!sem->value) return thrumi_request_wait(r, &sem->object.waits);
  sem->value--;
  return done(r, 0);
}

static int up(struct thrumi_server_count *sem, struct thrumi_request *r) {
  if (r->words.argument > UINT32_MAX - sem->value) return -EOVERFLOW;
  sem->value += (uint32_t)r->words.argument;
  for (struct thrumi_request *next; sem->value && (next = thrumi_first_wait(&sem->object.waits));) {
    thrumi_request_take(next);
    down(sem, next);
  }
  return done(r, 0);
}

static int set(struct thrumi_server_count *event, struct thrumi_request *r, uint32_t value) {
  event->value = value;
  if (value) thrumi_finish_all(&event->object.waits, 0);
  return done(r, 0);
}

static int perform(struct thrumi_server_count *count, struct thrumi_request *r) {
  switch (r->words.operation) {
  case THRUMI_OP_DOWN: return down(count, r);
  case THRUMI_OP_UP: return up(count, r);
  case THRUMI_OP_RAISE: return set(count, r, 1);
  case THRUMI_OP_CLEAR: return set(count, r, 0);
  case THRUMI_OP_WAIT: return count->value ? done(r, 0) : thrumi_request_wait(r, &count->object.waits);
  default: return done(r, count->value);
  }
}

void thrumi_count_do(struct thrumi_server_count *count, struct thrumi_request *r) {
  int status = perform(count, r);
  if (status) thrumi_request_finish(r, status);
}
