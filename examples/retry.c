/* Retries a command until it succeeds, ever less often, within a time limit for all of it.
 *
 *     retry [-n TIMES] [-t SECONDS] COMMAND [ARG...]
 *
 * The first pause is 100 ms, each further one twice as long, up to 10 s; a part of each is left to chance, so that many that
 * failed at the same moment do not come back at the same moment. After TIMES attempts (5) the status is the last one's. When SECONDS (60)
 * are over, whatever is under way then is ended: a pause at once, a command by SIGTERM, and by SIGKILL if that does not help within
 * two seconds. The status is 124 then, as with timeout(1).
 *
 * The time limit is a scope's. Nothing below asks what time it is: the wait that is under way says -ECANCELED, and only how to
 * end a command is put behind a shield. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum.h>

enum { OUT_OF_TIME = 124, NOT_FOUND = 127 };

#define FIRST_PAUSE THRUM_MS(100)
#define LONGEST_PAUSE THRUM_S(10)
#define GRACE THRUM_S(2)

static struct {
  char **command;
  int times;
  double seconds;
} options = {NULL, 5, 60};

static void end_command(pid_t child) {
  THRUM_SHIELD(0) {
    kill(child, SIGTERM);
    if (thrum_child_wait_for(child, NULL, GRACE) == child) return;
    kill(child, SIGKILL);
    thrum_child_wait(child, NULL);
  }
}

/* Its status as a shell tells it, or a negative errno. */
static int run_command(void) {
  pid_t child;
  int status = 0, error = posix_spawnp(&child, options.command[0], NULL, NULL, options.command, environ);
  if (error) return -error;
  if (thrum_child_wait(child, &status) != child) {
    end_command(child);
    return -ECANCELED;
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Between one half and all of it. */
static thrum_duration some_of(thrum_duration pause) {
  uint32_t random = 0;
  if (getrandom(&random, sizeof random, 0) < 0) return pause;
  return pause / 2 + (thrum_duration)((double)(pause / 2) * random / UINT32_MAX);
}

static int try_often(void) {
  thrum_duration pause = FIRST_PAUSE;
  for (int attempt = 1;; attempt++) {
    int status = run_command();
    if (status <= 0 || attempt == options.times) return status;
    fprintf(stderr, "retry: attempt %d of %d ended with status %d\n", attempt, options.times, status);
    if (thrum_sleep(some_of(pause)) != 0) return -ECANCELED;
    pause = 2 * pause < LONGEST_PAUSE ? 2 * pause : LONGEST_PAUSE;
  }
}

static bool read_options(int argc, char **argv) {
  char *end;
  int option;
  while ((option = getopt(argc, argv, "+n:t:")) != -1) {
    if (option == 'n')
      options.times = (int)strtol(optarg, &end, 10);
    else if (option == 't')
      options.seconds = strtod(optarg, &end);
    else
      return false;
    if (*end) return false;
  }
  options.command = argv + optind;
  return optind < argc && options.times > 0 && options.seconds > 0 && options.seconds < 1e9;
}

int main(int argc, char **argv) {
  if (!read_options(argc, argv)) {
    fprintf(stderr, "usage: retry [-n TIMES] [-t SECONDS] COMMAND [ARG...], both above 0\n");
    return 2;
  }
  int status = 0, scope = 0;
  THRUM_SCOPE(all, .timeout = THRUM_S(options.seconds), .status = &scope) status = try_often();
  if (scope == -ETIMEDOUT) fprintf(stderr, "retry: out of time after %g s\n", options.seconds);
  if (scope == -ETIMEDOUT) return OUT_OF_TIME;
  if (status < 0) fprintf(stderr, "retry: %s: %s\n", options.command[0], strerror(-status));
  return status < 0 ? NOT_FOUND : status;
}
