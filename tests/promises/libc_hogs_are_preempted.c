/* Promise 1: a thread may be preempted inside malloc and inside printf: the others use both, and go on. */
#include "../support.h"

static FILE *sink;

static intptr_t malloc_hog(void *arg) {
  struct hog *hog = (struct hog *)arg;
  void *kept[64] = {0};
  uint64_t n = 0;
  while (!LOAD(hog->all->stop)) {
    size_t size = 16 + n * 2654435761u % 6000;
    unsigned char *block = malloc(size);
    CHECK(block);
    block[0] = block[size - 1] = (unsigned char)n;
    free(kept[n % 64]);
    kept[n % 64] = block;
    STORE(hog->loops, ++n);
  }
  for (int i = 0; i < 64; i++) free(kept[i]);
  return 0;
}

static intptr_t printf_hog(void *arg) {
  struct hog *hog = (struct hog *)arg;
  while (!LOAD(hog->all->stop)) {
    CHECK(fprintf(sink, "%d %f %s\n", hog->all->count, 1.0 / 3, "words") > 0);
    STORE(hog->loops, hog->loops + 1);
  }
  return 0;
}

/* Both in turn, so that whoever was interrupted in the one meets the other. */
static intptr_t mixed_hog(void *arg) {
  struct hog *hog = (struct hog *)arg;
  while (!LOAD(hog->all->stop)) {
    char *text = malloc(200);
    CHECK(text && snprintf(text, 200, "%g", (double)hog->loops / 7) > 0);
    CHECK(fputs(text, sink) >= 0);
    free(text);
    STORE(hog->loops, hog->loops + 1);
  }
  return 0;
}

static struct hogs hogs;

static void preempted_over_and_over(thrum_fn *fn) {
  uint64_t since[HOGS_MAX];
  hogs_start(&hogs, 4 * thrum_workers(), fn);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  uint64_t preemptions = statistics().preemptions;
  for (int i = 0; i < hogs.count; i++) since[i] = hog_loops(&hogs, i);
  AWAIT(statistics().preemptions - preemptions > 100);
  AWAIT(hogs_all_beyond(&hogs, since));
  free(malloc(5000));
  CHECK(fprintf(sink, "main\n") > 0);
  hogs_stop(&hogs);
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("with ThreadSanitizer nobody is preempted inside libc");
  sink = fopen("/dev/null", "w");
  CHECK(sink);
  CHECK_EQ(thrum_set_switch_interval(THRUM_MS(1)), 0);
  preempted_over_and_over(malloc_hog);
  preempted_over_and_over(printf_hog);
  preempted_over_and_over(mixed_hog);
  fclose(sink);
  return 0;
}
