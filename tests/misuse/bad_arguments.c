/* Arguments that cannot be right are -EINVAL, start nothing and leak nothing. */
#include "../support.h"

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static int spawn_with(thrum_options options, thrum_thread *t) {
  return thrum_spawn_with(t, &options, nothing, NULL);
}

static thrum_options defaults(void) {
  thrum_options options = THRUM_OPTIONS_INIT;
  return options;
}

static void null_function(void) {
  thrum_thread t = {12345};
  thrum_options options = defaults();
  CHECK_EQ(thrum_spawn(&t, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_spawn(NULL, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_spawn_named(&t, NULL, NULL, "x"), -EINVAL);
  CHECK_EQ(thrum_spawn_copy(&t, NULL, "x", 1), -EINVAL);
  CHECK_EQ(thrum_spawn_with(&t, &options, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_run(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_blocking(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_spawn_copy(&t, nothing, NULL, 8), -EINVAL);
}

static void absurd_stack_sizes(void) {
  static const size_t absurd[] = {1,        1000,           4096, THRUM_STACK_MIN - 1, ((size_t)1 << 40) + 1,
                                  SIZE_MAX, SIZE_MAX - 4095};
  for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
    thrum_thread t;
    thrum_options options = defaults();
    options.stack_size = absurd[i];
    CHECK_EQ(spawn_with(options, &t), -EINVAL);
    options.bound = true;
    CHECK_EQ(spawn_with(options, &t), -EINVAL);
  }
}

static void unknown_options(void) {
  thrum_thread t;
  thrum_options options = defaults();
  options.size = 0;
  CHECK_EQ(spawn_with(options, &t), -EINVAL);
  options.size = sizeof options + 8;
  CHECK_EQ(spawn_with(options, &t), -EINVAL);
}

/* Sizes that are within the limits, and beyond what any machine has: an error, not a crash. */
static void too_large_to_have(void) {
  thrum_options options = defaults();
  options.stack_size = (size_t)1 << 40;
  thrum_thread threads[200];
  int started = 0, error = 0;
  while (started < 200 && (error = spawn_with(options, &threads[started])) == 0) started++;
  if (started < 200) CHECK_EQ(error, -ENOMEM); /* 200 TiB: more than the address space of x86-64 */
  for (int i = 0; i < started; i++) CHECK_EQ(must_join(threads[i]), 0);
}

/* What is not held cannot be released, and stays as it is. */
static intptr_t release_write(void *lock) { return thrum_rwlock_release_write(lock); }
static intptr_t downgrade(void *lock) { return thrum_rwlock_downgrade(lock); }
static intptr_t release_read(void *lock) { return thrum_rwlock_release_read(lock); }
static intptr_t upgrade(void *lock) { return thrum_rwlock_try_upgrade(lock); }

static void rwlocks_not_held(void) {
  static thrum_fn *const calls[] = {release_write, downgrade, release_read, upgrade};
  thrum_rwlock lock = {0};
  for (int i = 0; i < 4; i++) CHECK_EQ(calls[i](&lock), -EPERM);
  CHECK_EQ(lock.word, 0);
  thrum_rwlock_acquire_read(&lock);
  uint64_t held = lock.word;
  for (int i = 0; i < 2; i++) CHECK_EQ(calls[i](&lock), -EPERM);
  CHECK_EQ(lock.word, held);
  CHECK_EQ(thrum_rwlock_try_acquire_write(&lock), -EAGAIN);
  CHECK_EQ(thrum_rwlock_acquire_write_for(&lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_rwlock_release_read(&lock), 0);
  thrum_rwlock_acquire_write(&lock);
  held = lock.word;
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(must_spawn(calls[i], &lock)), -EPERM); /* by another */
  for (int i = 2; i < 4; i++) CHECK_EQ(calls[i](&lock), -EPERM);
  CHECK_EQ(thrum_rwlock_try_acquire_read(&lock), -EAGAIN); /* by the writer itself */
  CHECK_EQ(thrum_rwlock_acquire_write_for(&lock, THRUM_US(50)), -ETIMEDOUT);
  CHECK_EQ(lock.word, held);
  CHECK_EQ(thrum_rwlock_release_write(&lock), 0);
  CHECK_EQ(lock.word, 0);
}

static void barriers_for_nobody(void) {
  thrum_barrier barrier = THRUM_BARRIER_INIT(2);
  CHECK_EQ(thrum_barrier_init(&barrier, 0), -EINVAL);
  CHECK_EQ(thrum_barrier_init(&barrier, -3), -EINVAL);
  CHECK_EQ(thrum_barrier_init_with(&barrier, INT32_MIN, nothing, NULL), -EINVAL);
  CHECK_EQ(barrier.parties, 2);
}

static intptr_t all(void *arg) {
  (void)arg;
  size_t before = thrum_active_count();
  null_function();
  absurd_stack_sizes();
  unknown_options();
  rwlocks_not_held();
  barriers_for_nobody();
  CHECK_EQ(thrum_active_count(), before);
  return 0;
}

static void descriptors(void) {
  char c;
  CHECK_EQ(thrum_read(-1, &c, 1), -EBADF);
  CHECK_EQ(thrum_write(-1, &c, 1), -EBADF);
  CHECK_EQ(thrum_read_for(-1, &c, 1, THRUM_MS(1)), -EBADF);
  CHECK_EQ(thrum_read(100000, &c, 1), -EBADF);
  CHECK_EQ(thrum_close(-1), -EBADF);
  CHECK_EQ(thrum_close(100000), -EBADF);
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(thrum_close(fds[0]), 0);
  CHECK_EQ(thrum_close(fds[0]), -EBADF);
  CHECK_EQ(thrum_write(fds[1], "x", 1), -EPIPE); /* and no SIGPIPE */
  CHECK_EQ(thrum_read(fds[1], &c, 1), -EBADF);
  CHECK_EQ(thrum_close(fds[1]), 0);
}

int main(void) {
  run_in_each_kind(all, NULL);
  if (!TESTS_SANITIZED) too_large_to_have();
  descriptors();
  CHECK_EQ(thrum_unpin(), -EPERM);
  CHECK_EQ(thrum_active_count(), 1);
  return 0;
}
