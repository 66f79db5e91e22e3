/* Writing in a thread of the program's: a file that may not grow further (RLIMIT_FSIZE) and a pipe without reader raise SIGXFSZ and SIGPIPE
 * in the kernel thread that writes, which end the program; the error is enough. They are blocked meanwhile and taken out, unless one was
 * pending before: that one is somebody else's. The drainer and the handler of a crash block them in any case. Pinned. */
#ifndef THRUMI_TRACE_QUIET_H
#define THRUMI_TRACE_QUIET_H

#include <signal.h>

struct thrumi_quiet {
  sigset_t before, ours; /* the mask; those that were not pending */
};

void thrumi_quiet_begin(struct thrumi_quiet *q);
void thrumi_quiet_end(const struct thrumi_quiet *q);

#endif
