/* What each kind of a manager's objects does, for several clients of one manager, here all in one process. */
#include "managers.h"

static thrum_manager_server *server;
static thrum_manager *a, *b; /* two clients */

/* What a thread does with an object, and what it was told. */
struct job {
  intptr_t (*fn)(struct job *);
  thrum_manager_queue q;
  thrum_manager_lock lock;
  thrum_manager_map map;
  thrum_manager_event event;
  thrum_manager_sem sem;
  uint64_t number;
};

static intptr_t work(void *arg) {
  struct job *job = (struct job *)arg;
  return job->fn(job);
}

/* ---- Queues ------------------------------------------------------------------------------------------------------- */

static intptr_t get_number(struct job *job) {
  uint64_t number = 0;
  ssize_t n = thrum_manager_queue_get(&job->q, &number, sizeof number);
  return n < 0 ? n : (intptr_t)number;
}

static intptr_t put_number(struct job *job) {
  return thrum_manager_queue_put(&job->q, &job->number, sizeof job->number);
}

static void queues_keep_order(void) {
  thrum_manager_queue q = must_open_queue(a, "order", THRUM_UNBOUNDED);
  thrum_manager_queue same = must_open_queue(b, "order", 3); /* as it was made */
  for (uint64_t i = 0; i < 100; i++) must_put(i % 2 ? &q : &same, i);
  CHECK_EQ(thrum_manager_queue_size(&q), 100);
  for (uint64_t i = 0; i < 100; i++) CHECK_EQ(must_get(i % 3 ? &q : &same), i);
  CHECK_EQ(thrum_manager_queue_size(&same), 0);
}

static void messages_of_all_sizes(void) {
  static const size_t sizes[] = {0, 1, 4095, 70000, 3 << 20};
  thrum_manager_queue q = must_open_queue(a, "sizes", 10), r = must_open_queue(b, "sizes", 10);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *bytes = (char *)malloc(sizes[i] + 1), small[1];
    void *data;
    size_t size;
    memset(bytes, (int)i + 1, sizes[i]);
    CHECK_EQ(thrum_manager_queue_put(&q, bytes, sizes[i]), 0);
    if (sizes[i] > 1) CHECK_EQ(thrum_manager_queue_get(&r, small, 1), -EMSGSIZE);
    CHECK_EQ(thrum_manager_queue_get_new(&r, &data, &size, THRUM_FOREVER), 0);
    CHECK_EQ(size, sizes[i]);
    CHECK(memcmp(data, bytes, size) == 0);
    free(data);
    free(bytes);
  }
}

static void bounds_hold(void) {
  thrum_manager_queue q = must_open_queue(a, "bounded", 2), r = must_open_queue(b, "bounded", 2);
  struct job job = {.fn = put_number, .q = r, .number = 3};
  char byte;
  CHECK_EQ(thrum_manager_queue_try_get(&q, &byte, 1), -EAGAIN);
  CHECK_EQ(thrum_manager_queue_get_for(&q, &byte, 1, THRUM_MS(2)), -ETIMEDOUT);
  must_put(&q, 1);
  must_put(&q, 2);
  CHECK_EQ(thrum_manager_queue_try_put(&q, "x", 1), -EAGAIN);
  CHECK_EQ(thrum_manager_queue_put_for(&q, "x", 1, THRUM_MS(2)), -ETIMEDOUT);
  thrum_thread putter = must_spawn(work, &job);
  CHECK_EQ(thrum_join_for(putter, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(must_get(&q), 1);
  CHECK_EQ(must_join(putter), 0);
  CHECK_EQ(must_get(&q), 2);
  CHECK_EQ(must_get(&r), 3);
  CHECK_EQ(thrum_manager_queue_size(&q), 0);
}

/* Each gets one, in the order of the waits, though they are of two clients. */
static void getters_are_served_in_turn(void) {
  struct job jobs[6];
  thrum_thread threads[6];
  thrum_manager_queue q = must_open_queue(a, "turns", 10), r = must_open_queue(b, "turns", 10);
  thrum_manager_map map = must_open_map(a, "unrelated");
  for (int i = 0; i < 6; i++) {
    jobs[i] = (struct job){.fn = get_number, .q = i % 2 ? q : r};
    threads[i] = must_spawn(work, &jobs[i]);
    CHECK_EQ(thrum_join_for(threads[i], NULL, THRUM_MS(20)), -ETIMEDOUT);
    CHECK_EQ(thrum_manager_map_size(&map), 0); /* nobody is held up */
  }
  for (uint64_t i = 0; i < 6; i++) must_put(&q, i);
  intptr_t sum = 0;
  for (int i = 0; i < 6; i++) sum += must_join(threads[i]);
  CHECK_EQ(sum, 15);
}

static intptr_t join_queue(struct job *job) { return thrum_manager_queue_join(&job->q, THRUM_FOREVER); }

static void unfinished_work_is_waited_for(void) {
  thrum_manager_queue q = must_open_queue(a, "work", 10), r = must_open_queue(b, "work", 10);
  struct job job = {.fn = join_queue, .q = r};
  CHECK_EQ(thrum_manager_queue_join(&q, 0), 0);
  must_put(&q, 1);
  must_put(&q, 2);
  CHECK_EQ(thrum_manager_queue_join(&q, THRUM_MS(1)), -ETIMEDOUT);
  thrum_thread joiner = must_spawn(work, &job);
  must_get(&q);
  must_get(&r);
  CHECK_EQ(thrum_manager_queue_task_done(&r), 0);
  CHECK_EQ(thrum_manager_queue_unfinished(&q), 1);
  CHECK_EQ(thrum_join_for(joiner, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_queue_task_done(&q), 0);
  CHECK_EQ(must_join(joiner), 0);
  CHECK_EQ(thrum_manager_queue_task_done(&q), -EOVERFLOW);
}

static void shutdown_ends_queues(void) {
  thrum_manager_queue q = must_open_queue(a, "ending", 1), r = must_open_queue(b, "ending", 1);
  struct job putter = {.fn = put_number, .q = r}, getter = {.fn = get_number, .q = r};
  must_put(&q, 7);
  thrum_thread t = must_spawn(work, &putter);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(10)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_queue_shutdown(&q, false), 0);
  CHECK_EQ(must_join(t), -EPIPE);
  CHECK_EQ(thrum_manager_queue_put(&q, "x", 1), -EPIPE);
  CHECK_EQ(must_get(&r), 7);
  CHECK_EQ(get_number(&getter), -EPIPE);
  q = must_open_queue(a, "ended", 1), r = must_open_queue(b, "ended", 1);
  must_put(&q, 7);
  CHECK_EQ(thrum_manager_queue_shutdown(&r, true), 0);
  CHECK_EQ(thrum_manager_queue_unfinished(&q), 0);
  CHECK_EQ(thrum_manager_queue_try_get(&q, NULL, 0), -EPIPE);
  q = must_open_queue(a, "empty", 1), getter.q = must_open_queue(b, "empty", 1);
  t = must_spawn(work, &getter);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(10)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_queue_shutdown(&q, false), 0);
  CHECK_EQ(must_join(t), -EPIPE);
}

/* ---- Locks -------------------------------------------------------------------------------------------------------- */

static intptr_t acquire(struct job *job) { return thrum_manager_lock_acquire(&job->lock); }
static intptr_t try_acquire(struct job *job) { return thrum_manager_lock_try_acquire(&job->lock); }
static intptr_t release(struct job *job) { return thrum_manager_lock_release(&job->lock); }

static void locks_exclude(void) {
  thrum_manager_lock mine = must_open_lock(a, "lock"), theirs = must_open_lock(b, "lock");
  struct job job = {.fn = acquire, .lock = theirs};
  CHECK_EQ(thrum_manager_lock_release(&mine), -EPERM);
  CHECK_EQ(thrum_manager_lock_acquire(&mine), 0);
  CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), -EAGAIN);
  CHECK_EQ(thrum_manager_lock_try_acquire(&mine), -EAGAIN);
  CHECK_EQ(thrum_manager_lock_acquire_for(&theirs, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_lock_release(&theirs), -EPERM);
  thrum_thread t = must_spawn(work, &job);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_lock_release(&mine), 0);
  CHECK_EQ(must_join(t), 0);
  job.fn = release; /* another thread of the same client may */
  CHECK_EQ(must_join(must_spawn(work, &job)), 0);
  CHECK_EQ(thrum_manager_lock_try_acquire(&mine), 0);
  CHECK_EQ(thrum_manager_lock_release(&mine), 0);
}

static void rlocks_nest(void) {
  thrum_manager_lock mine, theirs;
  CHECK_EQ(thrum_manager_rlock_open(&mine, a, "rlock"), 0);
  CHECK_EQ(thrum_manager_rlock_open(&theirs, b, "rlock"), 0);
  CHECK_EQ(thrum_manager_lock_open(&theirs, b, "rlock"), -EEXIST);
  struct job other = {.fn = try_acquire, .lock = mine}, releaser = {.fn = release, .lock = mine};
  CHECK_EQ(thrum_manager_lock_acquire(&mine), 0);
  CHECK_EQ(thrum_manager_lock_acquire(&mine), 0);
  CHECK_EQ(must_join(must_spawn(work, &other)), -EAGAIN); /* another thread */
  CHECK_EQ(must_join(must_spawn(work, &releaser)), -EPERM);
  CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), -EAGAIN);
  CHECK_EQ(thrum_manager_lock_release(&mine), 0);
  CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), -EAGAIN);
  CHECK_EQ(thrum_manager_lock_release(&mine), 0);
  CHECK_EQ(thrum_manager_lock_release(&mine), -EPERM);
  CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), 0);
  CHECK_EQ(thrum_manager_lock_release(&theirs), 0);
}

/* Told once, to the one that waits longest. */
static void locks_outlive_clients(void) {
  thrum_manager *c = must_connect_to(server);
  thrum_manager_lock held = must_open_lock(c, "bereft"), mine = must_open_lock(a, "bereft");
  struct job job = {.fn = acquire, .lock = mine};
  CHECK_EQ(thrum_manager_lock_acquire(&held), 0);
  thrum_thread t = must_spawn(work, &job);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(10)), -ETIMEDOUT);
  thrum_manager_close(c);
  CHECK_EQ(must_join(t), -EOWNERDEAD);
  thrum_manager_lock theirs = must_open_lock(b, "bereft");
  CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), -EAGAIN); /* it is held */
  CHECK_EQ(thrum_manager_lock_release(&mine), 0);
  CHECK_EQ(thrum_manager_lock_acquire(&theirs), 0);
  CHECK_EQ(thrum_manager_lock_release(&theirs), 0);
}

/* ---- Semaphores and events ---------------------------------------------------------------------------------------- */

static intptr_t down(struct job *job) { return thrum_manager_sem_acquire(&job->sem, THRUM_FOREVER); }
static intptr_t await_event(struct job *job) { return thrum_manager_event_wait(&job->event, THRUM_FOREVER); }

static void semaphores_count(void) {
  thrum_manager_sem sem;
  struct job job = {.fn = down};
  CHECK_EQ(thrum_manager_sem_open(&sem, a, "sem", 2), 0);
  CHECK_EQ(thrum_manager_sem_open(&job.sem, b, "sem", 9), 0);
  CHECK_EQ(thrum_manager_sem_value(&job.sem), 2);
  CHECK_EQ(thrum_manager_sem_acquire(&sem, 0), 0);
  CHECK_EQ(thrum_manager_sem_acquire(&sem, 0), 0);
  CHECK_EQ(thrum_manager_sem_acquire(&sem, 0), -ETIMEDOUT);
  thrum_thread t[2] = {must_spawn(work, &job), must_spawn(work, &job)};
  CHECK_EQ(thrum_join_for(t[0], NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_sem_release(&sem, 3), 0);
  CHECK_EQ(must_join(t[0]) + must_join(t[1]), 0);
  CHECK_EQ(thrum_manager_sem_value(&sem), 1);
  CHECK_EQ(thrum_manager_sem_release(&sem, UINT32_MAX), -EOVERFLOW);
}

static void events_free_who_waits(void) {
  thrum_manager_event event;
  struct job job = {.fn = await_event};
  CHECK_EQ(thrum_manager_event_open(&event, a, "event"), 0);
  CHECK_EQ(thrum_manager_event_open(&job.event, b, "event"), 0);
  CHECK_EQ(thrum_manager_event_is_set(&event), 0);
  CHECK_EQ(thrum_manager_event_wait(&event, THRUM_MS(1)), -ETIMEDOUT);
  thrum_thread t[2] = {must_spawn(work, &job), must_spawn(work, &job)};
  CHECK_EQ(thrum_join_for(t[0], NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_event_set(&event), 0);
  CHECK_EQ(must_join(t[0]) + must_join(t[1]), 0);
  CHECK_EQ(thrum_manager_event_is_set(&event), 1);
  CHECK_EQ(thrum_manager_event_wait(&event, 0), 0);
  CHECK_EQ(thrum_manager_event_clear(&event), 0);
  CHECK_EQ(thrum_manager_event_wait(&event, 0), -ETIMEDOUT);
}

/* ---- Maps --------------------------------------------------------------------------------------------------------- */

static uint64_t value_in(thrum_manager_map *map, const char *key, uint64_t *version) {
  void *data;
  size_t size;
  CHECK_EQ(thrum_manager_map_get(map, key, strlen(key), &data, &size, version), 0);
  CHECK_EQ(size, sizeof(uint64_t));
  uint64_t value;
  memcpy(&value, data, sizeof value);
  free(data);
  return value;
}

static void maps_keep_values(void) {
  thrum_manager_map map = must_open_map(a, "map"), same = must_open_map(b, "map");
  uint64_t first, second, other = 1, value = 5, absent = 0;
  void *data;
  CHECK_EQ(thrum_manager_map_get(&map, "k", 1, &data, NULL, NULL), -ENOENT);
  CHECK_EQ(thrum_manager_map_delete(&map, "k", 1, NULL), -ENOENT);
  CHECK_EQ(thrum_manager_map_set(&map, "k", 1, &value, sizeof value, &first), 0);
  CHECK_EQ(value_in(&same, "k", &second), 5);
  CHECK_EQ(first, second);
  CHECK_EQ(thrum_manager_map_set_if(&map, "k", 1, &value, sizeof value, &absent), -ESTALE);
  CHECK_EQ(absent, first);
  CHECK_EQ(thrum_manager_map_set_if(&map, "k", 1, &value, sizeof value, &second), 0);
  CHECK(second > first); /* the same value has another version */
  CHECK_EQ(thrum_manager_map_delete(&same, "k", 1, &first), -ESTALE);
  CHECK_EQ(thrum_manager_map_size(&same), 1);
  CHECK_EQ(thrum_manager_map_delete(&same, "k", 1, &second), 0);
  CHECK_EQ(thrum_manager_map_size(&same), 0);
  absent = 0;
  CHECK_EQ(thrum_manager_map_set_if(&map, "k", 1, &other, sizeof other, &absent), 0);
  CHECK_EQ(value_in(&map, "k", NULL), 1);
  CHECK_EQ(thrum_manager_map_set(&map, NULL, 0, NULL, 0, NULL), 0); /* the empty key, and an empty value */
  CHECK_EQ(thrum_manager_map_size(&map), 2);
}

static void keys_are_listed(void) {
  enum { KEYS = 1000 };
  thrum_manager_map map = must_open_map(a, "many");
  thrum_manager_keys keys;
  const void *key;
  size_t size;
  uint32_t n = 0;
  for (uint32_t i = 0; i < KEYS; i++) CHECK_EQ(thrum_manager_map_set(&map, &i, sizeof i, &i, i % 5, NULL), 0);
  for (uint32_t i = 0; i < KEYS; i += 2) CHECK_EQ(thrum_manager_map_delete(&map, &i, sizeof i, NULL), 0);
  CHECK_EQ(thrum_manager_map_keys(&map, &keys), 0);
  for (; thrum_manager_keys_next(&keys, &key, &size); n++) {
    uint32_t found;
    CHECK_EQ(size, sizeof found);
    memcpy(&found, key, sizeof found);
    CHECK_EQ(found, 2 * n + 1);
  }
  CHECK_EQ(n, KEYS / 2);
  thrum_manager_keys_free(&keys);
  CHECK(!thrum_manager_keys_next(&keys, &key, &size));
}

static intptr_t await_change(struct job *job) {
  return thrum_manager_map_wait(&job->map, "key", 3, &job->number, THRUM_FOREVER);
}

static void changes_are_waited_for(void) {
  thrum_manager_map map = must_open_map(a, "changing");
  struct job job = {.fn = await_change, .map = must_open_map(b, "changing")};
  uint64_t version;
  CHECK_EQ(thrum_manager_map_wait(&map, "key", 3, &job.number, THRUM_MS(1)), -ETIMEDOUT);
  thrum_thread t = must_spawn(work, &job);
  CHECK_EQ(thrum_manager_map_set(&map, "kez", 3, "x", 1, NULL), 0);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_map_set(&map, "key", 3, "x", 1, &version), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(job.number, version);
  t = must_spawn(work, &job);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_map_delete(&map, "key", 3, NULL), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(job.number, 0);
  job.number = version; /* it has changed already */
  CHECK_EQ(await_change(&job), 0);
  CHECK_EQ(job.number, 0);
}

enum { ADDERS = 8, ADDS = 50 };

static intptr_t add_often(struct job *job) {
  for (int i = 0; i < ADDS; i++) {
    uint64_t version, value;
    do value = value_in(&job->map, "sum", &version) + 1;
    while (thrum_manager_map_set_if(&job->map, "sum", 3, &value, sizeof value, &version) == -ESTALE);
  }
  return 0;
}

static void updates_are_not_lost(void) {
  struct job jobs[ADDERS];
  thrum_thread t[ADDERS];
  uint64_t zero = 0;
  thrum_manager_map map = must_open_map(a, "adding");
  CHECK_EQ(thrum_manager_map_set(&map, "sum", 3, &zero, sizeof zero, NULL), 0);
  for (int i = 0; i < ADDERS; i++) {
    jobs[i] = (struct job){.fn = add_often, .map = i % 2 ? map : must_open_map(b, "adding")};
    t[i] = must_spawn(work, &jobs[i]);
  }
  for (int i = 0; i < ADDERS; i++) CHECK_EQ(must_join(t[i]), 0);
  CHECK_EQ(value_in(&map, "sum", NULL), ADDERS * ADDS);
}

/* ---- Names -------------------------------------------------------------------------------------------------------- */

static void removed_objects_are_gone(void) {
  thrum_manager_queue q = must_open_queue(a, "gone", 1), old = must_open_queue(b, "gone", 1);
  struct job job = {.fn = get_number, .q = old};
  thrum_thread t = must_spawn(work, &job);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_remove(a, "gone"), 0);
  CHECK_EQ(must_join(t), -ESRCH);
  CHECK_EQ(thrum_manager_queue_put(&q, "x", 1), -ESRCH);
  CHECK_EQ(thrum_manager_remove(a, "gone"), -ENOENT);
  thrum_manager_lock held = must_open_lock(a, "gone");
  CHECK_EQ(thrum_manager_queue_put(&q, "x", 1), -ESRCH); /* though something else has its place by now */
  CHECK_EQ(thrum_manager_lock_acquire(&held), 0);
  CHECK_EQ(thrum_manager_remove(b, "gone"), 0);
  CHECK_EQ(thrum_manager_lock_release(&held), -ESRCH);
  thrum_manager_map map = must_open_map(a, "gone");
  CHECK_EQ(thrum_manager_map_set(&map, "k", 1, "v", 1, NULL), 0);
  CHECK_EQ(thrum_manager_remove(b, "gone"), 0);
  map = must_open_map(a, "gone");
  CHECK_EQ(thrum_manager_map_size(&map), 0);
}

static intptr_t everything(void *arg) {
  server = must_serve(NULL);
  a = must_connect_to(server);
  b = must_connect_to(server);
  queues_keep_order();
  messages_of_all_sizes();
  bounds_hold();
  getters_are_served_in_turn();
  unfinished_work_is_waited_for();
  shutdown_ends_queues();
  locks_exclude();
  rlocks_nest();
  locks_outlive_clients();
  semaphores_count();
  events_free_who_waits();
  maps_keep_values();
  keys_are_listed();
  changes_are_waited_for();
  updates_are_not_lost();
  removed_objects_are_gone();
  thrum_manager_close(a);
  thrum_manager_close(b);
  thrum_manager_server_stop(server);
  return (void)arg, 0;
}

int main(void) {
  run_in_each_kind(everything, NULL);
  return 0;
}
