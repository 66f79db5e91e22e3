/* Shared memory holds what is written to it: zeroed, seen by all at once, of one size for all; passed on as a descriptor to
 * children of every kind. A process maps it once. Attaching a thousand times leaves nothing behind. */
#include "../descriptors.h"
#include "../support.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { PAGE = 4096 };

static thrum_shared_memory *make(size_t size, size_t most, size_t heap) {
  thrum_shared_memory *m = NULL;
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  o.most = most;
  o.heap = heap;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, size, &o), 0);
  return m;
}

static char *data(thrum_shared_memory *m) { return (char *)thrum_shared_memory_data(m); }

static bool is_zero(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return false;
  return true;
}

static void end_well(pid_t pid) {
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

static intptr_t holds_bytes(void *unused) {
  (void)unused;
  thrum_shared_memory *m = make(5000, 0, 0);
  CHECK_EQ(thrum_shared_memory_size(m), 2 * PAGE);
  CHECK_EQ((uintptr_t)data(m) % PAGE, 0);
  CHECK(is_zero(data(m), 2 * PAGE));
  CHECK_STR(thrum_shared_memory_name(m), "");
  CHECK_EQ(thrum_shared_memory_unlink(m), -ENOENT);
  thrum_shared_memory_close(m);
  return 0;
}

static void seen_by_a_child(void) {
  thrum_shared_memory *m = make(2 * PAGE, 0, 0);
  memset(data(m), 1, 2 * PAGE);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 2 * PAGE; i++) CHECK_EQ(data(m)[i], 1);
    memset(data(m), 2, 2 * PAGE);
    thrum_shared_memory_close(m);
    _exit(0);
  }
  end_well(pid);
  for (int i = 0; i < 2 * PAGE; i++) CHECK_EQ(data(m)[i], 2);
  thrum_shared_memory_close(m);
}

/* ---- Another program, by a descriptor ------------------------------------------------------------------------------------ */

static int after_exec(int fd) {
  thrum_shared_memory *m;
  CHECK_EQ(thrum_shared_memory_attach_fd(&m, fd), 0);
  int64_t offset = *(int64_t *)thrum_shared_memory_data(m);
  char *text = thrum_shared_pointer(m, offset);
  CHECK_STR(text, "from the parent");
  strcpy(text, "from the child");
  *(int64_t *)thrum_shared_memory_data(m) = thrum_shared_offset(m, strcpy(thrum_shared_alloc(m, 10), "mine"));
  thrum_shared_memory_close(m);
  return 0;
}

static void passed_to_a_program(void) {
  thrum_shared_memory *m = make(16, 0, 1 << 20);
  char *text = THRUM_SHARED_ARRAY(m, char, 40);
  CHECK(text != NULL);
  strcpy(text, "from the parent");
  *(int64_t *)thrum_shared_memory_data(m) = thrum_shared_offset(m, text);
  pid_t pid = fork();
  if (pid == 0) {
    char number[20];
    int fd = dup(thrum_shared_memory_fd(m)); /* one that is not closed on exec */
    snprintf(number, sizeof number, "%d", fd);
    execl("/proc/self/exe", "shared_memory_bytes", number, (char *)NULL);
    _exit(1);
  }
  end_well(pid);
  CHECK_STR(text, "from the child");
  char *theirs = thrum_shared_pointer(m, *(int64_t *)thrum_shared_memory_data(m));
  CHECK_STR(theirs, "mine");
  CHECK_EQ(thrum_shared_free(m, theirs), 0);
  CHECK_EQ(thrum_shared_free(m, text), 0);
  CHECK_EQ(thrum_shared_used(m), 0);
  thrum_shared_memory_close(m);
}

/* ---- Size ------------------------------------------------------------------------------------------------------------------ */

static void resized_for_all(void) {
  thrum_shared_memory *m = make(PAGE, 64 * PAGE, 0);
  int to[2], back[2];
  char c = 0;
  CHECK_EQ(pipe(to), 0);
  CHECK_EQ(pipe(back), 0);
  pid_t pid = fork();
  if (pid == 0) {
    char *before = data(m);
    CHECK_EQ(read(to[0], &c, 1), 1);
    CHECK_EQ(thrum_shared_memory_size(m), 64 * PAGE);
    CHECK(data(m) == before);
    CHECK_EQ(data(m)[64 * PAGE - 1], 9);
    CHECK_EQ(thrum_shared_memory_resize(m, 2 * PAGE), 0);
    CHECK_EQ(write(back[1], &c, 1), 1);
    _exit(0);
  }
  CHECK_EQ(thrum_shared_memory_resize(m, 64 * PAGE), 0);
  CHECK(is_zero(data(m), 64 * PAGE));
  data(m)[0] = data(m)[64 * PAGE - 1] = 9;
  CHECK_EQ(write(to[1], &c, 1), 1);
  CHECK_EQ(read(back[0], &c, 1), 1);
  end_well(pid);
  CHECK_EQ(thrum_shared_memory_size(m), 2 * PAGE);
  CHECK_EQ(data(m)[0], 9);
  CHECK_EQ(data(m)[64 * PAGE - 1], 0); /* cut off: no signal, and nothing of it is left */
  data(m)[2 * PAGE] = 5;               /* what nobody should do does not come back either */
  CHECK_EQ(thrum_shared_memory_resize(m, 64 * PAGE), 0);
  CHECK(is_zero(data(m) + 1, 64 * PAGE - 1));
  for (int i = 0; i < 2; i++) close(to[i]), close(back[i]);
  thrum_shared_memory_close(m);
}

/* ---- Offsets ---------------------------------------------------------------------------------------------------------------- */

static void offsets_name_bytes(void) {
  thrum_shared_memory *m = make(PAGE, 0, 0);
  int on_stack;
  CHECK_EQ(thrum_shared_offset(m, NULL), 0);
  CHECK(thrum_shared_pointer(m, 0) == NULL);
  CHECK_EQ(thrum_shared_offset(m, &on_stack), -1);
  CHECK_EQ(thrum_shared_offset(m, data(m) - 1), -1);
  CHECK_EQ(thrum_shared_offset(m, data(m) + PAGE), -1);
  int64_t first = thrum_shared_offset(m, data(m));
  CHECK(first > 0);
  CHECK(thrum_shared_pointer(m, first) == data(m));
  CHECK(thrum_shared_pointer(m, first + PAGE - 1) == data(m) + PAGE - 1);
  CHECK(thrum_shared_pointer(m, first + PAGE) == NULL);
  CHECK(thrum_shared_pointer(m, first - 1) == NULL);
  CHECK(thrum_shared_pointer(m, -1) == NULL);
  CHECK(thrum_shared_pointer(m, INT64_MIN) == NULL);
  CHECK(thrum_shared_pointer(m, INT64_MAX) == NULL);
  thrum_shared_memory_close(m);
}

/* ---- The heap, in one process ------------------------------------------------------------------------------------------------- */

struct point {
  double x, y;
};

static intptr_t heap_is_zeroed(void *arg) {
  thrum_shared_memory *m = arg;
  const size_t sizes[] = {0, 1, 16, 17, 1000, 5000, 300 * 1024, 1 << 20};
  for (int i = 0; i < 64; i++) {
    size_t size = sizes[i % 8];
    char *p = thrum_shared_alloc(m, size);
    CHECK(p != NULL);
    CHECK_EQ((uintptr_t)p % 16, 0);
    CHECK(is_zero(p, size)); /* also where others were before */
    memset(p, 0xee, size);
    CHECK_EQ(thrum_shared_free(m, p), 0);
  }
  struct point *one = THRUM_SHARED_NEW(m, struct point), *row = THRUM_SHARED_ARRAY(m, struct point, 100);
  CHECK(one && row && one->x == 0 && row[99].y == 0);
  CHECK_EQ(thrum_shared_free(m, one), 0);
  CHECK_EQ(thrum_shared_free(m, row), 0);
  return 0;
}

static void heap_by_many_threads(void) {
  thrum_shared_memory *m = make(0, 0, 64 << 20);
  CHECK_EQ(thrum_shared_memory_size(m), 0);
  run_in_each_kind(heap_is_zeroed, m);
  thrum_thread t[16];
  for (int i = 0; i < 16; i++) t[i] = must_spawn(heap_is_zeroed, m);
  for (int i = 0; i < 16; i++) CHECK_EQ(must_join(t[i]), 0);
  CHECK_EQ(thrum_shared_used(m), 0);
  thrum_shared_memory_close(m);
}

/* A large block's pages go back when it does. */
static void pages_go_back(void) {
  enum { LARGE = 8 << 20 };
  thrum_shared_memory *m = make(0, 0, 64 << 20);
  char *p = thrum_shared_alloc(m, LARGE);
  memset(p, 1, LARGE);
  unsigned char there[LARGE / PAGE];
  char *pages = (char *)(((uintptr_t)p + PAGE - 1) / PAGE * PAGE);
  CHECK_EQ(thrum_shared_free(m, p), 0);
  CHECK_EQ(mincore(pages + PAGE, LARGE - 3 * PAGE, there), 0);
  for (int i = 0; i < LARGE / PAGE - 3; i++) CHECK_EQ(there[i] & 1, 0);
  thrum_shared_memory_close(m);
}

/* ---- Once a process, and nothing left ------------------------------------------------------------------------------------------ */

static int count_maps(void) {
  int n = 0;
  char line[512];
  FILE *f = fopen("/proc/self/maps", "re");
  while (fgets(line, sizeof line, f)) n += strstr(line, "memfd:thrum") != NULL;
  fclose(f);
  return n;
}

static void one_mapping(void) {
  int fds = open_descriptors();
  thrum_shared_memory *m = make(PAGE, 0, 0), *again;
  CHECK_EQ(thrum_shared_memory_attach_fd(&again, dup(thrum_shared_memory_fd(m))), 0);
  CHECK(data(m) == data(again));
  CHECK_EQ(count_maps(), 1);
  thrum_shared_memory_close(m);
  data(again)[0] = 1;
  thrum_shared_memory_close(again);
  CHECK_EQ(count_maps(), 0);
  CHECK_EQ(open_descriptors(), fds);
}

/* The listener closes its end of a connection a little later; so there may have been one too many when they were counted first. */
static void no_more_descriptors_than(int expected) { AWAIT(open_descriptors() <= expected); }

static void nothing_is_left(void) {
  char name[64];
  thrum_shared_memory *m;
  snprintf(name, sizeof name, "thrum-test-bytes-%d", getpid());
  CHECK_EQ(thrum_shared_memory_create(&m, name, PAGE, NULL), 0);
  thrum_shared_memory *first;
  CHECK_EQ(thrum_shared_memory_attach(&first, name), 0); /* the runtime waits for descriptors from here on */
  thrum_shared_memory_close(first);
  int fds = open_descriptors();
  for (int i = 0; i < 1000; i++) {
    thrum_shared_memory *one, *other = make(PAGE, 0, PAGE);
    CHECK_EQ(thrum_shared_memory_attach(&one, name), 0);
    CHECK(thrum_shared_alloc(other, 100) != NULL); /* takes a slot there */
    thrum_shared_memory_close(one);
    thrum_shared_memory_close(other);
  }
  no_more_descriptors_than(fds);
  CHECK_EQ(count_maps(), 2); /* the other one is the listener's */
  for (int i = 0; i < 50; i++) {
    CHECK_EQ(thrum_shared_memory_unlink(m), 0);
    thrum_shared_memory_close(m);
    CHECK_EQ(thrum_shared_memory_create(&m, name, PAGE, NULL), 0);
  }
  CHECK_EQ(thrum_shared_memory_unlink(m), 0);
  thrum_shared_memory_close(m);
  no_more_descriptors_than(fds - 1);
  AWAIT(count_maps() == 0);
}

int main(int argc, char **argv) {
  if (argc == 2) return after_exec(atoi(argv[1]));
  run_in_each_kind(holds_bytes, NULL);
  offsets_name_bytes();
  heap_by_many_threads();
  pages_go_back();
  one_mapping();
  nothing_is_left();
  if (TESTS_TSAN) return 0; /* a child with threads of its own is nothing for ThreadSanitizer */
  seen_by_a_child();
  passed_to_a_program();
  resized_for_all();
  return 0;
}
