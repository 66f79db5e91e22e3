/* A manager in a process of its own, and clients that are killed at whatever moment: no message is got twice, none is lost but those that
 * a killed client had in hand, locks go on with a word, and nothing hangs. And the manager itself is killed. */
#include "managers.h"
#include "sharing.h"

#include <process/manager.h>

enum { PROCESSES = 4, THREADS = 3, IDS = 1 << 20, KILLING_MS = 2000 };
enum { BEGUN = 1, PUT = 2, GOT = 4 };

static struct shared {
  uint32_t next, got, stop, inside, total, ready;
  uint8_t ids[IDS];
} * s;
static char address[256];

/* ---- One by one --------------------------------------------------------------------------------------------------- */

static thrum_manager_server *server; /* within this process, to be looked into */

static intptr_t get_one(void *name) {
  thrum_manager *m = must_connect(thrum_manager_server_address(server), NULL);
  thrum_manager_queue q = must_open_queue(m, (const char *)name, 10);
  must_get(&q);
  die();
}

/* How many gets wait in a queue. */
static int gets_that_wait(const thrum_manager_queue *q) {
  int n = 0;
  thrum_lock_acquire(&server->lock);
  const struct thrumi_object *object = thrumi_object_find(server, q->id);
  for (const struct thrumi_ring *at = object->waits.next; at != &object->waits; at = at->next) n++;
  thrum_lock_release(&server->lock);
  return n;
}

static void stop_process(pid_t pid) {
  int status;
  CHECK_EQ(kill(pid, SIGSTOP), 0);
  CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
  CHECK(WIFSTOPPED(status));
}

enum { DEAD = 3 };

/* Messages 1 to DEAD are handed to clients that do not run any more; and DEAD + 1 stays. */
static void hand_to_stopped(thrum_manager_queue *q, const char *name, pid_t pids[DEAD]) {
  for (int i = 0; i < DEAD; i++) pids[i] = start_child(get_one, (void *)(uintptr_t)name);
  AWAIT(gets_that_wait(q) == DEAD);
  for (int i = 0; i < DEAD; i++) stop_process(pids[i]);
  for (uint64_t i = 1; i <= DEAD + 1; i++) must_put(q, i);
  CHECK_EQ(thrum_manager_queue_size(q), 1);
  CHECK_EQ(thrum_manager_queue_shutdown(q, false), 0);
  CHECK_EQ(thrum_manager_queue_unfinished(q), DEAD + 1);
  CHECK_EQ(must_get(q), DEAD + 1);
}

/* They come back in their order when these are killed. */
static void what_is_handed_to_the_dead_comes_back(void) {
  thrum_manager *m = must_connect_to(server);
  pid_t pids[DEAD];
  char byte;
  thrum_manager_queue q = must_open_queue(m, "handed", 10);
  hand_to_stopped(&q, "handed", pids);
  CHECK_EQ(thrum_manager_queue_try_get(&q, &byte, 1), -EAGAIN); /* not -EPIPE: they may come back */
  for (int i = 0; i < DEAD; i++) kill_child(pids[i]);
  AWAIT(thrum_manager_queue_size(&q) == DEAD); /* the server hears of their ends in whatever order */
  for (uint64_t i = 1; i <= DEAD; i++) CHECK_EQ(must_get(&q), i);
  CHECK_EQ(thrum_manager_queue_try_get(&q, &byte, 1), -EPIPE);
  thrum_manager_close(m);
}

static intptr_t get_number(void *q) { return (intptr_t)must_get((thrum_manager_queue *)q); }

/* Who waits gets one of them, though the queue is shut down. */
static void what_comes_back_is_waited_for(void) {
  thrum_manager *m = must_connect_to(server);
  pid_t pids[DEAD];
  thrum_manager_queue q = must_open_queue(m, "awaited", 10);
  hand_to_stopped(&q, "awaited", pids);
  thrum_thread t = must_spawn(get_number, &q);
  AWAIT(gets_that_wait(&q) == 1);
  CHECK_EQ(thrum_manager_queue_task_done(&q), 0);
  for (int i = 0; i < DEAD; i++) kill_child(pids[i]);
  uint64_t sum = (uint64_t)must_join(t);
  for (int i = 1; i < DEAD; i++) sum += must_get(&q);
  CHECK_EQ(sum, DEAD * (DEAD + 1) / 2);
  thrum_manager_close(m);
}

static intptr_t hold_and_die(void *arg) {
  thrum_manager *m = must_connect(address, NULL);
  thrum_manager_lock lock = must_open_lock(m, (const char *)arg);
  CHECK_EQ(thrum_manager_lock_acquire(&lock), 0);
  die();
}

static void locks_of_the_dead(thrum_manager *m) {
  thrum_manager_lock lock = must_open_lock(m, "bereft");
  pid_t pid = start_child(hold_and_die, (void *)(uintptr_t) "bereft");
  CHECK_EQ(end_of_child(pid), -SIGKILL);
  int error;
  while ((error = thrum_manager_lock_acquire(&lock)) == 0) /* it may not have come to it yet */
    CHECK_EQ(thrum_manager_lock_release(&lock), 0);
  CHECK_EQ(error, -EOWNERDEAD);
  CHECK_EQ(thrum_manager_lock_release(&lock), 0);
  CHECK_EQ(thrum_manager_lock_acquire(&lock), 0);
  CHECK_EQ(thrum_manager_lock_release(&lock), 0);
}

/* A child that its client has forked does not hold its connection open. */
static intptr_t fork_and_die(void *arg) {
  thrum_manager *m = must_connect(address, NULL);
  thrum_manager_lock lock = must_open_lock(m, "forked");
  CHECK_EQ(thrum_manager_lock_acquire(&lock), 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK_EQ(thrum_manager_lock_try_acquire(&lock), -ECHILD);
    thrum_manager_close(must_connect(address, NULL)); /* it may have one of its own */
    STORE(s->ready, 1);
    AWAIT(LOAD(s->stop));
    thrum_manager_close(m);
    _exit(0);
  }
  AWAIT(LOAD(s->ready));
  (void)arg;
  die();
}

static void forks_hold_nothing(thrum_manager *m) {
  thrum_manager_lock lock = must_open_lock(m, "forked");
  STORE(s->ready, 0);
  STORE(s->stop, 0);
  CHECK_EQ(end_of_child(start_child(fork_and_die, NULL)), -SIGKILL);
  CHECK_EQ(thrum_manager_lock_acquire_for(&lock, THRUM_S(TESTS_HANG_S)), -EOWNERDEAD);
  CHECK_EQ(thrum_manager_lock_release(&lock), 0);
  STORE(s->stop, 1);
}

/* ---- Many --------------------------------------------------------------------------------------------------------- */

static thrum_manager *own; /* of a child */

static int put_next(thrum_manager_queue *q) {
  uint32_t id = ADD(s->next, 1);
  if (id >= IDS) return -EPIPE;
  __atomic_or_fetch(&s->ids[id], BEGUN, __ATOMIC_ACQ_REL);
  int error = thrum_manager_queue_put(q, &id, sizeof id);
  if (!error) __atomic_or_fetch(&s->ids[id], PUT, __ATOMIC_ACQ_REL);
  return error;
}

static int get_next(thrum_manager_queue *q) {
  uint32_t id;
  ssize_t n = thrum_manager_queue_get(q, &id, sizeof id);
  if (n < 0) return (int)n;
  CHECK(n == sizeof id && id < IDS);
  uint8_t before = __atomic_fetch_or(&s->ids[id], GOT, __ATOMIC_ACQ_REL);
  CHECK(before & BEGUN && !(before & GOT));
  ADD(s->got, 1);
  return 0;
}

/* Adds under the lock, in a way that would lose what two add at once; `inside` says who was killed in there. */
static int add(thrum_manager_lock *lock) {
  int error = thrum_manager_lock_acquire(lock);
  if (error == -EOWNERDEAD) STORE(s->inside, 0);
  if (error && error != -EOWNERDEAD) return error;
  CHECK_EQ(__atomic_exchange_n(&s->inside, 1, __ATOMIC_ACQ_REL), 0);
  STORE(s->total, LOAD(s->total) + 1);
  STORE(s->inside, 0);
  return thrum_manager_lock_release(lock);
}

static intptr_t produce(void *arg) {
  thrum_manager_queue q = must_open_queue(own, "many", 50);
  thrum_manager_lock lock = must_open_lock(own, "adding");
  int error = 0;
  while (!LOAD(s->stop) && !error) {
    error = put_next(&q);
    if (!error) error = add(&lock);
  }
  CHECK(error == 0 || error == -EPIPE);
  return (void)arg, 0;
}

static intptr_t consume(void *arg) {
  thrum_manager_queue q = must_open_queue(own, "many", 50);
  int error = 0;
  while (!error) error = get_next(&q);
  CHECK_EQ(error, -EPIPE);
  return (void)arg, 0;
}

static intptr_t run(void *arg) {
  thrum_thread threads[THREADS];
  own = must_connect(address, NULL);
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn((intptr_t)arg % 2 ? produce : consume, NULL);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  thrum_manager_close(own);
  return 0;
}

static void kill_some(pid_t *pids, unsigned *kills, unsigned *consumers) {
  unsigned seed = (unsigned)wall_now();
  int64_t end = wall_now() + KILLING_MS * INT64_C(1000000);
  for (; wall_now() < end; ++*kills) {
    int victim = rand_r(&seed) % PROCESSES;
    thrum_sleep(THRUM_US(rand_r(&seed) % 20000));
    kill_child(pids[victim]);
    *consumers += victim % 2 == 0;
    uint32_t got = LOAD(s->got);
    pids[victim] = start_numbered(run, victim);
    AWAIT(LOAD(s->got) != got);
  }
}

static void random_kills(thrum_manager *m) {
  pid_t pids[PROCESSES];
  unsigned kills = 0, consumers = 0, lost = 0;
  thrum_manager_queue q = must_open_queue(m, "many", 50);
  STORE(s->stop, 0);
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_numbered(run, i);
  kill_some(pids, &kills, &consumers);
  STORE(s->stop, 1);
  for (int i = 1; i < PROCESSES; i += 2) CHECK_EQ(end_of_child(pids[i]), 0);
  AWAIT(thrum_manager_queue_size(&q) == 0);
  CHECK_EQ(thrum_manager_queue_shutdown(&q, false), 0);
  for (int i = 0; i < PROCESSES; i += 2) CHECK_EQ(end_of_child(pids[i]), 0);
  for (int i = 0; i < IDS; i++) lost += s->ids[i] & PUT && !(s->ids[i] & GOT);
  CHECK(lost <= consumers * THREADS);
  printf("%u killed; %u messages got, %u lost with who had them; %u additions\n", kills, s->got, lost,
         s->total);
}

/* ---- Silence, and strangers --------------------------------------------------------------------------------------- */

static bool is_stopped(pid_t pid) {
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  bool read_it = file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1;
  if (file) fclose(file);
  return read_it && state == 'T';
}

/* Who is patient waits for a manager that does not run; who is not takes it for gone. */
static void a_silent_manager(thrum_manager *m) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  o.patience = THRUM_S(TESTS_SANITIZED ? 8 : 3);
  thrum_manager *hasty = must_connect(address, &o), *late = NULL;
  thrum_manager_queue q = must_open_queue(hasty, "silence", 1), same = must_open_queue(m, "silence", 1);
  char byte;
  CHECK_EQ(kill(thrum_manager_pid(m), SIGSTOP), 0);
  AWAIT(is_stopped(thrum_manager_pid(m)));
  o.patience = THRUM_MS(20);
  CHECK_EQ(thrum_manager_connect(&late, address, &o), -ETIMEDOUT);
  CHECK_EQ(thrum_manager_queue_get_for(&q, &byte, 1, THRUM_MS(1)), -ECONNRESET);
  CHECK_EQ(thrum_manager_queue_size(&q), -ECONNRESET); /* for good */
  CHECK_EQ(kill(thrum_manager_pid(m), SIGCONT), 0);
  CHECK_EQ(thrum_manager_queue_put(&same, "x", 1), 0);
  CHECK_EQ(thrum_manager_queue_get(&same, &byte, 1), 1); /* the get has come to nothing */
  thrum_manager_close(hasty);
}

static intptr_t connect_as_another(void *arg) {
  thrum_manager *m = NULL;
  if (setuid(65534) != 0) return 1;
  CHECK_EQ(thrum_manager_connect(&m, address, NULL), -EACCES);
  return (void)arg, 0;
}

static intptr_t serve_as_another(void *arg) {
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  o.address = (const char *)arg;
  if (setuid(65534) != 0) return 1;
  must_serve(&o);
  STORE(s->ready, 1);
  thrum_sleep(THRUM_FOREVER);
  return 0;
}

/* Without a key a stranger is nobody's manager, and nobody's client. */
static void other_users_are_refused(void) {
  char theirs[64];
  thrum_manager *m = NULL;
  if (geteuid() != 0) return;
  CHECK_EQ(end_of_child(start_child(connect_as_another, NULL)), 0);
  snprintf(theirs, sizeof theirs, "unix:@thrum-theirs-%d", (int)getpid());
  STORE(s->ready, 0);
  pid_t pid = start_child(serve_as_another, theirs);
  AWAIT(LOAD(s->ready));
  CHECK_EQ(thrum_manager_connect(&m, theirs, NULL), -EACCES);
  kill_child(pid);
}

/* ---- The manager's death ------------------------------------------------------------------------------------------ */

static intptr_t get_for_ever(void *q) {
  char byte;
  return thrum_manager_queue_get((thrum_manager_queue *)q, &byte, 1);
}

static void the_manager_is_killed(thrum_manager *m) {
  thrum_manager_queue q = must_open_queue(m, "last", 1);
  thrum_thread t = must_spawn(get_for_ever, &q);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(kill(thrum_manager_pid(m), SIGKILL), 0);
  CHECK_EQ(must_join(t), -ECONNRESET);
  CHECK_EQ(thrum_manager_queue_put(&q, "x", 1), -ECONNRESET);
  thrum_manager *other = NULL;
  AWAIT(kill(thrum_manager_pid(m), 0) != 0); /* until then its sockets are closed one after the other */
  CHECK_EQ(thrum_manager_connect(&other, address, NULL), -ECONNREFUSED);
}

THRUM_TASK(where) {
  pid_t pid = getpid();
  return thrum_out_write(out, &pid, sizeof pid);
}

static thrum_manager *must_start(int method) {
  static const thrum_task *const tasks[] = {&where};
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  thrum_manager *m;
  void *data;
  size_t size;
  o.method = method, o.tasks = tasks, o.task_count = 1;
  CHECK_EQ(thrum_manager_start(&m, &o), 0);
  CHECK_EQ(kill(thrum_manager_pid(m), SIGINT), 0); /* which it ignores */
  CHECK_EQ(thrum_manager_call(m, "where", NULL, 0, &data, &size, THRUM_FOREVER), 0);
  CHECK_EQ(*(pid_t *)data, thrum_manager_pid(m));
  free(data);
  return m;
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_manager *m = must_start(THRUM_SPAWN);
  pid_t pid = thrum_manager_pid(m);
  thrum_manager_close(m);
  CHECK_EQ(kill(pid, 0), -1); /* it has ended, and was reaped */
  m = must_start(THRUM_FORKSERVER);
  strcpy(address, thrum_manager_address(m));
  if (TESTS_FORK) {
    s = (struct shared *)share(sizeof *s);
    server = must_serve(NULL);
    what_is_handed_to_the_dead_comes_back();
    what_comes_back_is_waited_for();
    thrum_manager_server_stop(server);
    locks_of_the_dead(m);
    forks_hold_nothing(m);
    random_kills(m);
    other_users_are_refused();
  }
  a_silent_manager(m);
  the_manager_is_killed(m);
  thrum_manager_close(m);
  return 0;
}
