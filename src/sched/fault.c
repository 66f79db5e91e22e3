/* The handlers run on the kernel thread's signal stack, so a full thread stack does not stop them. */
#include <core/fatal.h>
#include <sched/fault.h>
#include <sched/self.h>
#include <string.h>

static struct { struct sigaction former_fault, former_dump; } fault;

static bool is_default(int signo) {
  struct sigaction now;
  return sigaction(signo, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

/* A fault that is not an overflow: as if we were not there. Returning runs into it again. */
static void pass_on(int signo, siginfo_t *info, void *context) {
  const struct sigaction *former = &fault.former_fault;
  if (former->sa_flags & SA_SIGINFO)
    former->sa_sigaction(signo, info, context);
  else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN)
    former->sa_handler(signo);
  else
    sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

static void on_fault(int signo, siginfo_t *info, void *context) {
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_thread *t = k ? thrumi_running_on(k) : NULL;
  if (!t || !t->stack.low || !thrumi_stack_guard_hit(&t->stack, (uintptr_t)info->si_addr)) {
    pass_on(signo, info, context);
    return;
  }
  char name[THRUM_NAME_MAX];
  thrumi_name_in_handler(t, name, sizeof name);
  thrumi_fatal("thread %s overflowed its stack of %lu KiB (thrum_options.stack_size, THRUM_STACK)", name,
               (unsigned long)t->stack.size / 1024);
}

static void on_dump(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)info, (void)context;
  thrumi_store(&thrumi_sched.dump_wanted, true);
  thrumi_breed(); /* the breeder prints: it may allocate */
}

void thrumi_fault_start(const thrum_config *config) {
  if (config->fault_handler != THRUM_NO && is_default(SIGSEGV))
    thrumi_os_handle(SIGSEGV, on_fault, &fault.former_fault);
  int dump = config->dump_signal == THRUM_INHERIT ? (is_default(SIGQUIT) ? SIGQUIT : 0) : config->dump_signal;
  if (dump > 0 && thrumi_os_handle(dump, on_dump, &fault.former_dump) == 0) thrumi_sched.dump_signal = dump;
}
