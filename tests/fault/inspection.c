/* Whatever the socket needs and does not get: it is not opened, an error says so, nothing is left behind; and later it can be. An answer
 * that there is no memory for says that. */
#include "../inspected.h"
#include "../descriptors.h"
#include "../support.h"

#include <os/os.h>

static struct { bool event, create, reserve; } failing;

static int create_event(void) { return LOAD(failing.event) ? -EMFILE : thrumi_os_linux.event_create(); }

static int create(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked) {
  return LOAD(failing.create) ? -EAGAIN : thrumi_os_linux.create(out, fn, arg, unblocked);
}

static void *reserve(size_t bytes) { return LOAD(failing.reserve) ? NULL : thrumi_os_linux.reserve(bytes); }

static void is_not_opened(bool *what, int error) {
  int before = open_descriptors();
  STORE(*what, true);
  CHECK_EQ(thrum_inspect(true), error);
  STORE(*what, false);
  CHECK_EQ(open_descriptors(), before);
  CHECK_EQ(inspected_try_connect(getpid()), -ENOENT);
}

static void without_memory(void) {
  CHECK_EQ(thrum_inspect(true), 0);
  int fd = inspected_connect(getpid());
  CHECK_HAS(inspected_ask(fd, "stats"), "\"pid\"");
  STORE(failing.reserve, true);
  CHECK_HAS(json_checked(inspected_ask(fd, "locks")), "{\"error\":\"no memory\"}");
  CHECK_HAS(json_checked(inspected_ask(fd, "threads")), "MainThread");
  int other = inspected_connect(getpid()); /* there is no block for it */
  CHECK_HAS(inspected_receive(other), "\"error\":\"too many connections\"");
  close(other);
  STORE(failing.reserve, false);
  CHECK_HAS(inspected_ask(fd, "locks"), "\"locks\":[]");
  close(fd);
  CHECK_EQ(thrum_inspect(false), 0);
}

int main(void) {
  thrumi_os.event_create = create_event;
  thrumi_os.create = create;
  thrumi_os.reserve = reserve;
  inspected_begin();
  CHECK(thrum_workers() > 0);
  is_not_opened(&failing.event, -EMFILE);
  is_not_opened(&failing.create, -EAGAIN);
  without_memory();
  inspected_end();
  return 0;
}
