/* A crash that harms nobody
 *
 * Five processes, each with a number to look up in a table. One of them follows a pointer that leads nowhere: in a thread that would be
 * the end of the whole program. Here it is the end of one process, which its parent hears of as an exit code: minus the number of the
 * signal. The others have their results.
 *
 * Then one that takes too long is ended from outside, which nobody can do to a thread. */
#include <string.h>
#include <sys/resource.h>

#include <thrum.h>

enum { CHILDREN = 5, BAD = 2 };

static const int table[CHILDREN] = {10, 20, 30, 40, 50};

THRUM_TASK(look_up) {
  int n;
  struct rlimit no_core = {0, 0};
  if (size != sizeof n) return -EINVAL;
  memcpy(&n, in, size);
  setrlimit(RLIMIT_CORE, &no_core);
  const int *volatile entry = n == BAD ? NULL : &table[n];
  int found = *entry;
  return thrum_out_write(out, &found, sizeof found);
}

THRUM_TASK(sleep_long) { return thrum_sleep(THRUM_S(3600)); }

static void tell(thrum_process *process) {
  const void *bytes = NULL;
  size_t size = 0;
  int code = 0, found = 0;
  thrum_process_join(process, &code);
  if (code < 0) {
    thrum_print("%s: killed by signal %d, %s\n", thrum_process_name(process), -code, strsignal(-code));
  } else if (thrum_process_result(process, &bytes, &size) == 0 && size == sizeof found) {
    memcpy(&found, bytes, size);
    thrum_print("%s: exit code %d, found %d\n", thrum_process_name(process), code, found);
  }
  thrum_process_release(process);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_process *processes[CHILDREN] = {0}, *slow = NULL;
  for (int i = 0; i < CHILDREN; i++) thrum_process_start(&processes[i], NULL, &look_up, &i, sizeof i);
  for (int i = 0; i < CHILDREN; i++) tell(processes[i]);

  thrum_process_start(&slow, NULL, &sleep_long, NULL, 0);
  if (thrum_process_join_for(slow, NULL, THRUM_MS(50)) == -ETIMEDOUT) {
    thrum_print("%s has not ended after 50 ms, and is terminated\n", thrum_process_name(slow));
    thrum_process_terminate(slow);
  }
  tell(slow);
  return 0;
}
