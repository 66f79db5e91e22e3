/* Who looks from outside is answered: what threads do, what they wait for and who has it, stacks, locks, queues; also when no worker
 * does anything else any more. The socket goes when it is switched off, and at the end; the child of a fork has none. */
#include "../child.h"
#include "../forked.h"
#include "../inspected.h"
#include "../support.h"

static thrum_lock table;
static thrum_queue jobs = THRUM_QUEUE_INIT(int, 2);

static intptr_t hold(void *arg) {
  thrum_lock_acquire(&table);
  thrum_event_wait(arg);
  thrum_lock_release(&table);
  return 0;
}

static intptr_t want(void *arg) {
  (void)arg;
  thrum_lock_acquire(&table);
  thrum_lock_release(&table);
  return 0;
}

static intptr_t put_three(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_put(&jobs, &i), 0);
  return 0;
}

static intptr_t wait_in_scope(void *arg) {
  thrum_event_wait(arg);
  return 0;
}

static thrum_thread named(thrum_fn *fn, void *arg, const char *name) {
  thrum_thread t;
  CHECK_EQ(thrum_spawn_named(&t, fn, arg, "%s", name), 0);
  return t;
}

/* What is said of the thread with this name, up to its end. */
static const char *entry_of(const char *answer, const char *name) {
  char pattern[100];
  snprintf(pattern, sizeof pattern, "\"name\":\"%s\"", name);
  const char *at = strstr(answer, pattern);
  if (!at) check_failed(__FILE__, __LINE__, "no %s in \"%s\"", pattern, answer);
  return at;
}

static bool is_said(int fd, const char *request, const char *part) {
  return strstr(json_checked(inspected_ask(fd, request)), part) != NULL;
}

/* ---- What is said ----------------------------------------------------------------------------------------------- */

static void look_at_waits(int fd) {
  static thrum_event let_go;
  char of[64];
  thrum_lock_set_name(&table, "table");
  thrum_thread holder = named(hold, &let_go, "holder \"\\\n\xff");
  AWAIT(thrum_lock_try_acquire(&table) != 0 || (thrum_lock_release(&table), false));
  thrum_thread waiter = named(want, NULL, "waiter");
  snprintf(of, sizeof of, "\"owner\":%llu", (unsigned long long)thrum_id(holder));
  AWAIT(is_said(fd, "threads", of));
  const char *answer = inspected_ask(fd, "threads");
  CHECK_HAS(entry_of(answer, "waiter"), "\"state\":\"waiting\"");
  CHECK_HAS(entry_of(answer, "waiter"), "\"waits\":{\"for\":\"lock\",\"object\":\"\\\"table\\\"\"");
  CHECK_HAS(answer, "\"name\":\"holder \\\"\\\\\\n\\ufffd\""); /* each byte as it must be */
  CHECK_HAS(entry_of(answer, "MainThread"), "\"kind\":\"main\"");
  answer = json_checked(inspected_ask(fd, "locks"));
  CHECK_HAS(answer, "{\"kind\":\"lock\",\"object\":\"\\\"table\\\"\"");
  CHECK_HAS(answer, of);
  CHECK_EQ(json_number_after(answer, "waiters"), 1);
  snprintf(of, sizeof of, "stack %llu", (unsigned long long)thrum_id(waiter));
  answer = json_checked(inspected_ask(fd, of));
  CHECK_HAS(answer, "\"stack\":[{\"pc\":\"0x");
  thrum_event_set(&let_go);
  must_join(holder);
  must_join(waiter);
  CHECK_HAS(inspected_ask(fd, of), "\"error\":\"there is no such thread any more\"");
  CHECK(!is_said(fd, "locks", "table"));
}

static void look_at_queues(int fd) {
  int item;
  thrum_queue_set_name(&jobs, "jobs");
  CHECK_EQ(json_number_after(inspected_ask(fd, "queues"), "depth"),
           0); /* nobody is in it, but it has a name */
  thrum_thread putter = must_spawn(put_three, NULL);
  AWAIT(is_said(fd, "queues", "\"putters\":1"));
  const char *answer = json_checked(inspected_ask(fd, "queues"));
  CHECK_HAS(answer, "\"object\":\"\\\"jobs\\\"\"");
  CHECK_EQ(json_number_after(answer, "depth"), 2);
  CHECK_EQ(json_number_after(answer, "capacity"), 2);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_get(&jobs, &item), 0);
  must_join(putter);
  CHECK_EQ(thrum_queue_destroy(&jobs), 0);
  CHECK(!is_said(fd, "queues", "jobs"));
}

static void look_at_scopes(int fd) {
  static thrum_event let_go;
  thrum_scope scope;
  char id[64];
  CHECK_EQ(thrum_scope_open(&scope, NULL), 0);
  CHECK_EQ(thrum_scope_spawn_named(&scope, NULL, wait_in_scope, &let_go, "member"), 0);
  const char *answer = json_checked(inspected_ask(fd, "threads"));
  snprintf(id, sizeof id, "\"scope\":\"%#lx\",\"threads\":1", (unsigned long)(uintptr_t)&scope);
  CHECK_HAS(entry_of(answer, "MainThread"), id);
  snprintf(id, sizeof id, "\"member_of\":{\"scope\":\"%#lx\",\"opener\":%llu}",
           (unsigned long)(uintptr_t)&scope, (unsigned long long)thrum_id(thrum_current()));
  CHECK_HAS(entry_of(answer, "member"), id);
  thrum_event_set(&let_go);
  CHECK_EQ(thrum_scope_close(&scope), 0);
  CHECK(!is_said(fd, "threads", "member_of"));
}

static void look_at_stats(int fd) {
  const char *answer = json_checked(inspected_ask(fd, "stats"));
  CHECK_EQ(json_number_after(answer, "pid"), getpid());
  CHECK_EQ(json_number_after(answer, "protocol"), 1);
  CHECK_EQ(json_number_after(answer, "workers"), thrum_workers());
  CHECK(json_number_after(answer, "uptime_ns") > 0);
}

/* ---- Many threads -------------------------------------------------------------------------------------------------- */

/* A page after the other, each thread once. */
static void look_at_many(int fd) {
  enum { MANY = TESTS_TSAN ? 300 : 1500 }; /* that sanitizer keeps much for each */
  static thrum_event let_go;
  static thrum_thread threads[MANY];
  int pages = 0, found = 0;
  char request[64];
  for (int i = 0; i < MANY; i++)
    CHECK_EQ(thrum_spawn_named(&threads[i], wait_in_scope, &let_go, "one of many %d", i), 0);
  for (long long next = 0; pages == 0 || next; pages++) {
    snprintf(request, sizeof request, "threads %lld", next);
    const char *answer = json_checked(inspected_ask(fd, request));
    for (const char *at = answer; (at = strstr(at, "\"one of many")); at++) found++;
    next = json_number_after(strstr(answer, "],\"next\""), "next");
  }
  CHECK_EQ(found, MANY);
  CHECK(pages > 1 || TESTS_TSAN);
  thrum_event_set(&let_go);
  for (int i = 0; i < MANY; i++) must_join(threads[i]);
}

/* The text of all pages of a dump: each thread once, and the last line is empty. */
static void read_dump(int fd, const char *name) {
  char request[64], pattern[64];
  int found = 0;
  long long next = 0;
  snprintf(pattern, sizeof pattern, "\\\"%s\\\" #", name);
  do {
    snprintf(request, sizeof request, "dump %lld", next);
    const char *answer = json_checked(inspected_ask(fd, request));
    for (const char *at = answer; (at = strstr(at, pattern)); at++) found++;
    CHECK_HAS(answer, "\"cut\":false");
    next = json_number_after(strstr(answer, "\"next\":"), "next");
  } while (next);
  CHECK_EQ(found, 1);
}

/* ---- All workers compute ------------------------------------------------------------------------------------------- */

struct question {
  const struct hogs *hogs;
  pid_t pid;
};

/* By an OS thread that thrum does not know. */
static void *ask_as_stranger(void *arg) {
  const struct question *q = arg;
  int fd = inspected_connect(q->pid);
  char request[64];
  const char *answer = json_checked(inspected_ask(fd, "threads"));
  CHECK_HAS(entry_of(answer, "hog-0"), "\"state\":");
  for (int i = 0; i < q->hogs->count; i++) {
    snprintf(request, sizeof request, "stack %llu", (unsigned long long)thrum_id(q->hogs->threads[i]));
    AWAIT_OUTSIDE(is_said(fd, request, "\"stack\":[{\"pc\":\"0x")); /* it may have no CPU to answer in time */
  }
  read_dump(fd, "hog-0");
  close(fd);
  return NULL;
}

/* What hogs burn is put down to them. */
static void await_usage(int fd, const struct hogs *hogs) {
  for (int i = 0; i < hogs->count; i++) {
    char name[16];
    snprintf(name, sizeof name, "hog-%d", i);
    AWAIT(json_number_after(entry_of(inspected_ask(fd, "threads"), name), "cpu_ns") > 20 * 1000 * 1000);
  }
}

static void look_at_hogs(int fd) {
  struct hogs hogs;
  pthread_t stranger;
  hogs_start(&hogs, 4, hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  struct question question = {&hogs, getpid()};
  CHECK_EQ(pthread_create(&stranger, NULL, ask_as_stranger, &question), 0);
  CHECK_EQ(pthread_join(stranger, NULL), 0);
  await_usage(fd, &hogs);
  hogs_stop(&hogs);
}

/* ---- One peer costs the others little -------------------------------------------------------------------------------- */

static bool deaf, hearing;

static intptr_t be_deaf(void *arg) {
  sigset_t all, former;
  sigfillset(&all);
  CHECK_EQ(pthread_sigmask(SIG_SETMASK, &all, &former), 0);
  STORE(deaf, true);
  while (!LOAD(hearing)) sched_yield();
  CHECK_EQ(pthread_sigmask(SIG_SETMASK, &former, NULL), 0);
  return (void)arg, 0;
}

/* It does not answer who wants its stack, which costs 0.3 s each time. Nor could it be preempted: it keeps no worker. */
static intptr_t wait_deaf(void *arg) { return thrum_blocking(be_deaf, arg); }

/* Another one's request is answered between those that were sent ahead. */
static void look_ahead(int fd) {
  enum { AHEAD = 6 };
  thrum_thread t = must_spawn_bound(wait_deaf, NULL);
  char stack[64], requests[128] = "";
  AWAIT(LOAD(deaf));
  snprintf(stack, sizeof stack, "stack %llu\n?\n", (unsigned long long)thrum_id(t));
  CHECK(strlen(stack) * AHEAD + sizeof "stats\n" <=
        sizeof requests); /* a line's room takes them all at once */
  for (int i = 0; i < AHEAD; i++) strcat(requests, stack);
  strcat(requests, "stats\n");
  int other = inspected_connect(getpid());
  inspected_ask(other, "stats");
  inspected_send(fd, requests);
  for (int i = 0; i < AHEAD; i++) {
    CHECK_HAS(inspected_receive(fd), "\"answers\":false");
    CHECK_HAS(inspected_receive(fd), "\"error\"");
    if (i == 0) inspected_send(other, "stats\n");
  }
  long long last = json_number_after(inspected_receive(fd), "now_ns");
  CHECK(json_number_after(inspected_receive(other), "now_ns") < last);
  close(other);
  STORE(hearing, true);
  must_join(t);
}

/* ---- On and off, forks, the end -------------------------------------------------------------------------------------- */

static void switch_on_and_off(void) {
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(thrum_inspect(true), 0);
    CHECK_EQ(thrum_inspect(true), 0);
    int fd = inspected_connect(getpid());
    CHECK_HAS(inspected_ask(fd, "stats"), "\"pid\"");
    CHECK_EQ(thrum_inspect(false), 0);
    CHECK(inspected_receive(fd) == NULL);
    close(fd);
    CHECK_EQ(inspected_try_connect(getpid()), -ENOENT);
    CHECK_EQ(thrum_inspect(false), 0);
  }
}

/* Sockets that this process has open. */
static int open_sockets(void) {
  int n = 0;
  for (int fd = 0; fd < 256; fd++) {
    struct stat s;
    n += fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode);
  }
  return n;
}

/* One end of a connection is our own. */
static void fork_beside(int fd) {
  CHECK_HAS(inspected_ask(fd, "stats"), "\"pid\"");
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    close(fd);
    CHECK_EQ(open_sockets(), 0);
    CHECK_EQ(thrum_inspect(false), 0);
    CHECK_EQ(thrum_inspect(true), 0);
    int own = inspected_connect(getpid());
    CHECK_EQ(json_number_after(inspected_ask(own, "stats"), "pid"), getpid());
    close(own);
    exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  CHECK_EQ(access(inspected_path(pid), F_OK), -1); /* removed at its end */
  CHECK_HAS(inspected_ask(fd, "stats"), "\"pid\"");
}

static int ends_at_once(void) {
  inspected_begin();
  CHECK_EQ(thrum_workers() > 0, true);
  CHECK_EQ(access(inspected_path(getpid()), F_OK), 0);
  return 7;
}

/* A kernel thread more that can wake nobody. */
static int deadlocks(void) {
  static thrum_event never;
  inspected_begin();
  int fd = inspected_connect((thrum_workers(), getpid()));
  inspected_ask(fd, "stats");
  thrum_event_wait(&never);
  return 0;
}

static void see_ends(void) {
  CHECK_EQ(setenv("THRUM_INSPECT", "1", 1), 0); /* of the children */
  struct child child = child_run("ends-at-once");
  CHECK_EQ(child.status, 7);
  CHECK_EQ(access(inspected_path(child.pid), F_OK), -1);
  child_free(&child);
  CHECK_EQ(unsetenv("THRUM_INSPECT"), 0);
}

/* ThreadSanitizer has a kernel thread of its own, which might wake somebody for all that thrum knows. */
static void see_deadlock(void) {
  if (TESTS_TSAN) return;
  CHECK_EQ(setenv("THRUM_INSPECT", "1", 1), 0);
  struct child child = child_run("deadlocks");
  CHECK_EQ(child.status, THRUM_EXIT_DEADLOCK);
  CHECK_EQ(inspected_try_connect(child.pid), -ECONNREFUSED);
  CHECK_EQ(unlink(inspected_path(child.pid)), 0);
  child_free(&child);
  CHECK_EQ(unsetenv("THRUM_INSPECT"), 0);
}

/* ---- thrum_dump_json -------------------------------------------------------------------------------------------------- */

static void dump_as_json(void) {
  static char text[INSPECTED_ANSWER];
  FILE *file = tmpfile();
  CHECK(file);
  CHECK_EQ(thrum_dump_json(fileno(file)), 0);
  ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
  CHECK(n > 0);
  json_checked(text);
  CHECK_HAS(entry_of(text, "MainThread"), "\"stack\":[{\"pc\":\"0x");
  CHECK_EQ(json_number_after(text, "pid"), getpid());
  fclose(file);
  CHECK_EQ(thrum_dump_json(-1), -EBADF);
  CHECK_EQ(thrum_dump_json(1000), -EBADF);
}

static const struct child_case cases[] = {{"ends-at-once", ends_at_once}, {"deadlocks", deadlocks}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  inspected_begin();
  see_deadlock();
  see_ends(); /* before the runtime starts here: ThreadSanitizer wants no fork beside threads */
  switch_on_and_off();
  CHECK_EQ(thrum_inspect(true), 0);
  int fd = inspected_connect(getpid());
  look_at_stats(fd);
  look_at_waits(fd);
  look_at_queues(fd);
  look_at_scopes(fd);
  look_at_many(fd);
  read_dump(fd, "MainThread");
  look_at_hogs(fd);
  look_ahead(fd);
  dump_as_json();
  if (!TESTS_TSAN) fork_beside(fd);
  close(fd);
  CHECK_EQ(thrum_inspect(false), 0);
  inspected_end();
  return 0;
}
