/* A global, changed by a thread and by a process
 *
 * A thread adds to a global variable, and everybody sees it: threads share all memory. Then a process does the same, and nobody
 * sees it: the child has a variable of its own, which goes with it. What a process finds out it has to hand back, as bytes: the
 * result of its task.
 *
 * With the fork server the child begins as the program began, so its variable is 0; a child of fork would begin with what the parent
 * has at that moment. */
#include <string.h>

#include <thrum.h>

static int counter;

static intptr_t add_in_thread(void *unused) {
  (void)unused;
  return ++counter;
}

THRUM_TASK(add_in_process) {
  counter++;
  thrum_print("\t%s: counter is %d\n", thrum_current_process_name(), counter);
  return thrum_out_write(out, &counter, sizeof counter);
}

static void in_a_process(int method, const char *how) {
  thrum_process_options options = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *process = NULL;
  const void *bytes = NULL;
  size_t size = 0;
  int theirs = -1;
  options.method = method;
  options.name = how;
  thrum_process_start(&process, &options, &add_in_process, NULL, 0);
  thrum_process_join(process, NULL);
  if (thrum_process_result(process, &bytes, &size) == 0 && size == sizeof theirs)
    memcpy(&theirs, bytes, size);
  thrum_process_release(process);
  thrum_print("after a process by the %s: it handed back %d, and here counter is %d\n", how, theirs, counter);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_thread thread;
  thrum_print("at first counter is %d\n", counter);
  thrum_spawn(&thread, add_in_thread, NULL);
  thrum_join(thread, NULL);
  thrum_print("after a thread counter is %d\n", counter);
  in_a_process(THRUM_FORKSERVER, "fork server");
  in_a_process(THRUM_FORK, "fork");
  return 0;
}
