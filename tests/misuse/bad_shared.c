/* Calls on shared objects that cannot be right say so, and change nothing: outside of shared memory, by who does not hold, with numbers
 * that cannot be, and after the memory has been attached elsewhere. */
#include "../support.h"

static thrum_shared_memory *memory;

static struct shared {
  thrum_shared_lock lock;
  thrum_shared_rlock rlock;
  thrum_shared_rwlock rwlock;
  thrum_shared_cond cond;
  thrum_shared_sem sem;
  thrum_shared_barrier barrier;
} * s;

static intptr_t test_private_memory(void *arg) {
  (void)arg;
  static struct shared private;
  CHECK_EQ(thrum_shared_lock_acquire(&private.lock), -EINVAL);
  CHECK_EQ(thrum_shared_lock_try_acquire(&private.lock), -EINVAL);
  CHECK_EQ(thrum_shared_lock_acquire_for(&private.lock, 0), -EINVAL);
  CHECK_EQ(thrum_shared_lock_release(&private.lock), -EPERM);
  CHECK_EQ(thrum_shared_lock_holder(&private.lock), 0);
  CHECK_EQ(thrum_shared_rlock_acquire(&private.rlock), -EINVAL);
  CHECK_EQ(thrum_shared_rwlock_acquire_read(&private.rwlock), -EINVAL);
  CHECK_EQ(thrum_shared_rwlock_try_acquire_write(&private.rwlock), -EINVAL);
  CHECK_EQ(thrum_shared_rwlock_release_read(&private.rwlock), -EINVAL);
  CHECK_EQ(thrum_shared_cond_wait(&private.cond, &private.lock), -EPERM);
  return 0;
}

static intptr_t test_not_held(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_lock_release(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_lock_recover(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), -EPERM);
  CHECK_EQ(thrum_shared_rwlock_release_read(&s->rwlock), -EPERM);
  CHECK_EQ(thrum_shared_rwlock_release_write(&s->rwlock), -EPERM);
  CHECK_EQ(thrum_shared_rwlock_recover(&s->rwlock), -EPERM);
  CHECK_EQ(thrum_shared_cond_wait(&s->cond, &s->lock), -EPERM);
  CHECK_EQ(thrum_shared_cond_wait_rlock_for(&s->cond, &s->rlock, 0), -EPERM);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0); /* nothing has happened to it */
  CHECK_EQ(thrum_shared_lock_recover(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), 0);
  s->rlock.depth = UINT32_MAX; /* as if taken so often */
  CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), -EOVERFLOW);
  s->rlock.depth = 1;
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
  return 0;
}

static intptr_t test_numbers(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_sem_init(&s->sem, 1, -1), -EINVAL);
  CHECK_EQ(thrum_shared_sem_init(&s->sem, -1, 1), -EINVAL);
  CHECK_EQ(thrum_shared_sem_init(&s->sem, THRUM_SHARED_SEM_MAX, 0), 0);
  CHECK_EQ(thrum_shared_sem_release(&s->sem, 1), -EOVERFLOW);
  CHECK_EQ(thrum_shared_sem_release(&s->sem, -1), -EINVAL);
  CHECK_EQ(thrum_shared_sem_value(&s->sem), THRUM_SHARED_SEM_MAX);
  CHECK_EQ(thrum_shared_barrier_init(&s->barrier, -1), -EINVAL);
  CHECK_EQ(thrum_shared_barrier_init(&s->barrier, 40000), -EINVAL);
  CHECK_EQ(thrum_shared_cond_notify(&s->cond, -5), 0);
  return 0;
}

/* Memory that was given back is no place for a lock any more, and who closed it is dead for it: in another process too. */
static void test_closed(void) {
  thrum_shared_memory *other;
  CHECK_EQ(thrum_shared_memory_create(&other, NULL, sizeof *s, NULL), 0);
  struct shared *there = (struct shared *)thrum_shared_memory_data(other);
  int fd = dup(thrum_shared_memory_fd(other));
  CHECK_EQ(thrum_shared_lock_acquire(&there->lock), 0);
  thrum_shared_memory_close(other);
  CHECK_EQ(thrum_shared_memory_attach_fd(&other, fd), 0);
  there = (struct shared *)thrum_shared_memory_data(other);
  CHECK_EQ(thrum_shared_lock_acquire(&there->lock), -EOWNERDEAD);
  CHECK_EQ(thrum_shared_lock_recover(&there->lock), 0);
  CHECK_EQ(thrum_shared_lock_release(&there->lock), 0);
  thrum_shared_memory_close(other);
}

int main(void) {
  CHECK_EQ(thrum_shared_memory_create(&memory, NULL, sizeof *s, NULL), 0);
  s = (struct shared *)thrum_shared_memory_data(memory);
  run_in_each_kind(test_private_memory, NULL);
  run_in_each_kind(test_not_held, NULL);
  run_in_each_kind(test_numbers, NULL);
  test_closed();
  thrum_shared_memory_close(memory);
  return 0;
}
