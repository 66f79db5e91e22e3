/* What the end of the program, and a fork, mean for processes. */
#include <core/fatal.h>
#include <core/hooks.h>
#include <process/manager.h>
#include <process/pool.h>
#include <process/prepare.h>

enum { PATIENCE_MS = 1000 };

static void terminate(struct thrum_process *p) { thrumi_pidfd_signal(p->pidfd, SIGTERM); }
static void end_firmly(struct thrum_process *p) { thrumi_pidfd_signal(p->pidfd, SIGKILL); }

/* Daemons: terminated together; who is still there after a second is killed. */
static void end_daemons(void) {
  thrum_time patience = thrum_after(THRUM_MS(PATIENCE_MS));
  thrumi_process_each(true, terminate);
  for (struct thrum_process *p; (p = thrumi_process_awaited(true)); thrumi_process_unref(p)) {
    int left = (int)(thrum_left(patience) / THRUM_MS(1));
    if (thrumi_process_await_at_end(p, left > 0 ? left : 0)) continue;
    thrumi_process_each(true, end_firmly);
    thrumi_process_await_at_end(p, -1);
  }
}

static void join_others(void) {
  bool said = false;
  for (struct thrum_process *p; (p = thrumi_process_awaited(false)); thrumi_process_unref(p)) {
    if (!thrumi_process_await_at_end(p, said ? -1 : PATIENCE_MS)) {
      thrumi_log("the program ends when these processes have ended: %s", p->name);
      said = true;
      thrumi_process_await_at_end(p, -1);
    }
  }
}

static intptr_t wait_for_children(void *unused) {
  end_daemons();
  join_others();
  return (void)unused, 0;
}

/* The program ends. Without a wait what is left is abandoned, and dies with it, or outlives it. */
static void end(bool waits) {
  if (waits)
    thrum_blocking(wait_for_children, NULL);
  else
    thrumi_process_each(true, terminate);
}

static void forked(void) {
  thrumi_flight_fork();
  thrumi_register_fork();
  thrumi_warden_fork();
  thrumi_launchers_fork();
  thrumi_server_fork();
  thrumi_life_fork();
  thrumi_prepare_fork();
  thrumi_processes_fork();
  thrumi_managers_fork();
}

void thrumi_ends_start(void) {
  thrumi_store(&thrumi_hooks.process_fork, forked);
  thrumi_store(&thrumi_hooks.process_end, end);
}
