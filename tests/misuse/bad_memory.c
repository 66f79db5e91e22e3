/* Shared memory that is asked for what cannot be: the documented error, and nothing is lost or left behind. Writing beyond a block
 * aborts by name where it is seen. */
#include "../child.h"
#include "../descriptors.h"
#include "../support.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

static intptr_t bad_sizes(void *unused) {
  (void)unused;
  thrum_shared_memory *m = NULL;
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 0, NULL), -EINVAL);
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 0, &o), -EINVAL);
  CHECK_EQ(thrum_shared_memory_create(NULL, NULL, 1, NULL), -EINVAL);
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, SIZE_MAX, NULL), -ENOMEM);
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, SIZE_MAX / 16, NULL),
           -ENOMEM); /* no address space is so large */
  o.most = 10;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 11, &o), -EINVAL);
  o.most = SIZE_MAX;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 11, &o), -ENOMEM);
  o.most = 0;
  o.heap = SIZE_MAX;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 11, &o), -ENOMEM);
  o.heap = 0;
  o.size--;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 11, &o), -EINVAL);
  CHECK(m == NULL);
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 11, NULL), 0);
  CHECK_EQ(thrum_shared_memory_resize(m, 0), -EINVAL);
  CHECK_EQ(thrum_shared_memory_resize(m, PAGE + 1), -EFBIG);
  CHECK_EQ(thrum_shared_memory_resize(m, SIZE_MAX), -EFBIG);
  CHECK_EQ(thrum_shared_memory_size(m), PAGE);
  thrum_shared_memory_close(m);
  thrum_shared_memory_close(NULL);
  return 0;
}

static intptr_t bad_names(void *unused) {
  (void)unused;
  thrum_shared_memory *m = NULL;
  char too_long[THRUM_SHARED_NAME_MAX + 2];
  memset(too_long, 'x', sizeof too_long);
  too_long[THRUM_SHARED_NAME_MAX] = 0;
  const char *const bad[] = {"", "/", "//x", "a/b", "a/", too_long};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int error = bad[i] == too_long ? -ENAMETOOLONG : -EINVAL;
    CHECK_EQ(thrum_shared_memory_create(&m, bad[i], PAGE, NULL), error);
    CHECK_EQ(thrum_shared_memory_attach(&m, bad[i]), error);
  }
  CHECK_EQ(thrum_shared_memory_attach(&m, NULL), -EINVAL);
  CHECK_EQ(thrum_shared_memory_attach(NULL, "x"), -EINVAL);
  CHECK_EQ(thrum_shared_memory_attach(&m, "thrum-test-nobody-gave-this"), -ENOENT);
  CHECK(m == NULL);
  return 0;
}

/* What is no memory of ours stays the caller's. */
static void refuse(int fd, int error) {
  thrum_shared_memory *m = NULL;
  CHECK_EQ(thrum_shared_memory_attach_fd(&m, fd), error);
  CHECK(m == NULL);
  CHECK_EQ(close(fd), 0);
}

static int sealed(size_t size, const void *text, size_t length) {
  int fd = memfd_create("stranger", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  CHECK_EQ(ftruncate(fd, (off_t)size), 0);
  CHECK_EQ(pwrite(fd, text, length, 0), length);
  CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  return fd;
}

static intptr_t bad_descriptors(void *unused) {
  (void)unused;
  thrum_shared_memory *m = NULL;
  int ends[2];
  char noise[4 * PAGE];
  memset(noise, 0x5a, sizeof noise);
  CHECK_EQ(thrum_shared_memory_attach_fd(&m, -1), -EBADF);
  CHECK_EQ(thrum_shared_memory_attach_fd(&m, 1 << 20), -EBADF);
  CHECK_EQ(thrum_shared_memory_attach_fd(NULL, 0), -EINVAL);
  CHECK_EQ(pipe(ends), 0);
  refuse(ends[0], -EINVAL);
  refuse(ends[1], -EINVAL);
  refuse(open("/dev/null", O_RDWR), -EINVAL);
  refuse(open("/proc/self/exe", O_RDONLY), -EINVAL);
  refuse(memfd_create("unsealed", MFD_CLOEXEC), -EINVAL);
  refuse(sealed(0, "", 0), -EINVAL);
  refuse(sealed(PAGE, noise, PAGE), -EINVAL);
  refuse(sealed(16 * PAGE, "", 0), -EINVAL);
  refuse(sealed(16 * PAGE, noise, sizeof noise), -EINVAL);
  return 0;
}

/* One whose header somebody changed. */
static void spoiled_header(void) {
  thrum_shared_memory *m, *again = NULL;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, PAGE, NULL), 0);
  char copy[PAGE];
  int fd = thrum_shared_memory_fd(m);
  CHECK_EQ(pread(fd, copy, PAGE, 0), PAGE);
  for (size_t at = 0; at < 56; at++) {
    if (at >= 16 && at < 32) continue; /* its number, by chance */
    char other[PAGE];
    memcpy(other, copy, PAGE);
    other[at] ^= 0x40;
    int stranger = sealed((size_t)lseek(fd, 0, SEEK_END), other, PAGE);
    CHECK_EQ(thrum_shared_memory_attach_fd(&again, stranger), -EINVAL);
    close(stranger);
  }
  thrum_shared_memory_close(m);
}

static intptr_t bad_blocks(void *unused) {
  (void)unused;
  thrum_shared_memory *m, *bare;
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  o.heap = 1 << 20;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, PAGE, &o), 0);
  CHECK_EQ(thrum_shared_memory_create(&bare, NULL, PAGE, NULL), 0);
  char *p = thrum_shared_alloc(m, 100), local[64];
  CHECK(p != NULL);
  CHECK_EQ(thrum_shared_free(m, p + 16), -EINVAL);
  CHECK_EQ(thrum_shared_free(m, p + 1), -EINVAL);
  CHECK_EQ(thrum_shared_free(m, p - 16), -EINVAL);
  CHECK_EQ(thrum_shared_free(m, local), -EINVAL);
  CHECK_EQ(thrum_shared_free(m, thrum_shared_memory_data(m)), -EINVAL);
  CHECK_EQ(thrum_shared_free(bare, p), -EINVAL);
  CHECK_EQ(thrum_shared_free(bare, thrum_shared_memory_data(bare)), -EINVAL);
  CHECK_EQ(thrum_shared_free(m, NULL), 0);
  CHECK_EQ(thrum_shared_free(m, p), 0);
  CHECK_EQ(thrum_shared_free(m, p), -EINVAL);
  CHECK(thrum_shared_alloc(bare, 1) == NULL);
  CHECK(thrum_shared_alloc(m, 2 << 20) == NULL);
  CHECK(thrum_shared_alloc(m, SIZE_MAX) == NULL);
  CHECK(thrum_shared_alloc_array(m, SIZE_MAX / 2, 3) == NULL);
  CHECK(THRUM_SHARED_ARRAY(m, int64_t, SIZE_MAX / 8 + 2) == NULL);
  CHECK_EQ(thrum_shared_used(m), 0);
  CHECK_EQ(thrum_shared_used(bare), 0);
  thrum_shared_memory_close(m);
  thrum_shared_memory_close(bare);
  return 0;
}

/* Beyond the end of a block: what comes next is not what it was. */
static int overrun(void) {
  thrum_shared_memory *m;
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  o.heap = 1 << 20;
  CHECK_EQ(thrum_shared_memory_create(&m, NULL, 0, &o), 0);
  char *p = thrum_shared_alloc(m, 100);
  memset(p, 0xff, 160);
  for (int i = 0; i < 10; i++) thrum_shared_alloc(m, 100);
  return 0;
}

static const struct child_case cases[] = {{"overrun", overrun}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run("overrun"); /* before this process has threads */
  CHECK_EQ(child.status, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "the heap of a shared memory was written over");
  child_free(&child);
  thrum_shared_memory *first;
  CHECK_EQ(thrum_shared_memory_attach(&first, "thrum-test-nobody-gave-this"),
           -ENOENT); /* the runtime's own are open */
  int before = open_descriptors();
  run_in_each_kind(bad_sizes, NULL);
  run_in_each_kind(bad_names, NULL);
  run_in_each_kind(bad_descriptors, NULL);
  spoiled_header();
  run_in_each_kind(bad_blocks, NULL);
  CHECK_EQ(open_descriptors(), before);
  return 0;
}
