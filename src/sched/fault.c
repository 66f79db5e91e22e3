/* The handlers run on the kernel thread's signal stack, so a full thread stack does not stop them. They take no lock of libc and
 * read no file: the thread may have run out of its stack within malloc or the loader, with their locks. */
#include <core/fatal.h>
#include <sched/fault.h>
#include <sched/self.h>
#include <string.h>

static struct { struct sigaction former_fault, former_dump; } fault;

static bool is_default(int signo) {
  struct sigaction now;
  return sigaction(signo, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL;
}

/* Of what is no address at all the kernel gives none. */
static const char *why(const siginfo_t *info) {
  switch (info->si_code) {
  case SEGV_MAPERR: return "where there is no memory";
  case SEGV_ACCERR: return "whose memory may not be used so";
  default: return "or another one, which the kernel does not tell";
  }
}

#define FAULTED "got SIGSEGV at address 0x%lx, %s"

/* A fault that ends the program, ahead of that. One that was sent is no thread's. */
static void tell(const struct thrumi_thread *t, const siginfo_t *info) {
  if (!t || info->si_code <= 0 || t->kind == THRUMI_FOREIGN) return;
  const char *name = thrumi_name_given(t);
  unsigned long address = (unsigned long)(uintptr_t)info->si_addr;
  if (!name && t->kind == THRUMI_MAIN) name = "MainThread";
  if (name)
    thrumi_log("thread %s " FAULTED, name, address, why(info));
  else
    thrumi_log("thread Thread-%u (function at 0x%lx) " FAULTED, t->number, (unsigned long)(uintptr_t)t->fn,
               address, why(info));
}

/* A fault that is not an overflow: as if we were not there, but for a line where nobody else has a say. Returning runs into it again; a signal that was sent is sent once more. */
static void pass_on(const struct thrumi_thread *t, int signo, siginfo_t *info, void *context) {
  const struct sigaction *former = &fault.former_fault;
  if (former->sa_flags & SA_SIGINFO)
    former->sa_sigaction(signo, info, context);
  else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN)
    former->sa_handler(signo);
  else {
    tell(t, info);
    thrumi_act_last(true);
    sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (info->si_code <= 0) thrumi_os.signal(thrumi_os_tid(), signo);
  }
}

#define OVERFLOWED "overflowed its stack of %lu KiB (thrum_options.stack_size, THRUM_STACK)"

/* Of a thread without a name what is known is said; its function's would have to be looked up. */
static _Noreturn void overflowed(const struct thrumi_thread *t) {
  const char *name = thrumi_name_given(t);
  unsigned long size = t->stack.size / 1024;
  if (name) thrumi_fatal("thread %s " OVERFLOWED, name, size);
  thrumi_fatal("thread Thread-%u (function at 0x%lx) " OVERFLOWED, t->number, (unsigned long)(uintptr_t)t->fn,
               size);
}

static void on_fault(int signo, siginfo_t *info, void *context) {
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_thread *t = k ? thrumi_running_on(k) : NULL;
  if (!t || !t->stack.low || !thrumi_stack_guard_hit(&t->stack, (uintptr_t)info->si_addr)) {
    pass_on(t, signo, info, context);
    return;
  }
  overflowed(t);
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
