/* A program for thrum top and thrum dump: a thread that computes, sleepers, a lock with an owner and two that wait for it, a queue with
 * a depth and one who waits for room, one who waits for an item, a scope. It prints a line when all are where they are to be, and
 * ends when its input does. With "core" it aborts then; with "stuck" as many compute as there are workers, and more. */
#include <stdio.h>
#include <string.h>
#include <thrum.h>
#include <unistd.h>

static thrum_lock table;
static thrum_queue jobs = THRUM_QUEUE_INIT(int, 2), results = THRUM_QUEUE_INIT(int, THRUM_UNBOUNDED);
static int ready;

static void at_my_place(void) { __atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE); }

static intptr_t compute_in_here(void *arg) {
  (void)arg;
  at_my_place();
  for (volatile unsigned long i = 0;; i++) continue;
  return 0;
}

static intptr_t sleep_in_here(void *arg) {
  (void)arg;
  at_my_place();
  return thrum_sleep(THRUM_S(3600));
}

static intptr_t hold_in_here(void *arg) {
  (void)arg;
  thrum_lock_acquire(&table);
  at_my_place();
  thrum_sleep(THRUM_S(3600));
  thrum_lock_release(&table);
  return 0;
}

static intptr_t want_in_here(void *arg) {
  (void)arg;
  at_my_place();
  thrum_lock_acquire(&table);
  thrum_lock_release(&table);
  return 0;
}

static intptr_t put_in_here(void *arg) {
  (void)arg;
  for (int i = 0;; i++) {
    if (i == 2) at_my_place();
    thrum_queue_put(&jobs, &i);
  }
  return 0;
}

static intptr_t get_in_here(void *arg) {
  int item;
  (void)arg;
  at_my_place();
  return thrum_queue_get(&results, &item);
}

static intptr_t scoped_in_here(void *arg) {
  thrum_scope scope;
  (void)arg;
  if (thrum_scope_open(&scope, NULL) != 0) return 1;
  if (thrum_scope_spawn_named(&scope, NULL, sleep_in_here, NULL, "member") != 0) return 1;
  at_my_place();
  return thrum_scope_close(&scope);
}

static void start(const char *name, thrum_fn *fn) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = name;
  options.daemon = THRUM_YES;
  if (thrum_spawn_with(NULL, &options, fn, NULL) != 0) _exit(3);
}

static void await(int n) {
  while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < n) thrum_sleep(THRUM_MS(1));
}

/* Of whom it is known only that they are on their way there. */
static void await_waiting(int n) {
  for (int waiting = 0; waiting < n;) {
    static char text[64 * 1024];
    FILE *file = tmpfile();
    if (!file || thrum_dump(fileno(file)) != 0) _exit(4);
    ssize_t size = pread(fileno(file), text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    fclose(file);
    waiting = 0;
    for (const char *at = text; (at = strstr(at, ", waits for ")); at++) waiting++;
    if (waiting < n) thrum_sleep(THRUM_MS(1));
  }
}

int main(int argc, char **argv) {
  thrum_lock_set_name(&table, "table");
  thrum_queue_set_name(&jobs, "jobs");
  thrum_queue_set_name(&results, "results \"\\\n\xff");
  start("holder", hold_in_here);
  await(1);
  start("wanter-1", want_in_here);
  start("wanter-2", want_in_here);
  start("sleeper", sleep_in_here);
  start("putter", put_in_here);
  start("getter", get_in_here);
  start("opener", scoped_in_here);
  await(8);
  await_waiting(8);
  start("hog", compute_in_here);
  for (int i = 0; argc > 1 && strcmp(argv[1], "stuck") == 0 && i < 4; i++) start("hog too", compute_in_here);
  await(9);
  printf("ready %d\n", (int)getpid());
  fflush(stdout);
  if (argc > 1 && strcmp(argv[1], "core") == 0) __builtin_trap();
  char c;
  while (read(0, &c, 1) > 0) continue;
  return 0;
}
