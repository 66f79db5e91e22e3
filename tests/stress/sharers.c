/* The activities whose processes share something: a queue and a lock in memory, and a manager's objects. Each message is got once at most,
 * and none is lost but with a process that was killed when it had it. */
#define TESTS_FORKED_ELSEWHERE /* in processes.c */
#include "household.h"

enum { IDS = 1 << 16, RING = 1 << 16, WORDS = 3000, SHARERS = 6, CLIENTS = 4, CAPACITY = 20 };
enum role { PRODUCE, CONSUME, LOCK, ROLES };
enum { BEGUN = 1, PUT = 2, GOT = 4 };

struct memory {
  uint32_t next, got, stop, inside;
  thrum_shared_lock lock;
  uint64_t pair[2]; /* equal, unless somebody holds the lock */
  uint8_t ids[IDS];
  uint64_t queue[]; /* a thrum_process_queue */
};

struct errand {
  uint32_t role;
  uint64_t seed;
  char address[128];
};

/* ---- Messages, by number --------------------------------------------------------------------------------------------------- */

/* 0: there are no more. */
static uint32_t begin_message(struct memory *m) {
  uint32_t id = ADD(m->next, 1);
  if (id >= IDS) return 0;
  __atomic_or_fetch(&m->ids[id], BEGUN, __ATOMIC_ACQ_REL);
  return id;
}

static void note_put(struct memory *m, uint32_t id) { __atomic_or_fetch(&m->ids[id], PUT, __ATOMIC_ACQ_REL); }

static void note_got(struct memory *m, uint32_t id) {
  CHECK(id < IDS);
  uint8_t before = __atomic_fetch_or(&m->ids[id], GOT, __ATOMIC_ACQ_REL);
  CHECK(before & BEGUN && !(before & GOT));
  ADD(m->got, 1);
}

/* Each consumer that was killed may have had one in hand. */
static void judge_messages(struct actor *a, struct memory *m, unsigned killed) {
  unsigned lost = 0;
  for (int i = 0; i < IDS; i++) lost += m->ids[i] & PUT && !(m->ids[i] & GOT);
  CHECK(lost <= killed);
  ADD(a->house->got, m->got);
  ADD(a->house->lost, lost);
}

static thrum_shared_memory *new_memory(struct memory **m) {
  thrum_shared_memory *shared;
  size_t queue = thrum_process_queue_bytes(RING);
  CHECK_EQ(thrum_shared_memory_create(&shared, NULL, sizeof **m + queue, NULL), 0);
  *m = (struct memory *)thrum_shared_memory_data(shared);
  CHECK_EQ(thrum_process_queue_init((thrum_process_queue *)(*m)->queue, queue, NULL), 0);
  return shared;
}

/* For as long as the process lives. */
static struct memory *inherited_memory(void) {
  static thrum_shared_memory *shared;
  CHECK_EQ(thrum_shared_memory_attach_fd(&shared, thrum_inherited_fd(0)), 0);
  return (struct memory *)thrum_shared_memory_data(shared);
}

static thrum_process *start_sharer(struct actor *a, const thrum_task *task, thrum_shared_memory *shared,
                                   struct errand errand) {
  thrum_process_options o = with_method(draw(&a->seed, 4) ? THRUM_FORKSERVER : THRUM_SPAWN);
  thrum_process *p;
  int fd = thrum_shared_memory_fd(shared);
  errand.seed = draw_any(&a->seed);
  o.descriptors = &fd;
  o.descriptor_count = 1;
  CHECK_EQ(thrum_process_start(&p, &o, task, &errand, sizeof errand), 0);
  return p;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------------------- */

struct message {
  uint32_t id, check[WORDS];
};

static size_t size_of(uint32_t id) { return (1 + id * 7919 % (WORDS + 1)) * sizeof(uint32_t); }

static intptr_t produce(struct memory *m) {
  static struct message message;
  int error = 0;
  while (!LOAD(m->stop) && !error && (message.id = begin_message(m)) != 0) {
    for (size_t i = 0; i < size_of(message.id) / 4 - 1; i++) message.check[i] = message.id + (uint32_t)i;
    error = thrum_process_queue_put((thrum_process_queue *)m->queue, &message, size_of(message.id));
    if (!error) note_put(m, message.id);
  }
  CHECK_ERROR(error, error == 0 || error == -EPIPE);
  return 0;
}

/* The next one: 0, or an error. */
static int get_message(struct memory *m, bool waits) {
  struct message *message = calloc(1, sizeof *message);
  thrum_process_queue *q = (thrum_process_queue *)m->queue;
  CHECK(message != NULL);
  ssize_t n = waits ? thrum_process_queue_get(q, message, sizeof *message)
                    : thrum_process_queue_try_get(q, message, sizeof *message);
  if (n >= 0) {
    CHECK_EQ(n, size_of(message->id));
    for (size_t i = 0; i < (size_t)n / 4 - 1; i++) CHECK_EQ(message->check[i], message->id + (uint32_t)i);
    note_got(m, message->id);
  }
  free(message);
  return n < 0 ? (int)n : 0;
}

static intptr_t consume(struct memory *m) {
  int error;
  while ((error = get_message(m, true)) == 0) continue;
  CHECK_EQ(error, -EPIPE);
  return 0;
}

/* Adds to both, in a way that would lose what two add at once. */
static void add_under_lock(struct memory *m, uint64_t *seed) {
  int error = draw(seed, 2) ? thrum_shared_lock_acquire(&m->lock)
                            : thrum_shared_lock_acquire_for(&m->lock, THRUM_MS(draw(seed, 3)));
  if (error == -ETIMEDOUT) return;
  if (error == -EOWNERDEAD) {
    m->pair[1] = m->pair[0];
    STORE(m->inside, 0);
    error = thrum_shared_lock_recover(&m->lock);
  }
  CHECK_EQ(error, 0);
  CHECK_EQ(__atomic_exchange_n(&m->inside, 1, __ATOMIC_ACQ_REL), 0);
  CHECK_EQ(m->pair[0], m->pair[1]);
  m->pair[0]++;
  if (draw(seed, 4) == 0) thrum_yield();
  m->pair[1]++;
  STORE(m->inside, 0);
  CHECK_EQ(thrum_shared_lock_release(&m->lock), 0);
}

static intptr_t lock_and_release(struct memory *m, uint64_t seed) {
  while (!LOAD(m->stop)) add_under_lock(m, &seed);
  return 0;
}

THRUM_TASK(share) {
  static const char *const roles[] = {"k-producer", "k-consumer", "k-locker"};
  struct errand errand;
  memcpy(&errand, in, sizeof errand);
  be_called(roles[errand.role]);
  struct memory *m = inherited_memory();
  (void)out, (void)size;
  if (errand.role == PRODUCE) return produce(m);
  return errand.role == CONSUME ? consume(m) : lock_and_release(m, errand.seed);
}

/* What one round knows. */
struct sharing {
  struct actor *a;
  thrum_shared_memory *shared;
  struct memory *m;
  thrum_process *p[SHARERS];
  unsigned killed; /* consumers */
};

static enum role role_of(int i) { return (enum role)(i % ROLES); }

static void start_one(struct sharing *s, int i) {
  s->p[i] = start_sharer(s->a, &share, s->shared, (struct errand){.role = role_of(i)});
}

static void end_one(struct sharing *s, int i) {
  bool well = ends_well(s->a, s->p[i]);
  if (!well && role_of(i) == CONSUME) s->killed++;
}

/* For so long; who was killed meanwhile is replaced. */
static void look_after(struct sharing *s, thrum_time end) {
  struct pollfd ends[SHARERS];
  while (thrum_left(end) > 0) {
    for (int i = 0; i < SHARERS; i++) ends[i] = (struct pollfd){thrum_process_sentinel(s->p[i]), POLLIN, 0};
    add_under_lock(s->m, &s->a->seed);
    int n = thrum_poll_for(ends, SHARERS, thrum_left(end));
    CHECK(n >= 0 || n == -ETIMEDOUT);
    for (int i = 0; n > 0 && i < SHARERS; i++) {
      if (!ends[i].revents) continue;
      end_one(s, i);
      start_one(s, i);
    }
  }
}

void sharing_round(struct actor *a) {
  struct sharing s = {.a = a};
  s.shared = new_memory(&s.m);
  for (int i = 0; i < SHARERS; i++) start_one(&s, i);
  look_after(&s, thrum_after(THRUM_MS(20 + draw(&a->seed, 200))));
  STORE(s.m->stop, 1);
  CHECK_EQ(thrum_process_queue_shutdown((thrum_process_queue *)s.m->queue, false), 0);
  for (int i = 0; i < SHARERS; i++) end_one(&s, i);
  int error;
  while ((error = get_message(s.m, false)) == 0) continue; /* all consumers may have been killed */
  CHECK_EQ(error, -EPIPE);
  add_under_lock(s.m, &a->seed);
  judge_messages(a, s.m, s.killed);
  thrum_shared_memory_close(s.shared);
}

/* ---- A manager ------------------------------------------------------------------------------------------------------------------ */

THRUM_TASK(name_manager) {
  be_called("k-manager");
  return (void)in, (void)size, (void)out, 0;
}

static bool is_gone(int error) { return error == -ECONNRESET; }

static int put_number(struct memory *m, thrum_manager_queue *q, thrum_duration timeout) {
  uint32_t id = begin_message(m);
  int error = id ? thrum_manager_queue_put_for(q, &id, sizeof id, timeout) : -EPIPE;
  if (!error) note_put(m, id);
  return error;
}

static int get_number(struct memory *m, thrum_manager_queue *q) {
  uint32_t id;
  ssize_t n = thrum_manager_queue_get(q, &id, sizeof id);
  if (n < 0) return (int)n;
  CHECK_EQ(n, sizeof id);
  note_got(m, id);
  return 0;
}

/* The server may be killed in the midst of it. */
static int add_under_managed_lock(struct memory *m, thrum_manager_lock *lock) {
  int error = thrum_manager_lock_acquire(lock);
  if (error == -EOWNERDEAD) STORE(m->inside, 0);
  if (error && error != -EOWNERDEAD) return error;
  CHECK_EQ(__atomic_exchange_n(&m->inside, 1, __ATOMIC_ACQ_REL), 0);
  STORE(m->inside, 0);
  return thrum_manager_lock_release(lock);
}

static int use_manager(struct memory *m, thrum_manager *manager, enum role role) {
  thrum_manager_queue q;
  thrum_manager_lock lock;
  int error = thrum_manager_queue_open(&q, manager, "numbers", CAPACITY);
  if (!error) error = thrum_manager_lock_open(&lock, manager, "adding");
  while (!error) {
    error = role == PRODUCE ? put_number(m, &q, THRUM_FOREVER) : get_number(m, &q);
    if (!error) error = add_under_managed_lock(m, &lock);
  }
  return error;
}

/* Until the queue is shut down, or the manager is gone. */
THRUM_TASK(be_client) {
  static const char *const roles[] = {"k-putter", "k-getter"};
  struct errand errand;
  memcpy(&errand, in, sizeof errand);
  be_called(roles[errand.role]);
  struct memory *m = inherited_memory();
  thrum_manager *manager;
  (void)out, (void)size;
  int error = thrum_manager_connect(&manager, errand.address, NULL);
  CHECK_ERROR(error, error == 0 || error == -ECONNREFUSED || is_gone(error));
  if (error) return 0;
  error = use_manager(m, manager, (enum role)errand.role);
  CHECK_ERROR(error, error == -EPIPE || is_gone(error));
  thrum_manager_close(manager);
  return 0;
}

/* NULL: it was killed at once. */
static thrum_manager *start_manager(struct actor *a) {
  static const thrum_task *const tasks[] = {&name_manager};
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  thrum_manager *manager;
  void *data = NULL;
  size_t size;
  o.method = draw(&a->seed, 2) ? THRUM_FORKSERVER : THRUM_SPAWN;
  o.tasks = tasks, o.task_count = 1;
  int error = thrum_manager_start(&manager, &o);
  CHECK_ERROR(error, error == 0 || error == -ECONNREFUSED || is_gone(error));
  if (error) return NULL;
  error = thrum_manager_call(manager, "name_manager", NULL, 0, &data, &size, THRUM_FOREVER);
  CHECK_ERROR(error, error == 0 || is_gone(error));
  free(data);
  return manager;
}

/* Puts for so long; then nobody can put any more, and what is left is got. True: the manager was there all the time. */
static bool end_numbers(struct actor *a, thrum_manager *manager, struct memory *m) {
  thrum_manager_queue q;
  int error = thrum_manager_queue_open(&q, manager, "numbers", CAPACITY);
  thrum_time end = thrum_after(THRUM_MS(20 + draw(&a->seed, 150)));
  while (!error && thrum_left(end) > 0) error = put_number(m, &q, thrum_left(end));
  if (!error || error == -EPIPE || error == -ETIMEDOUT) error = thrum_manager_queue_shutdown(&q, false);
  while (!error) error = get_number(m, &q);
  CHECK_ERROR(error, error == -EPIPE || is_gone(error));
  return error == -EPIPE;
}

void managing_round(struct actor *a) {
  struct errand errand = {.role = PRODUCE};
  struct memory *m;
  thrum_process *p[CLIENTS];
  thrum_manager *manager = start_manager(a);
  if (!manager) return;
  thrum_shared_memory *shared = new_memory(&m);
  snprintf(errand.address, sizeof errand.address, "%s", thrum_manager_address(manager));
  for (uint32_t i = 0; i < CLIENTS; i++) {
    errand.role = i % LOCK;
    p[i] = start_sharer(a, &be_client, shared, errand);
  }
  bool stayed = end_numbers(a, manager, m);
  unsigned killed = 0;
  for (int i = 0; i < CLIENTS; i++) killed += !ends_well(a, p[i]) && i % LOCK == CONSUME;
  if (stayed) judge_messages(a, m, killed);
  thrum_manager_close(manager);
  thrum_shared_memory_close(shared);
}
