/* Preemption by KLT-switching (Shiina and others, PPoPP 2021): the signal handler of a thread that ran too long
 * queues the thread, gives the worker to a spare kernel thread, and sleeps until the worker comes back. Nothing of
 * the thread's context is touched, so any code may be interrupted, malloc included.
 *
 * The handler runs on the kernel thread's signal stack with all asynchronous signals masked. It may use the
 * runtime: `inside` was 0, so the interrupted code holds none of the runtime's locks; and nobody preempts it. What
 * it finds:
 *
 *   inside == 1               the thread is in the runtime: note PREEMPT, it obeys when it leaves
 *   lease LOST                the worker was taken while it blocked, and it runs again: it queues for a worker
 *   lease HELD                it is preempted, if somebody waits and a spare may be taken
 *
 * Inside libc a little patience: most such interruptions come back to user code within microseconds, and a
 * thread that is preempted with an arena's or a stream's lock makes others wait for it. The monitor asks again
 * until PATIENCE is over; then it is preempted there all the same. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <core/fatal.h>
#include <link.h>
#include <sched/self.h>
#include <sched/step.h>
#include <string.h>

#define PATIENCE THRUM_MS(1)
#define WAKEUP_GAP THRUM_US(100) /* a hog runs at least so long between two preemptions by wake-ups */

/* ---- Code to be patient with ------------------------------------------------------------------------------- */

enum { RANGES = 16 };

static struct {
  struct {
    uintptr_t low, high;
    bool
        never; /* ThreadSanitizer holds its locks there, and in libc that it calls: the runtime needs them inside */
  } range[RANGES];
  int count;
  struct sigaction former;
} preempt;

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool is_delicate(const char *name) {
  static const char *const delicate[] = {"libc.so", "ld-linux", "ld-musl",
                                         "libtsan", "libasan",  "libpthread"};
  for (size_t i = 0; i < sizeof delicate / sizeof *delicate; i++)
    if (strncmp(name, delicate[i], strlen(delicate[i])) == 0) return true;
  return false;
}

static int note_object(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size, (void)arg;
  const char *name = base_name(info->dlpi_name);
  if (!is_delicate(name)) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X) || preempt.count == RANGES) continue;
    preempt.range[preempt.count].never = THRUMI_TSAN;
    preempt.range[preempt.count].low = info->dlpi_addr + segment->p_vaddr;
    preempt.range[preempt.count++].high = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
  }
  return 0;
}

/* Whether to let the code there run on a little, or until it is elsewhere. */
static bool is_spared(uintptr_t pc, bool patient) {
  for (int i = 0; i < preempt.count; i++)
    if (pc >= preempt.range[i].low && pc < preempt.range[i].high) return patient || preempt.range[i].never;
  return false;
}

/* ---- The handler --------------------------------------------------------------------------------------------- */

static bool must_go(const struct thrumi_worker *w) {
  return thrumi_somebody_waits(w) || w->id >= thrumi_load_relaxed(&thrumi_sched.workers);
}

static void note_refused(void) {
  thrumi_add(&thrumi_sched.refused, 1u);
  thrumi_breed(); /* which makes spares, or says why not: the log function is the user's and not for a handler */
}

/* The thread keeps this kernel thread; the worker goes on with another one until it is this thread's turn. */
static void preempt_here(struct thrumi_kthread *k, struct thrumi_thread *t, bool for_woken) {
  if (!must_go(k->worker)) return;
  if (!thrumi_capture(k, t)) {
    note_refused();
    return;
  }
  thrumi_add(for_woken ? &thrumi_sched.wakeup_preemptions : &thrumi_sched.preemptions, 1u);
  thrumi_step(PREEMPT, preempt, t, 0, 0);
  t->hog = true;
  if (thrumi_load_relaxed(&thrumi_sched.spare_count) < 3) thrumi_breed();
  thrumi_yield_tied(k, t, THRUMI_CLASS_HOG);
}

/* While a kernel thread is wanting it runs on: it may hold what the breeder waits for, and who has the worker
 * that it would wait for cannot be preempted. */
static void stop_lost(struct thrumi_kthread *k) {
  if (thrumi_is_short()) return;
  k->current->hog = true;
  thrumi_regain(k);
}

static void interrupt(struct thrumi_kthread *k, ucontext_t *context) {
  /* Also a signal that comes when the one before it was obeyed already: it was sent all the same. */
  if (!thrumi_load_relaxed(&k->lease.inside) && thrumi_context_cut_call(context))
    thrumi_add(&thrumi_sched.signals_blocked, (uint64_t)1);
  if (thrumi_load_relaxed(&k->stopping)) return; /* whom it has stopped may be given its worker: see dump.c */
  thrumi_dump_answer(k, context);
  int64_t asked = thrumi_load(&k->asked);
  if (!asked || !k->current) return;
  if (thrumi_load_relaxed(&k->lease.inside)) {
    struct thrumi_worker *w = __atomic_load_n(&k->worker, __ATOMIC_RELAXED); /* a revoker may take it now */
    if (!w) return;
    thrumi_or(&k->lease.attention, (uint32_t)THRUMI_PREEMPT);
    k->preempt_at = thrumi_load_relaxed(&w->switches);
    return;
  }
  bool patient = THRUMI_TSAN || thrumi_os.now() - asked < PATIENCE;
  if (is_spared(thrumi_context_pc(context), patient)) {
    if (!THRUMI_TSAN)
      thrumi_monitor_rouse(); /* it asks again soon; there only in time: waking it may call libtsan */
    return;
  }
  thrumi_store(&k->interrupted, context);
  thrumi_ignore_begin();
  uint32_t attention = thrumi_lease_enter(&k->lease) ? 0 : thrumi_lease_settle(&k->lease);
  thrumi_store(&k->asked, 0);
  if (attention & THRUMI_LOST) {
    stop_lost(k);
  } else {
    preempt_here(k, k->current, thrumi_load_relaxed(&k->for_woken));
  }
  thrumi_store(&k->interrupted, NULL);
  thrumi_ignore_end();
  thrumi_lease_leave(&k->lease);
}

static void chain(int signo, siginfo_t *info, void *context) {
  if (preempt.former.sa_flags & SA_SIGINFO)
    preempt.former.sa_sigaction(signo, info, context);
  else if (preempt.former.sa_handler != SIG_DFL && preempt.former.sa_handler != SIG_IGN)
    preempt.former.sa_handler(signo);
}

/* Once the user has as many signals pending as RLIMIT_SIGPENDING allows, in whatever processes, the kernel delivers those below
 * SIGRTMIN all the same but does not keep who sent them: they come as if from process 0. */
static bool is_of_nobody(const siginfo_t *info) { return info->si_code == SI_USER && info->si_pid == 0; }

static void handle(int signo, siginfo_t *info, void *context) {
  int *address = __errno_location();
  int saved = *address;
  struct thrumi_kthread *k = thrumi_self();
  bool ours = info->si_code == SI_TKILL && info->si_pid == thrumi_sched.pid;
  if (!k || !ours) chain(signo, info, context);
  if (k && (ours || is_of_nobody(info))) interrupt(k, context); /* which does nothing if nobody has asked */
  *address = saved;
}

int thrumi_preempt_start(void) {
  preempt.count = 0;
  dl_iterate_phdr(note_object, NULL);
  return thrumi_os_handle(thrumi_sched.preempt_signal, handle, &preempt.former);
}

/* ---- Asking for it ------------------------------------------------------------------------------------------- */

void thrumi_preempt_request(struct thrumi_kthread *k, bool for_woken) {
  int64_t never = 0;
  thrumi_store_relaxed(&k->for_woken, for_woken);
  thrumi_cas(&k->asked, &never, thrumi_os.now());
  thrumi_add(&thrumi_sched.signals, 1u);
  thrumi_os.signal(k->tid, thrumi_sched.preempt_signal);
}

void thrumi_preempt_self(struct thrumi_kthread *k) {
  thrumi_or(&k->lease.attention, (uint32_t)THRUMI_PREEMPT);
  k->preempt_at = thrumi_load_relaxed(&k->worker->switches);
}

bool thrumi_preempt_hog(void) {
  int64_t now = thrumi_os.now();
  uint32_t workers = thrumi_load(&thrumi_sched.workers);
  for (uint32_t i = 0; i < workers; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w || !thrumi_load_relaxed(&w->hog)) continue;
    int64_t last = thrumi_load(&w->wakeup_preempted);
    if (now - last < WAKEUP_GAP || !thrumi_cas(&w->wakeup_preempted, &last, now)) continue;
    struct thrumi_kthread *k = thrumi_load(&w->kthread);
    if (!k) continue;
    thrumi_preempt_request(k, true);
    return true;
  }
  return false;
}
