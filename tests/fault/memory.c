/* Shared memory, its name and its heap, while something fails. */
#include "workload.h"

#include <errno.h>
#include <thrum.h>

#include "../check.h"

static int use_heap(thrum_shared_memory *m) {
  char *block = thrum_shared_alloc(m, 1000);
  if (!block) return -EAGAIN; /* no keeper */
  memset(block, 1, 1000);
  CHECK_EQ(thrum_shared_free(m, block), 0);
  CHECK_EQ(thrum_shared_used(m), 0);
  return 0;
}

static int attach_again(thrum_shared_memory *m) {
  thrum_shared_memory *again;
  int fd = dup(thrum_shared_memory_fd(m)), error = thrum_shared_memory_attach_fd(&again, fd);
  if (error) return CHECK_EQ(close(fd), 0), error; /* it is still ours */
  CHECK(again == m);
  thrum_shared_memory_close(again);
  return 0;
}

/* A name that is not given is not there. */
static int give_name(void) {
  char name[40];
  thrum_shared_memory *m, *other;
  snprintf(name, sizeof name, "thrum-fault-%d", getpid());
  int error = thrum_shared_memory_create(&m, name, 1, NULL), found = thrum_shared_memory_attach(&other, name);
  CHECK(found != 0 || !error);
  if (!found) thrum_shared_memory_close(other);
  if (error) return error;
  CHECK_EQ(thrum_shared_memory_unlink(m), 0);
  thrum_shared_memory_close(m);
  return found;
}

int workload_shared_memory(void) {
  thrum_shared_memory *m;
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  o.heap = 1 << 16;
  int error = thrum_shared_memory_create(&m, NULL, 100, &o);
  if (error) return error;
  error = use_heap(m);
  if (!error) error = attach_again(m);
  thrum_shared_memory_close(m);
  return error ? error : give_name();
}
