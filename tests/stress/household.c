/* The activities that need nothing shared: executors, tasks, commands, and a family, which is a household below this one. */
#define TESTS_FORKED_ELSEWHERE /* in processes.c */
#include "household.h"

#include "../sum.h"

#include <signal.h>

enum { LETTERS = 40, TEXT = 200000, LONG = 150000, ANSWERS = 8 };

static unsigned char text[TEXT];

__attribute__((constructor)) static void write_text(void) {
  for (size_t i = 0; i < TEXT; i++) text[i] = (unsigned char)(i * i >> 3);
}

void be_called(const char *role) {
  int fd = open("/proc/self/comm", O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_EQ(write(fd, role, strlen(role)), strlen(role));
  close(fd);
}

static void await_end(thrum_process *p) {
  int error = thrum_process_join(p, NULL);
  CHECK_ERROR(error, error == 0 || (error == -ECHILD && !kernel_keeps_ends()));
}

bool ends_well(struct actor *a, thrum_process *p) {
  int code = -1000, error = thrum_process_join(p, &code);
  CHECK_ERROR(error, error == 0 || (error == -ECHILD && !kernel_keeps_ends()));
  CHECK(error || code == 0 || code == -SIGKILL);
  ADD(a->house->talks, 1);
  if (error) ADD(a->house->unknown, 1);
  if (error || code) ADD(a->house->cut, 1);
  thrum_process_release(p);
  return !error && !code;
}

/* ---- Executors ----------------------------------------------------------------------------------------------------------- */

THRUM_TASK(enter_pool) {
  be_called("k-pool");
  return 0;
}

/* Long ones take some milliseconds, in which somebody may be killed. */
THRUM_TASK(letter) {
  uint32_t s = sum(in, size);
  for (int i = 0; i < 20 && size == LONG; i++) CHECK_EQ(sum(in, size), s);
  int error = thrum_out_write(out, &s, sizeof s);
  return error ? error : thrum_out_write(out, in, size);
}

static size_t length_of(int i) { return i % 8 == 5 ? LONG : (size_t)i * 17; }

enum way { COLLECT, SHUT_DOWN, CANCEL, WAYS }; /* what comes first */

/* Each has its result, or a sentence that says why not. */
static void judge_letter(struct actor *a, thrum_future *f, int i, enum way way, unsigned retries) {
  const void *data;
  size_t size;
  uint32_t s;
  int error = thrum_future_bytes(f, &data, &size);
  ADD(a->house->ended, 1);
  if (!error) {
    CHECK_EQ(size, length_of(i) + sizeof s);
    memcpy(&s, data, sizeof s);
    CHECK_EQ(s, sum(text + i, length_of(i)));
    CHECK(memcmp((const char *)data + sizeof s, text + i, length_of(i)) == 0);
  } else if (error == -ECANCELED) {
    CHECK(way == CANCEL && thrum_future_cancelled(f));
  } else {
    CHECK_ERROR(error, (error == -EOWNERDEAD && !retries) || error == -EPIPE);
    CHECK_HAS(thrum_future_failure(f), "killed by signal 9");
    ADD(a->house->failed, 1);
  }
  thrum_future_release(f);
}

void pool_round(struct actor *a) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_future *f[LETTERS];
  thrum_executor *x;
  enum way way = (enum way)draw(&a->seed, WAYS);
  o.processes = 1 + draw(&a->seed, 2);
  o.retries = draw(&a->seed, 2) ? 1000 : 0;
  o.tasks_per_process = draw(&a->seed, 3) ? 0 : 7;
  o.method = draw(&a->seed, 4) ? THRUM_FORKSERVER : THRUM_SPAWN;
  o.initializer = &enter_pool;
  CHECK_EQ(thrum_executor_processes(&x, &o), 0);
  for (int i = 0; i < LETTERS; i++) CHECK_EQ(thrum_submit_task(x, &f[i], &letter, text + i, length_of(i)), 0);
  if (way != COLLECT) CHECK_EQ(thrum_executor_shutdown(x, false, way == CANCEL), 0);
  for (int i = 0; i < LETTERS; i++) judge_letter(a, f[i], i, way, o.retries);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
}

/* ---- Tasks ----------------------------------------------------------------------------------------------------------------- */

/* Keeps memory under the name that it was given, and sends back what comes, until nobody is there. */
THRUM_TASK(correspond) {
  static unsigned char buffer[TEXT];
  thrum_shared_memory *m;
  thrum_conn *c;
  uint64_t answers = 0;
  ssize_t n;
  (void)size;
  be_called("k-task");
  CHECK_EQ(thrum_conn_open(&c, thrum_inherited_fd(0), THRUM_CONN_BOTH), 0);
  CHECK_EQ(thrum_shared_memory_create(&m, (const char *)in, 4096, NULL), 0);
  strcpy((char *)thrum_shared_memory_data(m), (const char *)in);
  while ((n = thrum_conn_recv(c, buffer, sizeof buffer)) >= 0) {
    if (thrum_conn_send(c, buffer, (size_t)n) != 0) break;
    answers++;
  }
  thrum_conn_close(c);
  thrum_shared_memory_close(m);
  return thrum_out_write(out, &answers, sizeof answers);
}

static bool is_cut(ssize_t error) {
  CHECK_ERROR(error, error == -EPIPE || error == -ECONNRESET || error == -EBADMSG);
  return true;
}

/* An answer, or false: it is gone. */
static bool is_answered(struct actor *a, thrum_conn *c) {
  unsigned char *buffer = malloc(TEXT);
  int at = draw(&a->seed, TEXT - LONG), size = draw(&a->seed, draw(&a->seed, 2) ? LONG : 100);
  CHECK(buffer != NULL);
  ssize_t n = thrum_conn_send(c, text + at, (size_t)size);
  if (n == 0) n = thrum_conn_recv(c, buffer, TEXT);
  bool answered = n >= 0 || !is_cut(n);
  if (answered) CHECK(n == size && memcmp(buffer, text + at, (size_t)size) == 0);
  free(buffer);
  return answered;
}

/* What it keeps is there while it lives. */
static void visit(const char *name, bool lives) {
  thrum_shared_memory *m;
  int error = thrum_shared_memory_attach(&m, name);
  CHECK_ERROR(error, error == 0 ? lives : error == -ENOENT);
  if (error) return;
  CHECK_STR(thrum_shared_memory_data(m), name);
  thrum_shared_memory_close(m);
}

static void check_answers(thrum_process *p, uint64_t answers, bool whole) {
  const void *data;
  size_t size;
  uint64_t said;
  await_end(p);
  int error = thrum_process_result(p, &data, &size);
  CHECK_ERROR(error, error == 0 || (error == -EPIPE));
  if (error) return;
  CHECK_EQ(size, sizeof said);
  memcpy(&said, data, sizeof said);
  CHECK(whole ? said == answers : said >= answers);
}

static void correspondence(struct actor *a) {
  static uint64_t number;
  char name[THRUM_SHARED_NAME_MAX];
  thrum_conn *end[2];
  thrum_process *p;
  thrum_process_options o = with_method(draw(&a->seed, 4) ? THRUM_FORKSERVER : THRUM_SPAWN);
  snprintf(name, sizeof name, "kills-%d-%d-%d", (int)a->house->judge, (int)getpid(), (int)ADD(number, 1));
  CHECK_EQ(thrum_conn_pair(end), 0);
  int fd = thrum_conn_fd(end[1]);
  o.descriptors = &fd;
  o.descriptor_count = 1;
  CHECK_EQ(thrum_process_start(&p, &o, &correspond, name, strlen(name) + 1), 0);
  thrum_conn_close(end[1]);
  uint64_t answers = 0;
  bool there = true;
  for (int i = draw(&a->seed, ANSWERS); i > 0 && there; i--) {
    there = is_answered(a, end[0]);
    answers += there;
    if (there) visit(name, true);
  }
  thrum_conn_close(end[0]);
  check_answers(p, answers, there);
  bool well = ends_well(a, p);
  CHECK(there || !well);
  visit(name, false);
}

THRUM_TASK(compute) {
  uint32_t s = sum(in, size);
  be_called("k-forked");
  return thrum_out_write(out, &s, sizeof s);
}

/* A forked one has inherited all ends of everybody's pipes, and so does nothing that may last. */
static void computation(struct actor *a) {
  const void *data;
  size_t size;
  uint32_t s;
  thrum_process_options o = with_method(METHOD_LAST);
  thrum_process *p;
  CHECK_EQ(thrum_process_start(&p, &o, &compute, text, LONG), 0);
  await_end(p);
  int error = thrum_process_result(p, &data, &size);
  CHECK_ERROR(error, error == 0 || error == -EPIPE);
  if (!error) {
    memcpy(&s, data, sizeof s);
    CHECK(size == sizeof s && s == sum(text, LONG));
  }
  bool well = ends_well(a, p);
  CHECK(!well || !error);
}

void task_round(struct actor *a) {
  if (draw(&a->seed, 4))
    correspondence(a);
  else
    computation(a);
}

/* ---- Commands ---------------------------------------------------------------------------------------------------------------- */

void command_round(struct actor *a) {
  const char *const argv[] = {"cat", NULL};
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *p;
  const void *data;
  size_t size, sent = (size_t)draw(&a->seed, LONG);
  o.input = THRUM_STDIO_PIPE;
  o.output = THRUM_STDIO_CAPTURE;
  CHECK_EQ(thrum_process_exec(&p, &o, argv), 0);
  int to = thrum_process_pipe(p, 0);
  ssize_t n = thrum_write_all(to, text, sent);
  CHECK(n == (ssize_t)sent || n >= 0 || n == -EPIPE);
  CHECK_EQ(thrum_close(to), 0);
  await_end(p);
  CHECK_EQ(thrum_process_output(p, 1, &data, &size), 0);
  CHECK(size <= sent && memcmp(data, text, size) == 0);
  if (ends_well(a, p)) CHECK(n == (ssize_t)sent);
}

/* ---- A family ---------------------------------------------------------------------------------------------------------------- */

static struct household family;

struct orders {
  uint64_t seed;
  pid_t judge;
};

/* Ends with its parent's word, which is the end of a pipe. */
static intptr_t listen_to_parent(void *unused) {
  char byte;
  CHECK_EQ(thrum_read(thrum_inherited_fd(0), &byte, 1), 0);
  STORE(family.stop, 1);
  return (void)unused, 0;
}

THRUM_TASK(live) {
  struct orders orders;
  memcpy(&orders, in, sizeof orders);
  be_called("k-family");
  signal(SIGPIPE, SIG_IGN);
  family.judge = orders.judge;
  thrum_thread listener = must_spawn(listen_to_parent, NULL);
  household_live(&family, orders.seed, 1u << POOL | 1u << TASKS | 1u << COMMANDS);
  CHECK_EQ(must_join(listener), 0);
  (void)out;
  return (void)size, 0;
}

void family_round(struct actor *a) {
  struct orders orders = {draw_any(&a->seed), a->house->judge};
  thrum_process_options o = with_method(draw(&a->seed, 2) ? THRUM_FORKSERVER : THRUM_SPAWN);
  thrum_process *p;
  int leash[2];
  CHECK_EQ(pipe2(leash, O_CLOEXEC), 0);
  o.descriptors = &leash[0];
  o.descriptor_count = 1;
  CHECK_EQ(thrum_process_start(&p, &o, &live, &orders, sizeof orders), 0);
  CHECK_EQ(thrum_close(leash[0]), 0);
  int error = thrum_process_join_for(p, NULL, THRUM_MS(draw(&a->seed, 200)));
  CHECK_ERROR(error, error == 0 || error == -ETIMEDOUT || (error == -ECHILD && !kernel_keeps_ends()));
  if (draw(&a->seed, 3) == 0) CHECK_EQ(thrum_process_kill(p), 0);
  CHECK_EQ(thrum_close(leash[1]), 0);
  ends_well(a, p);
}

/* ---- All of them --------------------------------------------------------------------------------------------------------------- */

static intptr_t act(void *arg) {
  static void (*const rounds[])(struct actor *) = {pool_round,   task_round,    command_round,
                                                   family_round, sharing_round, managing_round};
  struct actor *a = arg;
  do {
    rounds[a->activity](a);
    ADD(a->house->rounds[a->activity], 1);
  } while (!LOAD(a->house->stop));
  return 0;
}

void household_live(struct household *house, uint64_t seed, unsigned activities) {
  static const char *const names[] = {"pool", "tasks", "commands", "family", "sharing", "managing"};
  struct actor actors[ACTIVITIES];
  thrum_thread threads[ACTIVITIES];
  for (int i = 0; i < ACTIVITIES; i++) {
    if (!(activities & 1u << i)) continue;
    actors[i] = (struct actor){house, (enum activity)i, mix(seed + (uint64_t)i)};
    CHECK_EQ(thrum_spawn_named(&threads[i], act, &actors[i], "%s", names[i]), 0);
  }
  for (int i = 0; i < ACTIVITIES; i++)
    if (activities & 1u << i) CHECK_EQ(must_join(threads[i]), 0);
}
