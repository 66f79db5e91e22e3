#include "../check.h"

#include "inject.h"

#include <errno.h>
#include <netdb.h>
#include <os/os.h>
#include <stdatomic.h>

enum { SIGNAL_STACK = 64 * 1024 };

enum kind {
  ALLOCATE,
  RESERVE,
  RELEASE,
  DISCARD,
  GUARD,
  PROTECT,
  CREATE,
  SIGNAL,
  BARRIER,
  FUTEX_INTERRUPTED,
  FUTEX_SPURIOUS,
  EPOLL_CREATE,
  EVENT_CREATE,
  EPOLL_CONTROL,
  EPOLL_INTERRUPTED,
  READ,
  WRITE,
  READY,
  PROCESS_OPEN,
  LOOK_UP,
  MEMORY_CREATE,
  MEMORY_COMMIT,
  MAP,
  CPU_TIME,
  ACTIVITY,
  THREAD_COUNT,
  KINDS
};

/* A wake of a futex is not among them: it fails for an address that is not there, and for nothing else.
 * Calls that are made again until they succeed fail so often only as leaves the program its time. */
const struct inject_kind inject_kinds[] = {
    [ALLOCATE] = {"allocate", 0, LONG_MAX, true},
    [RESERVE] = {"reserve", 0, LONG_MAX, true},
    [RELEASE] = {"release", -ENOMEM, LONG_MAX, true},
    [DISCARD] = {"discard", -EAGAIN, LONG_MAX, false},
    [GUARD] = {"guard", -ENOMEM, LONG_MAX, true},
    [PROTECT] = {"protect", -ENOMEM, LONG_MAX, true},
    [CREATE] = {"create", -EAGAIN, LONG_MAX, true},
    [SIGNAL] = {"signal", -EAGAIN, 3, true},
    [BARRIER] = {"barrier", -ENOMEM, 5, false},
    [FUTEX_INTERRUPTED] = {"futex-interrupted", -EINTR, 500, false},
    [FUTEX_SPURIOUS] = {"futex-spurious", 0, 500, false},
    [EPOLL_CREATE] = {"epoll-create", -EMFILE, LONG_MAX, true},
    [EVENT_CREATE] = {"event-create", -EMFILE, LONG_MAX, true},
    [EPOLL_CONTROL] = {"epoll-control", -ENOSPC, LONG_MAX, true},
    [EPOLL_INTERRUPTED] = {"epoll-interrupted", -EINTR, 500, false},
    [READ] = {"read", -EINTR, 10, false},
    [WRITE] = {"write", -EINTR, 10, false},
    [READY] = {"ready", -ENOMEM, LONG_MAX, false},
    [PROCESS_OPEN] = {"process-open", -EMFILE, LONG_MAX, true},
    [LOOK_UP] = {"look-up", EAI_MEMORY, LONG_MAX, true},
    [MEMORY_CREATE] = {"memory-create", -EMFILE, LONG_MAX, true},
    [MEMORY_COMMIT] = {"memory-commit", -ENOSPC, LONG_MAX, true},
    [MAP] = {"map", 0, LONG_MAX, true},
    [CPU_TIME] = {"cpu-time", -EINVAL, LONG_MAX, false},
    [ACTIVITY] = {"activity", THRUMI_ACTIVITY_UNKNOWN, LONG_MAX, false},
    [THREAD_COUNT] = {"thread-count", -ENOENT, LONG_MAX, false},
    [KINDS] = {0},
};

static struct {
  _Atomic int kind; /* KINDS: none */
  _Atomic long from, length, calls, injected;
} armed = {.kind = KINDS};

static struct { _Atomic long blocks, reserved, signal_stacks; } out;

/* Whether this call fails. A failed membarrier leaves threads that look at each other without the fence that
 * they count on, so nothing may be done before it is repeated. */
static bool fails(enum kind kind) {
  static _Thread_local bool owes_barrier;
  if (owes_barrier && kind != BARRIER)
    check_failed(__FILE__, __LINE__, "a failed membarrier was not repeated");
  owes_barrier = false;
  if (atomic_load(&armed.kind) != (int)kind) return false;
  long call = atomic_fetch_add(&armed.calls, 1) + 1, from = atomic_load(&armed.from);
  if (call < from || call - from >= atomic_load(&armed.length)) return false;
  atomic_fetch_add(&armed.injected, 1);
  owes_barrier = kind == BARRIER;
  return true;
}

#define FAIL_IF_DUE(kind) \
  do { \
    if (fails(kind)) return inject_kinds[kind].error; \
  } while (0)

/* ---- Memory -------------------------------------------------------------------------------------------- */

/* Before each block; FREED in those that were given back. */
struct header {
  _Alignas(16) uint64_t mark;
};
#define TAKEN UINT64_C(0x74616b656e3a3a3a)
#define FREED UINT64_C(0x66726565643a3a3a)

static void *allocate(size_t size) {
  if (fails(ALLOCATE)) return NULL;
  struct header *header = thrumi_os_linux.allocate(sizeof *header + size);
  if (!header) return NULL;
  header->mark = TAKEN;
  atomic_fetch_add(&out.blocks, 1);
  return header + 1;
}

static void free_block(void *block) {
  struct header *header = (struct header *)block - 1;
  CHECK_EQ(header->mark, TAKEN);
  header->mark = FREED;
  atomic_fetch_sub(&out.blocks, 1);
  thrumi_os_linux.free(header);
}

static void *reserve(size_t size) {
  if (fails(RESERVE)) return NULL;
  void *start = thrumi_os_linux.reserve(size);
  if (start) atomic_fetch_add(size == SIGNAL_STACK ? &out.signal_stacks : &out.reserved, 1);
  return start;
}

static int release(void *start, size_t size) {
  atomic_fetch_sub(size == SIGNAL_STACK ? &out.signal_stacks : &out.reserved, 1); /* it was tried */
  FAIL_IF_DUE(RELEASE);
  return thrumi_os_linux.release(start, size);
}

static int discard(void *start, size_t size) {
  FAIL_IF_DUE(DISCARD);
  return thrumi_os_linux.discard(start, size);
}

/* Where guards are mappings there are no markers, and where markers fail there are some. */
static int guard(void *start, size_t size) {
  FAIL_IF_DUE(GUARD);
  if (atomic_load(&armed.kind) == PROTECT) return -EINVAL;
  int error = thrumi_os_linux.guard(start, size);
  return error == -EINVAL ? thrumi_os_linux.protect(start, size) : error;
}

static int protect(void *start, size_t size) {
  FAIL_IF_DUE(PROTECT);
  return thrumi_os_linux.protect(start, size);
}

/* ---- Kernel threads and sleeping ----------------------------------------------------------------------- */

static int create(pthread_t *id, void *(*fn)(void *), void *arg, int unblocked) {
  FAIL_IF_DUE(CREATE);
  return thrumi_os_linux.create(id, fn, arg, unblocked);
}

static int send_signal(pid_t tid, int signo) {
  FAIL_IF_DUE(SIGNAL);
  return thrumi_os_linux.signal(tid, signo);
}

static int barrier(void) {
  FAIL_IF_DUE(BARRIER);
  return thrumi_os_linux.barrier();
}

static int futex_wait(thrumi_futex *word, uint32_t expected, int64_t deadline) {
  FAIL_IF_DUE(FUTEX_INTERRUPTED);
  FAIL_IF_DUE(FUTEX_SPURIOUS);
  return thrumi_os_linux.futex_wait(word, expected, deadline);
}

static int64_t cpu_time(pid_t tid) {
  FAIL_IF_DUE(CPU_TIME);
  return thrumi_os_linux.cpu_time(tid);
}

static enum thrumi_activity activity(pid_t tid) {
  if (fails(ACTIVITY)) return THRUMI_ACTIVITY_UNKNOWN;
  return thrumi_os_linux.activity(tid);
}

static int thread_count(void) {
  FAIL_IF_DUE(THREAD_COUNT);
  return thrumi_os_linux.thread_count();
}

/* ---- Descriptors --------------------------------------------------------------------------------------- */

static int epoll_create_(void) {
  FAIL_IF_DUE(EPOLL_CREATE);
  return thrumi_os_linux.epoll_create();
}

static int event_create(void) {
  FAIL_IF_DUE(EVENT_CREATE);
  return thrumi_os_linux.event_create();
}

static int epoll_control(int epoll, int operation, int fd, struct epoll_event *event) {
  if (operation == EPOLL_CTL_ADD) FAIL_IF_DUE(EPOLL_CONTROL); /* the others need no memory */
  return thrumi_os_linux.epoll_ctl(epoll, operation, fd, event);
}

static int wait_for_events(int epoll, struct epoll_event *events, int max, int64_t timeout) {
  FAIL_IF_DUE(EPOLL_INTERRUPTED);
  return thrumi_os_linux.epoll_wait(epoll, events, max, timeout);
}

static ssize_t read_(int fd, void *buffer, size_t size) {
  FAIL_IF_DUE(READ);
  return thrumi_os_linux.read(fd, buffer, size);
}

static ssize_t write_(int fd, const void *buffer, size_t size) {
  FAIL_IF_DUE(WRITE);
  return thrumi_os_linux.write(fd, buffer, size);
}

/* Who is to be asked by poll is one that cannot be told not to block. */
static bool must_ask(bool wait) { return !wait && atomic_load(&armed.kind) == READY; }

static ssize_t readv_(int fd, const struct iovec *pieces, int count, bool wait) {
  FAIL_IF_DUE(READ);
  if (must_ask(wait)) return -EOPNOTSUPP;
  return thrumi_os_linux.readv(fd, pieces, count, wait);
}

static ssize_t writev_(int fd, const struct iovec *pieces, int count, bool wait) {
  FAIL_IF_DUE(WRITE);
  if (must_ask(wait)) return -EOPNOTSUPP;
  return thrumi_os_linux.writev(fd, pieces, count, wait);
}

static int poll_(struct pollfd *fds, size_t count) {
  FAIL_IF_DUE(READY);
  return thrumi_os_linux.poll(fds, count);
}

static int process_open(pid_t pid) {
  FAIL_IF_DUE(PROCESS_OPEN);
  return thrumi_os_linux.process_open(pid);
}

static int look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found,
                   int *error) {
  FAIL_IF_DUE(LOOK_UP);
  return thrumi_os_linux.look_up(host, port, hints, found, error);
}

static int memory_create(size_t size) {
  FAIL_IF_DUE(MEMORY_CREATE);
  return thrumi_os_linux.memory_create(size);
}

static int memory_commit(int fd, size_t start, size_t size) {
  FAIL_IF_DUE(MEMORY_COMMIT);
  return thrumi_os_linux.memory_commit(fd, start, size);
}

static void *map(int fd, size_t size) { return fails(MAP) ? NULL : thrumi_os_linux.map(fd, size); }

static ssize_t recv_(int fd, void *buffer, size_t size, int flags) {
  FAIL_IF_DUE(READ);
  return thrumi_os_linux.recv(fd, buffer, size, flags);
}

static ssize_t send_(int fd, const void *buffer, size_t size, int flags) {
  FAIL_IF_DUE(WRITE);
  return thrumi_os_linux.send(fd, buffer, size, flags);
}

/* ---- For the test -------------------------------------------------------------------------------------- */

void inject_install(void) {
  thrumi_os.allocate = allocate;
  thrumi_os.free = free_block;
  thrumi_os.reserve = reserve;
  thrumi_os.release = release;
  thrumi_os.discard = discard;
  thrumi_os.guard = guard;
  thrumi_os.protect = protect;
  thrumi_os.create = create;
  thrumi_os.signal = send_signal;
  thrumi_os.barrier = barrier;
  thrumi_os.futex_wait = futex_wait;
  thrumi_os.cpu_time = cpu_time;
  thrumi_os.activity = activity;
  thrumi_os.thread_count = thread_count;
  thrumi_os.epoll_create = epoll_create_;
  thrumi_os.event_create = event_create;
  thrumi_os.epoll_ctl = epoll_control;
  thrumi_os.epoll_wait = wait_for_events;
  thrumi_os.read = read_;
  thrumi_os.write = write_;
  thrumi_os.readv = readv_;
  thrumi_os.writev = writev_;
  thrumi_os.poll = poll_;
  thrumi_os.recv = recv_;
  thrumi_os.send = send_;
  thrumi_os.process_open = process_open;
  thrumi_os.look_up = look_up;
  thrumi_os.memory_create = memory_create;
  thrumi_os.memory_commit = memory_commit;
  thrumi_os.map = map;
}

const struct inject_kind *inject_find(const char *name) {
  const struct inject_kind *kind = inject_kinds;
  while (kind->name && strcmp(kind->name, name) != 0) kind++;
  return kind->name ? kind : NULL;
}

void inject_arm(const struct inject_kind *kind, long from, long length) {
  atomic_store(&armed.kind, KINDS);
  atomic_store(&armed.calls, 0);
  atomic_store(&armed.from, from);
  atomic_store(&armed.length, length);
  atomic_store(&armed.kind, (int)(kind - inject_kinds));
}

void inject_disarm(void) { atomic_store(&armed.length, 0); }

long inject_count(void) { return atomic_load(&armed.injected); }

struct inject_balance inject_balance(void) {
  return (struct inject_balance){atomic_load(&out.blocks), atomic_load(&out.reserved),
                                 atomic_load(&out.signal_stacks)};
}
