/* With THRUM_STATS=1 a program that ends in order says what the runtime has counted; without it nothing. */
#include "../child.h"
#include "../support.h"

enum { THREADS = 7, TURNS = 100, STATUS = 3 };

static intptr_t polite(void *arg) {
  (void)arg;
  for (int i = 0; i < TURNS; i++) thrum_yield();
  return 0;
}

static int work(void) {
  thrum_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(polite, NULL);
  for (int i = 0; i < THREADS; i++) must_join(threads[i]);
  return 0;
}

static int fails(void) {
  work();
  return STATUS;
}

static const struct child_case cases[] = {{"work", work}, {"fails", fails}, {0}};

/* -1: no such line. */
static long count(const char *text, const char *of) {
  const char *line = strstr(text, of);
  if (!line) return -1;
  while (line > text && line[-1] != '\n') line--;
  return strtol(line, NULL, 10);
}

static void counted(const char *name, int status) {
  struct child child = child_run_with(name, "THRUM_STATS=1");
  CHECK_STATUS(child, status);
  CHECK_HAS(child.err_text, "thrum: what the runtime has counted:\n");
  CHECK_EQ(count(child.err_text, "  threads started\n"), THREADS);
  CHECK(count(child.err_text, "  switches from one thread to another\n") >= THREADS);
  CHECK_EQ(count(child.err_text, "  workers\n"), atoi(getenv("THRUM_WORKERS")));
  CHECK_STR(child.out_text, "");
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  counted("work", 0);
  counted("fails", STATUS);
  struct child child = child_run("work");
  CHECK_STATUS(child, 0);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
