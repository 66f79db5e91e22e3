/* Calls on a manager end when they are to: by their time, a cancellation, the client's close, the manager's end; and whatever ends them,
 * nothing is lost, doubled, or held. And tasks. */
#include "managers.h"

#include <os/os.h>
#include <process/manager.h>
#include <process/manager_client.h>

static thrum_manager_server *server;
static thrum_manager *a, *b;

static intptr_t get_for_ever(void *q) {
  uint64_t number = 0;
  ssize_t n = thrum_manager_queue_get((thrum_manager_queue *)q, &number, sizeof number);
  return n < 0 ? n : (intptr_t)number;
}

static intptr_t put_for_ever(void *q) {
  return thrum_manager_queue_put((thrum_manager_queue *)q, "12345678", 8);
}
static intptr_t acquire(void *lock) { return thrum_manager_lock_acquire((thrum_manager_lock *)lock); }

/* ---- Cancellation ------------------------------------------------------------------------------------------------- */

static void cancelled_calls_do_nothing(void) {
  thrum_manager_queue q = must_open_queue(a, "cancel", 1), full = must_open_queue(a, "full", 1);
  thrum_manager_lock mine = must_open_lock(a, "cancel-lock"), theirs = must_open_lock(b, "cancel-lock");
  CHECK_EQ(thrum_manager_lock_acquire(&theirs), 0);
  must_put(&full, 1);
  thrum_thread t[] = {must_spawn(get_for_ever, &q), must_spawn(put_for_ever, &full),
                      must_spawn(acquire, &mine)};
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_join_for(t[i], NULL, THRUM_MS(5)), -ETIMEDOUT);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(thrum_cancel(t[i]), 0);
    CHECK_EQ(must_join(t[i]), -ECANCELED);
  }
  CHECK_EQ(thrum_manager_lock_release(&theirs), 0);
  CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), 0); /* nobody was in between */
  CHECK_EQ(thrum_manager_lock_release(&theirs), 0);
  CHECK_EQ(must_get(&full), 1);
  CHECK_EQ(thrum_manager_queue_size(&full), 0);
  must_put(&q, 4);
  CHECK_EQ(must_get(&q), 4);
}

/* What gives back works for who is cancelled, too. */
static intptr_t release_cancelled(void *arg) {
  thrum_manager_lock *lock = (thrum_manager_lock *)arg;
  CHECK_EQ(thrum_manager_lock_acquire(lock), 0);
  CHECK_EQ(thrum_cancel(thrum_current()), 0);
  CHECK_EQ(thrum_manager_lock_try_acquire(lock), -ECANCELED);
  return thrum_manager_lock_release(lock);
}

enum { ROUNDS = 300 };

/* Puts a number after a while. */
struct late_put {
  thrum_manager_queue q;
  uint64_t number;
  int yields;
};

static intptr_t put_later(void *arg) {
  struct late_put *late = (struct late_put *)arg;
  for (int i = 0; i < late->yields; i++) thrum_yield();
  return thrum_manager_queue_put(&late->q, &late->number, sizeof late->number);
}

/* A put and a cancellation, or a deadline, come together: the message is got, or it is still there. */
static void races_lose_nothing(void) {
  thrum_manager_queue q = must_open_queue(a, "race", THRUM_UNBOUNDED), r = must_open_queue(b, "race", 1);
  uint64_t got = 0, number;
  int cut = 0, timed_out = 0;
  unsigned seed = 1;
  for (uint64_t i = 1; i <= ROUNDS; i++) {
    struct late_put late = {r, 2 * i, rand_r(&seed) % 30}, later = {r, 2 * i - 1, rand_r(&seed) % 30};
    thrum_thread t = must_spawn(get_for_ever, &q), putter = must_spawn(put_later, &late);
    for (int yields = rand_r(&seed) % 60; yields; yields--) thrum_yield();
    CHECK_EQ(thrum_cancel(t), 0);
    intptr_t result = must_join(t);
    CHECK(result > 0 || result == -ECANCELED);
    if (result > 0) got += (uint64_t)result;
    cut += result == -ECANCELED;
    CHECK_EQ(must_join(putter), 0);
    putter = must_spawn(put_later, &later);
    ssize_t n = thrum_manager_queue_get_for(&q, &number, sizeof number, THRUM_US(rand_r(&seed) % 200));
    if (n > 0) got += number;
    timed_out += n == -ETIMEDOUT;
    CHECK_EQ(must_join(putter), 0);
    while (thrum_manager_queue_try_get(&q, &number, sizeof number) > 0) got += number;
  }
  CHECK_EQ(got, (uint64_t)ROUNDS * (2 * ROUNDS + 1));
  printf("%d of %d cancelled, %d timed out\n", cut, ROUNDS, timed_out);
}

/* Waits for an event that nobody sets. */
struct timed_wait {
  thrum_manager_event event;
  thrum_duration timeout;
};

static intptr_t wait_timed(void *arg) {
  struct timed_wait *w = (struct timed_wait *)arg;
  return thrum_manager_event_wait(&w->event, w->timeout);
}

/* Short and long ones in whatever order: the short ones end with their time whatever else is waited for, and goes before. */
static void deadlines_pass_in_order(void) {
  enum { WAITS = 60, SHORT_MS = 40 };
  struct timed_wait waits[WAITS];
  thrum_thread t[WAITS];
  thrum_manager_event event;
  unsigned seed = 3;
  CHECK_EQ(thrum_manager_event_open(&event, a, "never"), 0);
  for (int i = 0; i < WAITS; i++) {
    thrum_duration timeout =
        i % 3 ? THRUM_S(1000 + rand_r(&seed) % 1000) : THRUM_MS(1 + rand_r(&seed) % SHORT_MS);
    waits[i] = (struct timed_wait){event, timeout};
    t[i] = must_spawn(wait_timed, &waits[i]);
  }
  for (int i = 1; i < WAITS; i += 3) CHECK_EQ(thrum_cancel(t[i]), 0); /* out of the midst */
  for (int i = 0; i < WAITS; i += 3) CHECK_EQ(must_join(t[i]), -ETIMEDOUT);
  for (int i = 2; i < WAITS; i += 3) CHECK_EQ(thrum_cancel(t[i]), 0);
  for (int i = 0; i < WAITS; i++)
    if (i % 3) CHECK_EQ(must_join(t[i]), -ECANCELED);
}

enum { LARGE = 1 << 20 };

static intptr_t put_large(void *q) {
  char *bytes = (char *)calloc(1, LARGE);
  CHECK(bytes != NULL);
  int error = thrum_manager_queue_put((thrum_manager_queue *)q, bytes, LARGE);
  free(bytes);
  return error;
}

/* A message that is under way is not cut: the connection goes on, for all. */
static void cancellations_cut_no_message(void) {
  thrum_manager_queue q = must_open_queue(a, "large", THRUM_UNBOUNDED);
  unsigned seed = 2;
  for (int i = 0; i < 12; i++) {
    void *data;
    size_t size;
    thrum_thread t = must_spawn(put_large, &q);
    thrum_sleep(THRUM_US(rand_r(&seed) % 2000));
    CHECK_EQ(thrum_cancel(t), 0);
    intptr_t result = must_join(t);
    CHECK(result == 0 || result == -ECANCELED);
    CHECK_EQ(thrum_manager_queue_size(&q), result == 0);
    if (result) continue;
    CHECK_EQ(thrum_manager_queue_get_new(&q, &data, &size, 0), 0);
    CHECK_EQ(size, LARGE);
    free(data);
  }
}

static intptr_t acquire_and_release(void *arg) {
  thrum_manager_lock *lock = (thrum_manager_lock *)arg;
  int error = thrum_manager_lock_acquire_for(lock, THRUM_US(300));
  return error ? error : thrum_manager_lock_release(lock);
}

static void cut_acquires_hold_nothing(void) {
  thrum_manager_lock mine = must_open_lock(a, "cut"), theirs = must_open_lock(b, "cut");
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(thrum_manager_lock_acquire(&theirs), 0);
    thrum_thread t = must_spawn(acquire_and_release, &mine);
    if (i % 2) thrum_yield();
    if (i % 3 == 0) CHECK_EQ(thrum_cancel(t), 0);
    CHECK_EQ(thrum_manager_lock_release(&theirs), 0);
    intptr_t result = must_join(t);
    CHECK(result == 0 || result == -ECANCELED || result == -ETIMEDOUT);
    CHECK_EQ(thrum_manager_lock_try_acquire(&theirs), 0);
    CHECK_EQ(thrum_manager_lock_release(&theirs), 0);
  }
}

/* ---- Clients without manners -------------------------------------------------------------------------------------- */

static const struct {
  struct thrumi_request_words w; /* `name_size` as it is said; the bytes behind the head are `value_size` */
  size_t cut;                    /* bytes that are missing */
} ill[] = {
    {{.operation = THRUMI_OP_HELLO}, 0},                                             /* again */
    {{.operation = 0}, 0},                                                           /* nothing */
    {{.operation = THRUMI_OP_KEYS + 1, .object = 1}, 0},                             /* unknown */
    {{.operation = THRUMI_OP_UNITS, .object = 1}, 1},                                /* too short */
    {{.operation = THRUMI_OP_UNITS, .object = 1}, THRUMI_REQUEST_HEAD},              /* no head */
    {{.operation = THRUMI_OP_OPEN, .flags = 1, .name_size = 5, .value_size = 4}, 0}, /* a lie */
    {{.operation = THRUMI_OP_REMOVE, .name_size = UINT32_MAX, .value_size = 4}, 0},  /* a great one */
    {{.operation = THRUMI_OP_OPEN, .flags = THRUMI_KINDS, .name_size = 1, .value_size = 1}, 0},
    {{.operation = THRUMI_OP_GET, .flags = 1, .object = 1}, 0},        /* a flag */
    {{.operation = THRUMI_OP_ACK, .number = 1}, 0},                    /* of nothing */
    {{.operation = THRUMI_OP_WAIT, .object = 1, .value_size = 10}, 0}, /* bytes for nothing */
    {{.operation = THRUMI_OP_GET, .object = 1, .name_size = 10, .value_size = 10},
     0}, /* a name for nothing */
};

static thrum_conn *connect_plainly(void) {
  unsigned char bytes[THRUMI_REQUEST_HEAD];
  thrum_conn *c;
  struct thrumi_request_words hello = {.operation = THRUMI_OP_HELLO, .argument = THRUMI_GREETING};
  CHECK_EQ(thrum_conn_dial(&c, thrum_manager_server_address(server), NULL), 0);
  CHECK(thrum_conn_recv(c, bytes, sizeof bytes) > 0);
  thrumi_request_write(bytes, &hello);
  CHECK_EQ(thrum_conn_send(c, bytes, sizeof bytes), 0);
  return c;
}

static void say(thrum_conn *c, struct thrumi_request_words w) {
  unsigned char bytes[THRUMI_REQUEST_HEAD];
  thrumi_request_write(bytes, &w);
  CHECK_EQ(thrum_conn_send(c, bytes, sizeof bytes), 0);
}

/* The last thing that a client says before it goes is that a message has come; meanwhile another one is handed to it, which cannot be
 * sent any more. The first was got, the second comes back. */
static void last_words_are_heard(void) {
  thrum_manager_queue q = must_open_queue(a, "last words", 5);
  struct thrumi_request_words get = {
      .operation = THRUMI_OP_GET, .object = q.id, .timeout = THRUM_FOREVER, .argument = SIZE_MAX};
  for (uint64_t i = 0; i < ROUNDS; i++) {
    unsigned char bytes[100];
    thrum_conn *c = connect_plainly();
    for (get.number = 1; get.number <= 2; get.number++) say(c, get);
    must_put(&q, 2 * i);
    CHECK(thrum_conn_recv(c, bytes, sizeof bytes) > 0);
    struct late_put late = {q, 2 * i + 1, 0};
    thrum_thread putter = must_spawn(put_later, &late);
    if (i % 2) thrum_yield();
    say(c, (struct thrumi_request_words){.operation = THRUMI_OP_ACK, .number = 1});
    thrum_conn_close(c);
    CHECK_EQ(must_join(putter), 0);
    CHECK_EQ(must_get(&q), 2 * i + 1);
  }
}

/* Who says what is no request is disconnected, and what it waited for is as it was. */
static void nonsense_is_not_borne(void) {
  static unsigned char bytes[THRUMI_REQUEST_HEAD + 100];
  thrum_manager_queue q = must_open_queue(a, "manners", 1);
  for (size_t i = 0; i < sizeof ill / sizeof *ill; i++) {
    thrum_conn *c = connect_plainly();
    struct thrumi_request_words get = {
        .number = 7, .operation = THRUMI_OP_GET, .object = q.id, .timeout = THRUM_FOREVER};
    say(c, get);
    thrumi_request_write(bytes, &ill[i].w);
    CHECK_EQ(thrum_conn_send(c, bytes, THRUMI_REQUEST_HEAD + ill[i].w.value_size - ill[i].cut), 0);
    CHECK(thrum_conn_recv_for(c, bytes, sizeof bytes, THRUM_S(TESTS_HANG_S)) < 0);
    thrum_conn_close(c);
    must_put(&q, i);
    CHECK_EQ(must_get(&q), i);
  }
}

/* ---- Tasks -------------------------------------------------------------------------------------------------------- */

static int running, stopped;

THRUM_TASK(twice) {
  if (thrum_out_write(out, in, size) != 0) return -ENOMEM;
  return thrum_out_write(out, in, size);
}

THRUM_TASK(fails) { return (int)thrum_fail(ENOENT, "nothing of %zu bytes", size); }

THRUM_TASK(exits) { thrum_exit(-ERANGE); }

THRUM_TASK(until_cancelled) {
  ADD(running, 1);
  while (!thrum_cancelled()) thrum_sleep(THRUM_S(100));
  ADD(stopped, 1);
  return -ECANCELED;
}

static bool let_stubborn_go;
static int stubborn_ones;

/* It does not mind its cancellation. */
THRUM_TASK(stubborn) {
  ADD(stubborn_ones, 1);
  while (!LOAD(let_stubborn_go)) thrum_yield();
  return 0;
}

THRUM_TASK(hidden) { return 0; }

static const thrum_task *const tasks[] = {&twice, &fails, &exits, &until_cancelled, &stubborn};

static intptr_t call_for_ever(void *m) {
  void *data;
  return thrum_manager_call((thrum_manager *)m, "until_cancelled", NULL, 0, &data, NULL, THRUM_FOREVER);
}

static void tasks_are_called(void) {
  void *data;
  size_t size;
  CHECK_EQ(thrum_manager_call(a, "twice", "ab", 2, &data, &size, THRUM_FOREVER), 0);
  CHECK(size == 4 && memcmp(data, "abab", 4) == 0);
  free(data);
  CHECK_EQ(thrum_manager_call(b, "fails", "abc", 3, &data, &size, THRUM_FOREVER), -ENOENT);
  CHECK(data && size == strlen("nothing of 3 bytes") && memcmp(data, "nothing of 3 bytes", size) == 0);
  free(data);
  CHECK_EQ(thrum_manager_call(b, "exits", NULL, 0, &data, &size, THRUM_FOREVER), -ERANGE);
  CHECK(data && size == 0);
  free(data);
  CHECK_EQ(thrum_manager_call(a, "hidden", NULL, 0, &data, &size, THRUM_FOREVER), -ENOENT); /* not offered */
  CHECK(!data);
}

static void tasks_run_together_and_end(void) {
  enum { CALLS = 50 };
  thrum_thread t[CALLS];
  void *data;
  STORE(running, 0);
  STORE(stopped, 0);
  for (int i = 0; i < CALLS; i++) t[i] = must_spawn(call_for_ever, i % 2 ? a : b);
  AWAIT(LOAD(running) == CALLS);
  for (int i = 0; i < CALLS; i++) {
    CHECK_EQ(thrum_cancel(t[i]), 0);
    CHECK_EQ(must_join(t[i]), -ECANCELED);
  }
  AWAIT(LOAD(stopped) == CALLS);
  CHECK_EQ(thrum_manager_call(a, "until_cancelled", NULL, 0, &data, NULL, THRUM_MS(5)), -ETIMEDOUT);
  CHECK(!data);
  AWAIT(LOAD(stopped) == CALLS + 1);
  thrum_manager *c = must_connect_to(server);
  thrum_thread caller = must_spawn(call_for_ever, c);
  AWAIT(LOAD(running) == CALLS + 2);
  thrum_manager_close(c); /* its calls end, and so do the tasks */
  CHECK_EQ(must_join(caller), -EBADF);
  AWAIT(LOAD(stopped) == CALLS + 2);
}

/* ---- Ends --------------------------------------------------------------------------------------------------------- */

static uint32_t calls_of(thrum_manager *m) {
  thrum_lock_acquire(&m->lock);
  uint32_t n = m->under_way;
  thrum_lock_release(&m->lock);
  return n;
}

static void closing_ends_calls(void) {
  thrum_manager *c = must_connect_to(server);
  thrum_manager_queue q = must_open_queue(c, "closing", 1), same = must_open_queue(a, "closing", 1);
  thrum_thread t[4];
  for (int i = 0; i < 4; i++) t[i] = must_spawn(get_for_ever, &q);
  AWAIT(calls_of(c) == 4); /* none may begin behind the close */
  thrum_manager_close(c);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(t[i]), -EBADF);
  must_put(&same, 5); /* which nobody of these swallows */
  CHECK_EQ(must_get(&same), 5);
}

static void the_end_of_the_manager(void) {
  thrum_manager_queue q = must_open_queue(a, "end", 1);
  int before = LOAD(stopped), begun = LOAD(running);
  thrum_thread t[] = {must_spawn(get_for_ever, &q), must_spawn(call_for_ever, b)};
  AWAIT(LOAD(running) == begun + 1);
  thrum_manager_server_stop(server);
  for (int i = 0; i < 2; i++) CHECK_EQ(must_join(t[i]), -ECONNRESET);
  CHECK_EQ(LOAD(stopped), before + 1); /* the stop has waited for it */
  CHECK_EQ(thrum_manager_queue_put(&q, "x", 1), -ECONNRESET);
  CHECK_EQ(thrum_manager_queue_size(&q), -ECONNRESET);
}

static void limits_hold(void) {
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  o.clients = 2, o.objects = 2, o.message_max = 1000, o.memory = 4000;
  thrum_manager_server *small = must_serve(&o);
  thrum_manager *c[2] = {must_connect_to(small), must_connect_to(small)}, *more = NULL;
  char bytes[1001] = "";
  CHECK_EQ(thrum_manager_connect(&more, thrum_manager_server_address(small), NULL), -EUSERS);
  thrum_manager_close(c[1]);
  AWAIT(thrum_manager_connect(&c[1], thrum_manager_server_address(small), NULL) == 0);
  thrum_manager_queue q = must_open_queue(c[0], "1", 100);
  must_open_lock(c[0], "2");
  CHECK_EQ(thrum_manager_queue_open(&q, c[1], "3", 1), -ENOSPC);
  CHECK_EQ(thrum_manager_remove(c[1], "2"), 0);
  thrum_manager_map map = must_open_map(c[0], "3");
  q = must_open_queue(c[1], "1", 100);
  CHECK_EQ(thrum_manager_queue_put(&q, bytes, 1001), -EMSGSIZE);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_manager_queue_put(&q, bytes, 1000), 0);
  CHECK_EQ(thrum_manager_queue_put(&q, bytes, 1000), -ENOSPC);
  CHECK_EQ(thrum_manager_map_set(&map, "k", 1, bytes, 1000, NULL), -ENOSPC);
  CHECK_EQ(thrum_manager_queue_get(&q, bytes, 1000), 1000);
  CHECK_EQ(thrum_manager_queue_size(&q), 2); /* behind the acknowledgement */
  CHECK_EQ(thrum_manager_map_set(&map, "k", 1, bytes, 500, NULL), 0);
  CHECK_EQ(thrum_manager_map_delete(&map, "k", 1, NULL), 0);
  AWAIT(thrum_manager_queue_try_put(&q, bytes, 1000) == 0); /* what is freed can be used again */
  thrum_manager_close(c[0]);
  thrum_manager_close(c[1]);
  thrum_manager_server_stop(small);
}

/* Whatever a client gives up runs on, and counts: whoever it was, and however often it comes again. */
static void calls_given_up_are_bounded(void) {
  enum { MOST = 4, CALLS = 200 };
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  o.memory = MOST * 20000, o.tasks = tasks, o.task_count = sizeof tasks / sizeof *tasks;
  thrum_manager_server *small = must_serve(&o);
  thrum_manager *c = NULL;
  void *data;
  int error = -ETIMEDOUT;
  STORE(let_stubborn_go, false);
  STORE(stubborn_ones, 0);
  for (int i = 0; error == -ETIMEDOUT && i < CALLS; i++) {
    if (i % 2 == 0) c = must_connect_to(small);
    error = thrum_manager_call(c, "stubborn", NULL, 0, &data, NULL, THRUM_MS(1));
    if (i % 2 == 1) thrum_manager_close(c);
    if (i % 2 == 1) c = NULL;
  }
  CHECK_EQ(error, -ENOSPC);
  if (!c) c = must_connect_to(small);
  STORE(let_stubborn_go, true);
  AWAIT(thrum_manager_call(c, "stubborn", NULL, 0, &data, NULL, THRUM_FOREVER) == 0);
  free(data);
  thrum_manager_close(c);
  thrum_manager_server_stop(small);
  CHECK(LOAD(stubborn_ones) <= MOST + 1);
}

/* There is no memory for sessions. */
static bool no_sessions;

static void *allocate(size_t size) {
  if (size == sizeof(struct thrumi_session) && LOAD(no_sessions)) return NULL;
  return thrumi_os_linux.allocate(size);
}

/* More than have a place: who is sent away leaves it. */
static void refused_sessions_leave_their_place(void) {
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  o.clients = 1;
  thrum_manager_server *small = must_serve(&o);
  const char *address = thrum_manager_server_address(small);
  thrum_manager *c = NULL;
  STORE(no_sessions, true);
  for (int i = 0; i < 100; i++) CHECK(thrum_manager_connect(&c, address, NULL) < 0);
  STORE(no_sessions, false);
  thrum_manager_close(must_connect(address, NULL));
  thrum_manager_server_stop(small);
}

static intptr_t everything(void *arg) {
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  o.tasks = tasks, o.task_count = sizeof tasks / sizeof *tasks;
  server = must_serve(&o);
  a = must_connect_to(server);
  b = must_connect_to(server);
  thrum_manager_lock lock = must_open_lock(a, "cancelled");
  cancelled_calls_do_nothing();
  CHECK_EQ(must_join(must_spawn(release_cancelled, &lock)), 0);
  races_lose_nothing();
  cut_acquires_hold_nothing();
  deadlines_pass_in_order();
  cancellations_cut_no_message();
  last_words_are_heard();
  nonsense_is_not_borne();
  tasks_are_called();
  tasks_run_together_and_end();
  closing_ends_calls();
  the_end_of_the_manager();
  limits_hold();
  calls_given_up_are_bounded();
  refused_sessions_leave_their_place();
  thrum_manager_close(a);
  thrum_manager_close(b);
  return (void)arg, 0;
}

int main(void) {
  thrumi_os.allocate = allocate;
  run_in_each_kind(everything, NULL);
  return 0;
}
