/* Several threads dump at the same time, while somebody looks from outside: each gets the stack of those who run. One that does not answer
 * has had its time to; who is told so sooner has been disturbed by another one. */
#include "../inspected.h"
#include "../support.h"

#include <sys/mman.h>

enum { DUMPERS = 3, ROUNDS = TESTS_SANITIZED ? 10 : 25, HOGS = 2 };
#define ANSWER_WITHIN INT64_C(300000000)

static bool looking_is_over;

static void check_dump(int fd, int64_t took) {
  static const char unanswered[] = "does not answer";
  char text[64 * 1024];
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  CHECK(n > 0);
  text[n] = 0;
  CHECK_HAS(text, "\"hog-0\" #");
  if (took < ANSWER_WITHIN && strstr(text, unanswered)) check_failed(__FILE__, __LINE__, "%s", text);
}

/* By an OS thread of its own: they dump at the same time even if there is one worker. */
static void *dump_again_and_again(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS; i++) {
    int fd = memfd_create("dump", MFD_CLOEXEC);
    CHECK(fd >= 0);
    int64_t began = wall_now();
    CHECK_EQ(thrum_dump(fd), 0);
    check_dump(fd, wall_now() - began);
    close(fd);
  }
  return NULL;
}

/* By an OS thread that thrum does not know. */
static void *look_again_and_again(void *arg) {
  const struct hogs *hogs = arg;
  char request[64];
  int fd = inspected_connect(getpid());
  snprintf(request, sizeof request, "stack %llu", (unsigned long long)thrum_id(hogs->threads[0]));
  while (!LOAD(looking_is_over)) {
    int64_t began = wall_now();
    const char *answer = json_checked(inspected_ask(fd, request));
    if (wall_now() - began < ANSWER_WITHIN) CHECK_HAS(answer, "\"stack\":[{\"pc\"");
  }
  close(fd);
  return NULL;
}

int main(void) {
  struct hogs hogs;
  pthread_t stranger, dumpers[DUMPERS];
  inspected_begin();
  CHECK_EQ(thrum_inspect(true), 0);
  hogs_start(&hogs, HOGS, hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  CHECK_EQ(pthread_create(&stranger, NULL, look_again_and_again, &hogs), 0);
  for (int i = 0; i < DUMPERS; i++)
    CHECK_EQ(pthread_create(&dumpers[i], NULL, dump_again_and_again, NULL), 0);
  for (int i = 0; i < DUMPERS; i++) CHECK_EQ(pthread_join(dumpers[i], NULL), 0);
  STORE(looking_is_over, true);
  CHECK_EQ(pthread_join(stranger, NULL), 0);
  hogs_stop(&hogs);
  CHECK_EQ(thrum_inspect(false), 0);
  inspected_end();
  return 0;
}
