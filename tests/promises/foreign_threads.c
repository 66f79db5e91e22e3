/* An OS thread that thrum did not start may call everything, takes no worker, and leaves no trace of itself.
 * */
#include "../support.h"

#include "../dumped.h"

enum { THREADS = 8, ROUNDS = 40 };

static thrum_thread light;
static bool stop;
static int ready;

static intptr_t stay(void *arg) {
  (void)arg;
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  return 5;
}

static intptr_t twice(void *arg) {
  thrum_yield();
  return 2 * (intptr_t)arg;
}

static intptr_t echo(void *arg) {
  int *fds = arg;
  char c;
  CHECK_EQ(thrum_read(fds[0], &c, 1), 1);
  return thrum_write(fds[3], &c, 1);
}

static void read_and_write(void) {
  int fds[4];
  char c = 0;
  CHECK(pipe(fds) == 0 && pipe(fds + 2) == 0);
  thrum_thread t = must_spawn(echo, fds);
  CHECK_EQ(thrum_write(fds[1], "e", 1), 1);
  CHECK_EQ(thrum_read(fds[2], &c, 1), 1);
  CHECK_EQ(c, 'e');
  CHECK_EQ(must_join(t), 1);
  for (int i = 0; i < 4; i++) CHECK_EQ(thrum_close(fds[i]), 0);
}

static void ask(void) {
  static thrum_local local;
  thrum_thread me = thrum_current();
  CHECK(thrum_id(me) != 0 && thrum_is_alive(me));
  CHECK(!thrum_same(me, thrum_main_thread()));
  CHECK_EQ(thrum_native_id(me), gettid());
  CHECK(thrum_local_get(&local) == NULL);
  CHECK_EQ(thrum_local_set(&local, &local), 0);
  CHECK(thrum_local_get(&local) == &local);
  CHECK_EQ(thrum_local_set(&local, NULL), 0);
  CHECK_EQ(thrum_stack_used(me), -ENOTSUP);
  CHECK_EQ(thrum_join(me, NULL), -EDEADLK);
  CHECK_EQ(thrum_detach(me), -EINVAL);
  CHECK(thrum_pin() == 0 && thrum_unpin() == 0);
}

static intptr_t use_everything(void *arg) {
  thrum_thread threads[10];
  ask();
  for (int i = 0; i < 10; i++) threads[i] = must_spawn(twice, (void *)(intptr_t)i);
  for (int i = 0; i < 10; i++) CHECK_EQ(must_join(threads[i]), 2 * i);
  CHECK_EQ(thrum_sleep(THRUM_US(300)), 0);
  thrum_yield();
  CHECK_EQ(thrum_wait_for(light, THRUM_US(100)), -ETIMEDOUT);
  CHECK_EQ(thrum_join_for(light, NULL, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_run(twice, (void *)21), 42);
  CHECK_EQ(thrum_blocking(twice, (void *)4), 8);
  CHECK_EQ(thrum_print("%s", ""), 0);
  read_and_write();
  return (intptr_t)arg;
}

static void *outside(void *arg) {
  for (int i = 0; i < ROUNDS / 4; i++) CHECK_EQ(use_everything(arg), (intptr_t)arg);
  return NULL;
}

static void all_at_once(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    CHECK_EQ(pthread_create(&threads[i], NULL, outside, (void *)(intptr_t)i), 0);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void none_is_left_behind(void) {
  size_t before = thrum_active_count();
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(run_outside(use_everything, (void *)7), 7);
    CHECK_EQ(thrum_active_count(), before);
  }
}

static thrum_thread guest;

static void *be_a_guest(void *arg) {
  (void)arg;
  guest = thrum_current();
  STORE(ready, 1);
  AWAIT_OUTSIDE(LOAD(ready) == 2);
  return NULL;
}

static intptr_t cannot_join_guest(void *arg) {
  (void)arg;
  CHECK(thrum_is_alive(guest));
  CHECK_EQ(thrum_join(guest, NULL), -EINVAL);
  CHECK_EQ(thrum_wait(guest), -EINVAL);
  CHECK_EQ(thrum_join_for(guest, NULL, THRUM_MS(1)), -EINVAL);
  CHECK_EQ(thrum_detach(guest), -EINVAL);
  return 0;
}

static void cannot_be_joined(void) {
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, be_a_guest, NULL), 0);
  AWAIT(LOAD(ready) == 1);
  run_in_each_kind(cannot_join_guest, NULL);
  STORE(ready, 2);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK(!thrum_is_alive(guest));
  CHECK_EQ(thrum_join(guest, NULL), -ESRCH);
}

/* It waits on the OS, not on a worker: light threads need none of it while it spins, and it spins beside one
 * worker's light threads. */
static intptr_t wait_for_stop(void *arg) {
  (void)arg;
  STORE(ready, 3);
  while (!LOAD(stop)) continue;
  return 0;
}

static void takes_no_worker(void) {
  pthread_t thread;
  struct outsider outsider = {wait_for_stop, NULL, 1};
  CHECK_EQ(pthread_create(&thread, NULL, outsider_run, &outsider), 0);
  AWAIT(LOAD(ready) == 3);
  CHECK_EQ(must_join(must_spawn(twice, (void *)1)), 2);
  STORE(stop, true);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

static char holder[THRUM_NAME_MAX + 2];
static thrum_lock held;
static thrum_event may_release;

static intptr_t hold_and_wait(void *arg) {
  (void)arg;
  char name[THRUM_NAME_MAX];
  CHECK(thrum_name(thrum_current(), name, sizeof name) > 0);
  snprintf(holder, sizeof holder, "\"%s\"", name);
  thrum_lock_acquire(&held);
  STORE(ready, 4);
  thrum_event_wait(&may_release);
  CHECK_EQ(thrum_lock_release(&held), 0);
  return 0;
}

/* As others see it: who wants what it holds need not look whether it releases that soon. */
static bool seems_to_wait(void) {
  const char *entry = strstr(dumped(), holder);
  CHECK(entry);
  return strstr(entry, "foreign daemon, waiting, waits for event") == strstr(entry, "foreign daemon, ");
}

static void waits_like_others(void) {
  pthread_t thread;
  struct outsider outsider = {hold_and_wait, NULL, 1};
  CHECK_EQ(pthread_create(&thread, NULL, outsider_run, &outsider), 0);
  AWAIT(LOAD(ready) == 4);
  AWAIT(seems_to_wait());
  CHECK_EQ(thrum_lock_acquire_for(&held, THRUM_MS(1)), -ETIMEDOUT);
  thrum_event_set(&may_release);
  thrum_lock_acquire(&held);
  CHECK_EQ(thrum_lock_release(&held), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

int main(void) {
  light = must_spawn(stay, NULL);
  none_is_left_behind();
  all_at_once();
  cannot_be_joined();
  takes_no_worker();
  waits_like_others();
  CHECK_EQ(must_join(light), 5);
  CHECK_EQ(thrum_active_count(), 1);
  return 0;
}
