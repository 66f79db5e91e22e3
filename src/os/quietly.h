/* The value of a call that reports by errno, as a value or a negative errno; errno stays. */
#ifndef THRUMI_QUIETLY_H
#define THRUMI_QUIETLY_H

#include <errno.h>

#define QUIETLY(call) \
  ({ \
    int errno_before = errno; \
    long call_result = (long)(call); \
    if (call_result == -1) { \
      call_result = -errno; \
      errno = errno_before; \
    } \
    call_result; \
  })

#endif
