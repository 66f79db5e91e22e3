/* A program that does not call thrum_process_main: what needs it refuses, once with a line that names the remedy; fork and commands do not. */
#include "../promises/processes.h"

THRUM_TASK(fine) { return 0; }

int main(void) {
  int line[2], before = dup(2);
  char text[512];
  CHECK_EQ(pipe2(line, O_CLOEXEC), 0);
  CHECK_EQ(dup2(line[1], 2), 2);
  for (int i = 0; i < 2; i++)
    for (int m = THRUM_FORKSERVER; m <= THRUM_SPAWN; m++) {
      thrum_process_options o = with_method(m);
      thrum_process *p = NULL;
      CHECK_EQ(thrum_process_start(&p, &o, &fine, NULL, 0), -ENOTSUP);
      CHECK(!p);
    }
  CHECK_EQ(dup2(before, 2), 2);
  close(line[1]);
  ssize_t n = read(line[0], text, sizeof text - 1);
  CHECK(n > 0);
  text[n] = 0;
  CHECK_HAS(text, "thrum_process_main(argc, argv) as the first call of main");
  CHECK(strchr(text, '\n') == text + n - 1); /* one line */
  if (!TESTS_TSAN) must_end_with(must_start(THRUM_FORK, &fine, NULL, 0), 0);
  static const char *const yes[] = {"true", NULL};
  thrum_process *p;
  CHECK_EQ(thrum_process_exec(&p, NULL, yes), 0);
  must_end_with(p, 0);
  return 0;
}
