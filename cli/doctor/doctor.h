/* What `thrum doctor` looks at. */
#ifndef THRUM_DOCTOR_H
#define THRUM_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

/* How good it is for thrum. */
enum mark {
  MARK_OK,
  MARK_SLOW,    /* works, but less well than it could */
  MARK_MISSING, /* something of thrum does not work here */
};

struct finding {
  const char *name; /* of what was looked at */
  enum mark mark;
  char value[160];     /* what there is */
  const char *meaning; /* for thrum */
  const char *remedy;  /* what to change; NULL: nothing */
};

typedef void check_fn(struct finding *out);

/* Of the kernel, by trying: kernel.c. */
check_fn check_kernel, check_guards, check_membarrier, check_waitv, check_pidfd, check_memfd, check_io_uring;
/* Of the machine and what is left of it: machine.c. */
check_fn check_cpus, check_quota, check_clock, check_large_pages, check_overcommit, check_maps;
/* Of this user's processes: limits.c. */
check_fn check_kernel_threads, check_descriptors, check_signals, check_stack, check_address_space,
    check_cores, check_ptrace, check_perf;

/* The first line of a file, without its end; `path` is absolute, and below THRUM_DOCTOR_ROOT if that is set. False: not to be read. */
bool read_line(const char *path, char *out, size_t size);
bool read_number(const char *path, long long *out);

void set_value(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
