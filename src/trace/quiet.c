#include <os/quietly.h>
#include <time.h>
#include <trace/quiet.h>

static const int raised[] = {SIGXFSZ, SIGPIPE};
enum { RAISED = sizeof raised / sizeof *raised };

void thrumi_quiet_begin(struct thrumi_quiet *q) {
  sigset_t both, pending;
  sigemptyset(&both);
  for (int i = 0; i < RAISED; i++) sigaddset(&both, raised[i]);
  pthread_sigmask(SIG_BLOCK, &both, &q->before);
  q->ours = both;
  if (sigpending(&pending) != 0) return;
  for (int i = 0; i < RAISED; i++)
    if (sigismember(&pending, raised[i])) sigdelset(&q->ours, raised[i]);
}

/* Until there is none. */
void thrumi_quiet_end(const struct thrumi_quiet *q) {
  static const struct timespec at_once;
  for (long signo = 1; signo > 0 || signo == -EINTR;) signo = QUIETLY(sigtimedwait(&q->ours, NULL, &at_once));
  pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}
