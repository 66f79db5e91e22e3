/* The scheduler's own structures. Read docs/design/scheduling.md beside it.
 *
 * A *thread* runs a function. A *kernel thread* (kthread) is what the OS runs. A *worker* is the right to run a
 * thread; exactly one kthread holds it at a time, and hands it on.
 *
 * Where a thread's context is, by state:
 *
 *   state     context                                  on a run queue   its kthread field
 *   NEW       none yet; a stack is bound at first run  yes              NULL (bound ones: their own)
 *   READY     its own stack, saved at `sp`             yes              NULL, or the kthread that it owns
 *   RUNNING   live on the kthread                      no               as above
 *   WAITING   as READY, from PARKED on (wait.h)        no               as above
 *   BLOCKED   live on a kthread without a worker       no               that kthread
 *   ENDED     none                                     no               NULL
 *
 * A thread *owns* a kthread (field kthread != NULL) while its context is tied to it: main and bound threads for
 * ever, pinned ones until unpinned, preempted and BLOCKED ones until their next switch. To resume such a thread
 * is to hand the worker to its kthread. A kthread that some light thread owns is *captured*.
 *
 * Invariant S (spares): scheduler kthreads that are not captured >= workers, wanted or still held. Whoever gives a worker away
 * without getting another thread to run on the same kthread therefore always finds a spare to give it to.
 * Capturing is refused when it would break the invariant.
 *
 * Who may touch a worker's private part: the kthread that holds it, while inside; or whoever revoked its lease
 * (core/lease.h).
 *
 * Lock order, as nested: a parking bucket or a descriptor, then sched.lock; the table of records, then the stack
 * pools. A timer shard's lock is taken alone. */
#ifndef THRUMI_SCHED_H
#define THRUMI_SCHED_H

#include <core/atomic.h>
#include <core/hooks.h>
#include <core/lease.h>
#include <core/spin.h>
#include <core/wait.h>
#include <os/os.h>
#include <core/sanitize.h>
#include <sched/stack.h>
#include <stdarg.h>
#include <thrum/runtime.h>

enum thrumi_kind { THRUMI_LIGHT, THRUMI_BOUND, THRUMI_MAIN, THRUMI_FOREIGN };

enum thrumi_state { THRUMI_NEW, THRUMI_READY, THRUMI_RUNNING, THRUMI_WAITING, THRUMI_BLOCKED, THRUMI_ENDED };

/* The life word: the generation above THRUMI_LIFE_BITS, these flags below.
 *
 *   flag      set by                                   when
 *   FREE      whoever frees the record                 in no use; the generation is already the next one
 *   FINISHED  the thread's end                         its result is there, nothing of it runs any more
 *   RELEASED  spawn, detach, join (the one who wins)   nobody holds the handle; FINISHED and RELEASED: free it
 *   WAITED    a joiner, under its parking bucket       somebody must be woken at the end
 *   UNREAD    the thread, before FINISHED              it has failed, and no scope has taken the failure: RELEASED before, and it
 *                                                      tells of that itself; FINISHED before, and who sets RELEASED is told, or tells
 *   CANCELLED thrum_cancel, unless FINISHED            it is cancelled for the rest of its life. The same two hold \
 *   TOLD      whoever cancels the scope it belongs to  so is the scope (cleared when that is restarted)  > the lock `tree`
 *
 * Who sets the second of FINISHED and RELEASED frees the record. */
enum thrumi_life {
  THRUMI_FREE = 1,
  THRUMI_FINISHED = 2,
  THRUMI_RELEASED = 4,
  THRUMI_WAITED = 8,
  THRUMI_LIFE_CANCELLED = 16,
  THRUMI_LIFE_TOLD = 32,
  THRUMI_UNREAD = 64,
};
enum { THRUMI_LIFE_BITS = 24, THRUMI_SENTENCE_MAX = 256 };
#define THRUMI_GENERATION(life) ((life) >> THRUMI_LIFE_BITS)
#define THRUMI_FLAGS(life) ((life) & ((1u << THRUMI_LIFE_BITS) - 1))

struct thrumi_kthread;
struct thrumi_worker;
struct thrumi_queue;
struct thrumi_waiter;
struct thrumi_scope;
struct thrum_cleanup;

/* What a thread has to do with scopes: says at its end, without a look at the last line, that there is something to do. */
enum thrumi_scoped {
  THRUMI_MEMBER = 1,   /* it belongs to one */
  THRUMI_OPENER = 2,   /* it has opened one, or pushed a clean-up handler; stays set */
  THRUMI_RESTARTS = 4, /* it belongs to one whose threads are restarted */
};

/* The record of a thread: in a table, never freed, not on its stack (an overflow must not reach it). By line of the
 * cache: a switch needs the first, spawn and join the first two, a run on a stack of its own the third, what few threads have
 * the fourth. A wait writes to the third and the fifth, and to the fourth if it is for an object. The sixth is for scopes. What
 * only the last four lines hold is cleared when a thread ends, or means nothing without a wait; the rest when the record is used again. */
struct thrumi_thread {
  _Alignas(64) void *sp;      /* saved context; NULL: none */
  struct thrumi_thread *next; /* neighbours on the run queue; in the free list */
  struct thrumi_thread *prev;
  _Atomic(struct thrumi_queue *) queue; /* the run queue it was put on last; NULL once it has run */
  struct thrumi_kthread *kthread;       /* what it owns */
  uint32_t place;                       /* in the order of its queues' appends */
  _Atomic uint32_t mark; /* lower half of the handle: slot and part of the generation; never 0 */
  int saved_errno;
  uint32_t pins;
  _Atomic uint8_t state;  /* enum thrumi_state; for dumps and queues */
  _Atomic uint8_t cancel; /* it is cancelled, and not shielded; see tree.h */
  _Atomic bool extras;    /* it has, or had, some of what the fourth line holds */
  bool daemon;
  uint8_t kind;       /* enum thrumi_kind */
  bool hog;           /* used up its last interval */
  uint8_t stack_bits; /* the stack of its first run has 2^n bytes; 0: it had one from its spawn on */
  uint8_t scoped;     /* enum thrumi_scoped */

  _Alignas(64) _Atomic uint64_t life;
  thrumi_wait_word wait;
  thrum_fn *fn;
  void *arg;
  intptr_t result;
  void *exit_mark;                          /* where thrum_exit returns to */
  _Atomic(struct thrumi_thread *) guest_of; /* the joiner on whose stack it runs */
  uint32_t slot;                            /* index of this record */
  uint32_t number;                          /* N of Thread-N; 0: named */

  _Alignas(64) struct thrumi_stack stack; /* low == NULL: none yet, or not any more */
  _Atomic(const char *) waits_for; /* what kind of thing; NULL: it does not wait. These five: waits.h */
  _Atomic(const void *) waits_on;
  _Atomic int64_t waits_since;
  uintptr_t cxa[2]; /* C++ exceptions in flight */

  /* A name, locals, sentences: `extras`. */
  _Alignas(64) void **locals; /* values of thrum_local, by slot */
  struct thrumi_name *name;   /* NULL: made from number and fn; guarded by the bucket of its address */
  char *sentence;             /* thrum_fail's, of its own failure */
  char *joined_sentence;      /* of the thread it joined last */
  void *copy;                 /* thrum_spawn_copy's block */
  void *fiber;                /* ThreadSanitizer's idea of its context */
  int64_t overran; /* when it last released a gil that others wanted after too long; see sync/gil.c */
  _Atomic(const void *) waits_at; /* where its waiter is queued */
  /* On the fifth line from here on. What it was last queued with, and who queued behind it: hints, see thrumi_ask_for_waiters. */
  _Atomic(struct thrumi_waiter *) waiter;
  _Atomic(struct thrumi_thread *) behind;
  _Atomic uint8_t waits_how; /* flags of the present wait */
  bool by_signal;            /* THRUMI_BY_SIGNAL of the present wait */
  bool cancellable;          /* the present wait is a cancellation point; set before it is armed */
  bool in_loop;              /* its own: it runs a parallel loop, which thrum_exit must not leave */
  _Atomic uint64_t
      former_runner; /* of a timer's callback: the handle of the thread that ran it before; see alarm.c */
  uint64_t random;   /* its own numbers, for select */

  /* Scopes: see tree.h. All-zero in who has nothing to do with any, and again at the end. */
  _Alignas(64) struct thrumi_scope
      *scope; /* that it belongs to; this and its place there: under the opener's `tree` */
  struct thrumi_thread *elder, *younger; /* neighbours in that scope */
  _Atomic(struct thrumi_scope *)
      scopes;                     /* the innermost that it has open; from here on under its own `tree` */
  struct thrum_cleanup *cleanups; /* the last one pushed; its own */
  _Atomic uint64_t scope_of;      /* the handle of who opened `scope`; for dumps */
  struct thrumi_spin tree;
};
_Static_assert(sizeof(struct thrumi_thread) == 6 * 64 && offsetof(struct thrumi_thread, waiter) == 4 * 64 &&
                   offsetof(struct thrumi_thread, scope) == 5 * 64,
               "the lines of the cache");

/* Classes of ready threads, and in which order a worker looks. Fairness between them: pick.c. */
enum thrumi_class {
  THRUMI_CLASS_WOKEN,
  THRUMI_CLASS_READY,
  THRUMI_CLASS_HOG,
  THRUMI_CLASS_NEW,
  THRUMI_CLASSES
};

struct thrumi_queue {
  struct thrumi_thread *head, *tail;
};

struct thrumi_queues {
  struct thrumi_queue of[THRUMI_CLASSES];
  _Atomic uint32_t appended; /* so far: says which of two classes' heads came first */
  _Atomic uint32_t count;    /* of all; others read both as hints */
};

/* What a worker that had nothing to do got from elsewhere. */
struct thrumi_gain {
  uint32_t threads;  /* 0: nothing */
  uint32_t switches; /* the worker's, then */
  int64_t at;
  bool woken; /* the first one had run before */
  bool slept; /* the worker had to be woken for it */
};

struct thrumi_worker {
  /* Private to the holder (or revoker). */
  _Atomic(struct thrumi_thread *) next; /* run next: shares the slice of who woke it */
  struct thrumi_queues queues;
  uint32_t rotation;             /* the class to favour next time fairness asks */
  struct thrumi_thread *records; /* free records */
  uint32_t record_count;
  uint32_t number, number_end; /* block of N for Thread-N */
  uint32_t wake_skip, wake_backoff;
  uint32_t share_skip, lend_skip;
  uint32_t lent; /* threads that have run, and that it gave to the global queue when it last shared */
  struct thrumi_gain gain;
  bool owed; /* the hog that was picked goes before all others */
  struct thrumi_stack_cache stacks;
  uint32_t id;
  _Atomic bool hog; /* runs a thread that used up its last interval */

  /* Written by the holder, read by others. */
  _Alignas(64) _Atomic(struct thrumi_kthread *) kthread; /* the holder */
  _Atomic uint32_t turn;                                 /* slices begun */
  _Atomic uint32_t switches;                             /* threads begun or resumed */
  _Atomic uint32_t hog_turns;
  _Atomic bool idle;
  _Atomic uint64_t spawned, switched, steals;

  /* Written by the monitor. */
  _Alignas(64) _Atomic uint32_t nudge; /* enum thrumi_nudge */
  _Atomic bool
      lies; /* at its last look something lay on the queues that had lain before; a hint for thieves */
  struct {
    uint32_t turn, switches, hog_turns;
    int64_t since;     /* when this slice was first seen */
    int64_t cpu;       /* what its kthread had burnt ... */
    int64_t cpu_at;    /* ... then: when somebody was first seen to wait for it; 0: nobody was */
    int64_t running;   /* when its running thread was first seen */
    int64_t hog_since; /* when a hog last ran, or none waited */
    struct thrumi_kthread *kthread;
  } seen;
  struct {
    int64_t looked; /* when it was looked at last for threads that lie: what follows is of then */
    uint32_t switches;
    uint32_t appended; /* to its queues */
    bool queued;       /* some thread lay on its queues */
    bool own;          /* ... or was its run-next thread */
  } lying;
  _Atomic int64_t wakeup_preempted; /* when a wake-up last preempted here */
};

/* What the monitor asks of a worker's next pick. */
enum thrumi_nudge { THRUMI_NUDGE_EXPIRED = 1, THRUMI_NUDGE_OWES_HOG = 2, THRUMI_NUDGE_RETIRE = 4 };

enum thrumi_role { THRUMI_ROLE_SCHEDULER, THRUMI_ROLE_OWNED, THRUMI_ROLE_FOREIGN, THRUMI_ROLE_MONITOR };

/* How a kthread sleeps: the state of its `go` word.
 *   AWAKE -> FUTEX or POLL by itself; back to AWAKE by whoever wakes it (swap), or by itself. */
enum thrumi_sleep { THRUMI_AWAKE, THRUMI_ASLEEP_FUTEX, THRUMI_ASLEEP_POLL };

/* The slice of CPU that kernel threads ask the kernel for which run threads that were just woken, and the monitor: the
 * kernel then lets them in at once, also where it put them behind a hog. Kernel threads of hogs have the kernel's own. */
#define THRUMI_SHORT_SLICE THRUM_US(100)

struct thrumi_kthread {
  struct thrumi_lease lease;
  struct thrumi_worker *worker; /* held; NULL: none. Written by whoever hands over, read after `go` */
  _Atomic(struct thrumi_thread *) current; /* whose context is live here */
  struct thrumi_thread *parked;            /* switched away from, still ARMED: the next one here parks it */
  thrumi_ticket parked_ticket;
  struct thrumi_thread *yielded_hog; /* likewise, ready: the next one here queues it for all to see */
  struct thrumi_thread *found;       /* to be run by the scheduler context */
  void *scheduler_sp;                /* saved scheduler context, on the native stack */
  void *abandoned_sp;                /* of a stack that is left for good; never read */
  void *dead_fiber;                  /* of that stack, for ThreadSanitizer */
  int *errno_address;
  uintptr_t *cxa;
  thrumi_futex given; /* 1: a worker was handed over */
  thrumi_futex go;    /* enum thrumi_sleep */
  thrumi_futex
      up; /* of a bound thread: 1 once it runs; of breeder and monitor: 1, by who starts them, once they may begin */
  pid_t tid;
  pthread_t pthread;
  uint8_t role;
  bool captured;
  bool brought;           /* to the CPU of who handed the worker over; written as `worker` is */
  bool long_slice;        /* the kernel's own slice: it carries a hog */
  uint32_t preempt_at;    /* the worker's `switches` when PREEMPT was set */
  _Atomic int64_t asked;  /* when its preemption was first asked, 0: not */
  _Atomic bool for_woken; /* ... on behalf of a woken thread */
  struct thrumi_kthread *next_spare, *next_idle;
  struct thrumi_worker *staffs;       /* what it is about to be handed first */
  _Atomic bool resting;               /* inside, but asleep with no lock: may be stopped for a dump */
  int64_t lost_cpu, lost_at;          /* the monitor's, while LOST */
  bool released;                      /* LOST of its own will: thrum_blocking */
  bool forking;                       /* in fork: signal handlers must not enter */
  bool coming;                        /* made, and not adopted yet; see the nursery in kthread.c */
  struct thrumi_kthread *next, *prev; /* all of them, under sched.lock */
  _Atomic(ucontext_t *) interrupted;  /* while it sleeps in the handler; for dumps */
  thrumi_futex dump;                  /* enum thrumi_dump_state; see dump.c */
  _Atomic bool stopping;              /* it has stopped another one for a dump, or is about to */
  struct thrumi_stack bound_stack;    /* of its bound thread that has ended */
  char *native_low;
  size_t native_size;
  void *signal_stack;
  void *fiber;
};

/* ---- The whole ------------------------------------------------------------------------------------- */

/* The pusher's word: what a thread that made another one ready must look at. Sums of these. */
enum thrumi_bell {
  THRUMI_BELL_IDLE = 1,          /* for each worker that sleeps */
  THRUMI_BELL_HUNGRY = 1 << 12,  /* for each worker that looks for work */
  THRUMI_BELL_MONITOR = 1 << 24, /* the monitor sleeps until rung for */
  THRUMI_BELL_FENCE = 1 << 30,   /* always, where there is no membarrier: look again behind a fence */
};

struct thrumi_sched {
  struct thrumi_spin lock;
  /* Under the lock; the counts are read outside as hints. */
  struct thrumi_queues global;       /* all classes but HOG */
  _Atomic uint32_t global_woken;     /* threads of the class WOKEN on it */
  struct thrumi_queues hogs_waiting; /* the class HOG */
  struct thrumi_kthread *spares, *idle, *all;
  _Atomic uint32_t spare_count;
  _Atomic uint32_t schedulers; /* scheduler kthreads, with spares and captured ones */
  _Atomic uint32_t captured;
  _Atomic uint32_t kthreads, kthreads_peak; /* admitted: from before they are made */

  /* Each kernel thread counts itself, when it begins and before it ends: both only grow. */
  _Atomic uint32_t kthreads_come, kthreads_gone;

  _Alignas(64) _Atomic uint32_t bell;
  _Atomic uint32_t share_backoff; /* of spawns that find a worker without work, every 2^n-th shares; a hint */
  _Atomic uint32_t lend_backoff;  /* the same of wake-ups */
  _Atomic uint32_t hogs;          /* workers that run a hog */
  _Atomic uint32_t workers;       /* how many are wanted */
  _Atomic(struct thrumi_kthread *) poller;
  _Atomic int64_t poller_watch;  /* the poller looks at deadlines again by then; INT64_MAX: it does not */
  _Atomic int64_t monitor_watch; /* the monitor does */
  _Atomic int64_t interval;
  _Atomic int64_t clock;    /* the monitor's last reading while it is awake; 0: it sleeps */
  _Atomic uint32_t lost;    /* kthreads that run without their worker */
  _Atomic uint32_t outside; /* foreign threads that are not in a wait of thrum's, or in one with a deadline */
  _Atomic uint32_t foreign_wakes;
  _Atomic uint32_t number; /* N of Thread-N, taken so far */
  _Atomic uint32_t dummies;
  _Atomic uint32_t running_mode; /* 0: not started, 1: it is being started, 2: runs */
  _Atomic uint64_t preemptions, wakeup_preemptions, leases_lost, signals, signals_blocked, refused;
  struct thrumi_thread *main;
  struct thrumi_kthread *monitor, *breeder;
  _Atomic uint32_t polls;           /* how often a worker polled; about, since a count may be lost */
  _Atomic uint32_t finds;           /* how often it found work by that, without sleeping; likewise */
  _Atomic bool brisk;               /* it does so every few microseconds: the monitor's finding */
  _Atomic uint64_t spawned_outside; /* by foreign threads */
  uint32_t kthread_max;
  bool clean_stacks;     /* before each use */
  bool profile_at_exit;  /* the environment asks for the contention profile */
  bool stats_at_exit;    /* and for the counters */
  _Atomic uint32_t held; /* workers that some kthread holds; under the lock */
  bool staffed;          /* the workers have been given out for the first time */
  int preempt_signal;
  int dump_signal; /* 0: none */
  bool no_membarrier;
  pthread_key_t key;        /* tells of the end of kernel threads that we did not start */
  thrumi_futex born;        /* counts scheduler kthreads that have begun */
  _Atomic bool dump_wanted; /* the breeder is to print the dump */
  _Atomic bool barren;      /* the breeder was refused a kernel thread when it last asked for one */
  pid_t pid;
  sigset_t main_mask; /* main's, when it was adopted; for the child of a fork */
  _Atomic(struct thrumi_worker *) worker[THRUM_WORKERS_MAX];
};

extern struct thrumi_sched thrumi_sched;

/* table.c: records; more of it is in record.h */
void thrumi_table_fork(void); /* in the child of a fork: finds the free records anew */

/* pick.c: run queues, the choice of what runs next, sharing and stealing */
struct thrumi_thread *thrumi_pick(struct thrumi_worker *w);
void thrumi_push(struct thrumi_worker *w, struct thrumi_thread *t, enum thrumi_class c);
void thrumi_push_global(struct thrumi_thread *t, enum thrumi_class c);
bool thrumi_somebody_waits(const struct thrumi_worker *w); /* on its queues or the global ones */
bool thrumi_somebody_waits_globally(void);
bool thrumi_woken_wait(const struct thrumi_worker *w); /* the same, those that go before hogs */
void thrumi_pour_out(struct thrumi_worker *w);         /* all it has to the global queue */
void thrumi_share(struct thrumi_worker *w);
bool thrumi_steal(struct thrumi_worker *thief);
void thrumi_make_ready(struct thrumi_thread *t); /* woken: to the caller's worker or the global queue */
/* The same for who has got all that it waited for and is waited for by nobody: in line with those that yielded, and no hog is
 * stopped for it. */
void thrumi_make_ready_in_line(struct thrumi_thread *t);
void thrumi_boost(struct thrumi_thread *t); /* if it is a hog that waits to run: as if it had been woken */
void thrumi_ring(struct thrumi_worker *w);  /* somebody may want what was pushed on w (NULL: globally) */
void thrumi_ring_for_new(struct thrumi_worker *w); /* for a spawned one, if sharing such has been worth it */
void thrumi_judge_sharing(int64_t ran, uint32_t threads); /* so long were so many of them busy elsewhere */
void thrumi_judge_lending(int64_t ran, uint32_t switches,
                          bool slept); /* the same of threads that were woken */

/* switch.c: from one context to another */
void thrumi_yield_as(struct thrumi_kthread *k, enum thrumi_class c);
void thrumi_yield_tied(struct thrumi_kthread *k, struct thrumi_thread *t, enum thrumi_class c);
void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket);
void thrumi_run_bound(struct thrumi_kthread *k); /* its thread, to the end */
void thrumi_wait_given(struct thrumi_kthread *k);
void thrumi_regain(struct thrumi_kthread *k);
void thrumi_surrender(struct thrumi_kthread *k); /* gives the worker to a spare */
bool thrumi_may_capture_locked(void);            /* would invariant S hold with one more captured? */
bool thrumi_is_short(void);                      /* it would not, but spares are on their way; a hint */
bool thrumi_capture(struct thrumi_kthread *k, struct thrumi_thread *t);
void thrumi_uncapture(struct thrumi_kthread *k, struct thrumi_thread *t);
void thrumi_scheduler_loop(struct thrumi_kthread *k);
void thrumi_hand_over(struct thrumi_worker *w, struct thrumi_kthread *to);
void thrumi_remain_hog(
    struct thrumi_kthread *k); /* its thread was made to wait: woken ones still go before it */

/* park.c: the one sleep and wake */
/* Flags of a wait.
 *   CANCELLABLE  a cancellation ends it
 *   HELD         the object is 64 bits, and their upper half the mark of the thread that holds it (0: nobody that can be named)
 *   AT_FRONT     before those who wait already
 *   BY_SIGNAL    a signal handler may end it
 *   OWNED        with HELD: nobody but the holder can release it
 *   THREAD       the object is a thread's handle: its end is waited for
 *   TIMED        it has a deadline; set by park itself, and before by who may be moved to another queue
 *   HOSTS        with THREAD: no wait that is armed; that thread runs on this one's stack */
enum thrumi_wait_flags {
  THRUMI_CANCELLABLE = 1,
  THRUMI_HELD = 2,
  THRUMI_AT_FRONT = 4,
  THRUMI_BY_SIGNAL = 8,
  THRUMI_OWNED = 16,
  THRUMI_THREAD = 32,
  THRUMI_TIMED = 64,
  THRUMI_HOSTS = 128,
};
/* Says what the present wait is for; thrumi_arm does, and who makes a wait of it that is not armed. */
void thrumi_wait_for(struct thrumi_thread *t, const char *what, const void *object, int flags);
thrumi_ticket thrumi_arm(struct thrumi_thread *t, const char *what, const void *object, int flags);
enum thrumi_wait_state thrumi_park(struct thrumi_thread *t, thrumi_ticket ticket, int64_t deadline);
bool thrumi_wake(struct thrumi_thread *t, thrumi_ticket ticket, enum thrumi_wait_state outcome);
/* The first half of it: decides, and leaves a thread that was PARKED (*parked) to the caller, who makes it ready. Until then its
 * frames stay as they are; another one may go on at once. */
bool thrumi_claim(struct thrumi_thread *t, thrumi_ticket ticket, enum thrumi_wait_state outcome,
                  bool *parked);
/* The armed thread itself ends its wait instead of parking. False: somebody has claimed it, for *outcome. */
bool thrumi_disarm(struct thrumi_thread *t, thrumi_ticket ticket, enum thrumi_wait_state *outcome);
void thrumi_cancel(struct thrumi_thread *t); /* sets its `cancel`; tree.h says who may */
void thrumi_less_outside(void);              /* one foreign thread less that might wake somebody */

/* timeout.c: deadlines of waits, and of alarms (alarm.c) */
int64_t thrumi_timeouts_expire(int64_t now); /* wakes who is due; returns when to come again */
int64_t thrumi_timeouts_next(void);
size_t thrumi_timeouts_pending(void);
bool thrumi_timeouts_wait(void); /* who is due is left for now: so many woken ones wait already */
void thrumi_timeouts_fork(void);

/* idle.c: a worker without work */
struct thrumi_thread *thrumi_find_work(struct thrumi_kthread *k);
void thrumi_poll_now(void); /* descriptors and deadlines, without waiting */
bool thrumi_wake_idle(void);
void thrumi_doze(struct thrumi_kthread *k, int64_t deadline, bool poll); /* go is ASLEEP_FUTEX already */
void thrumi_rouse(struct thrumi_kthread *k);
enum { THRUMI_SEEN_WORKERS = 64 };
bool thrumi_steal_from_computing(struct thrumi_worker *thief, const uint32_t *switches);

/* kthread.c */
extern _Thread_local struct thrumi_kthread *thrumi_self_tls;
extern THRUM_API _Thread_local uint32_t
    thrumi_mark_tls; /* the mark of its current thread, for inline paths; see self.h */
struct thrumi_kthread *thrumi_kthread_new(enum thrumi_role role); /* NULL: no memory, or the bound */
void thrumi_kthread_adopt(struct thrumi_kthread *k);              /* the calling OS thread becomes k */
void thrumi_kthread_discard(struct thrumi_kthread *k);            /* one that was not started */
int thrumi_kthread_start(struct thrumi_kthread *k, void *(*body)(void *));
void thrumi_kthread_end(struct thrumi_kthread *k); /* the calling one is about to end */
int thrumi_schedulers_ensure(uint32_t n); /* that many that are not captured; outside; 0 or -EAGAIN */
void *thrumi_breeder_main(void *arg);
void thrumi_kthread_fork(struct thrumi_kthread *own);
void thrumi_kthreads_start(void); /* before any is made */
/* Around a fork, in the parent, under AddressSanitizer: no kernel thread of ours comes or goes. */
void thrumi_kthreads_hold(void);
void thrumi_kthreads_go_on(void);
void thrumi_breed(void); /* asks for spares */
bool thrumi_too_many_spares(void);
struct thrumi_kthread *thrumi_spare_pop_locked(void);
void thrumi_spare_push_locked(struct thrumi_kthread *k);

/* preempt.c, monitor.c */
int thrumi_preempt_start(void);
void thrumi_preempt_request(struct thrumi_kthread *k, bool for_woken);
void thrumi_preempt_self(struct thrumi_kthread *k);
bool thrumi_preempt_hog(void); /* some worker's, for a woken thread; false: none may be now */
void *thrumi_monitor_main(void *arg);
void thrumi_monitor_rouse(void);
void thrumi_monitor_take_over(
    void); /* nobody polls any more, or something must be polled for that was not: behind a full fence */
void thrumi_monitor_mind(void); /* a worker sleeps beside what lies on others' queues */

/* start.c */
struct thrumi_kthread *thrumi_enter_first(void);
void thrumi_enter_slow(struct thrumi_kthread *k);
uint32_t thrumi_attend(struct thrumi_kthread *k); /* the same, but for a worker that is LOST */
void thrumi_leave_slow(void);
void thrumi_leave_handler_slow(void);
void thrumi_start_fork(void);
int thrumi_workers_set(uint32_t n);
void thrumi_start_kthreads_again(void); /* in the child of a fork */

/* thread.c, exit.c, fork.c, local.c */
struct thrumi_thread *thrumi_spawn_called(thrum_fn *fn, void *arg); /* see there */
void thrumi_thread_drop(struct thrumi_thread *t); /* one that never ran, and is on no queue any more, ends */
void thrumi_thread_finish(struct thrumi_thread *t, intptr_t result); /* inside; may leave in between */
intptr_t thrumi_thread_call(struct thrumi_thread *t);                /* its function; outside */
/* Ends the program unless what t has open is what it had open before. Outside. */
void thrumi_check_closed(struct thrumi_thread *t, const struct thrumi_scope *scopes,
                         const struct thrum_cleanup *cleanups);
struct thrumi_waiter;
int thrumi_end_poll(thrum_thread handle); /* 0: it has ended; -EAGAIN; else as join */
bool thrumi_end_enlist(thrum_thread handle,
                       struct thrumi_waiter *waiter); /* false: -EAGAIN is not so any more */
void thrumi_main_ends(intptr_t result);               /* outside */
extern _Atomic(thrum_uncaught_fn *) thrumi_uncaught;  /* the hook */
void thrumi_locals_destroy(struct thrumi_thread *t);  /* outside */
void thrumi_local_fork(void);
void thrumi_exit_fork(void);
void thrumi_print_fork(void);
void thrumi_locals_free(struct thrumi_thread *t);
void thrumi_fork_start(void);
int64_t thrumi_clock(void); /* coarse: for "since" */

/* dump.c */
void thrumi_dump_answer(struct thrumi_kthread *k, ucontext_t *context); /* in the handler */
void thrumi_dump_fork(void);

/* src/inspect: opens the socket, or says in the log why not. Called before the runtime has started. */
void thrumi_inspect_start(void);

/* Whether threads that were woken are better left where they are, as long as they do not lie there for long. */
static inline bool thrumi_leaves_woken(void) { return thrumi_load_relaxed(&thrumi_sched.lend_backoff) != 0; }

static inline struct thrumi_thread *thrumi_running_on(struct thrumi_kthread *k) {
  return thrumi_load(&k->current);
}

/* The lower half of its id. It changes with the record's generation alone: nobody who has the thread by its handle, in a queue or
 * as itself needs more than the value, and who has it by a mark compares that with what it finds. */
static inline uint32_t thrumi_mark_of(const struct thrumi_thread *t) { return thrumi_load_relaxed(&t->mark); }

/* name.c */
struct thrumi_name;
struct thrumi_name *thrumi_name_make(const char *format, va_list args); /* outside; NULL: no memory */
void thrumi_name_free(struct thrumi_name *name);                        /* outside */
int thrumi_name_copy(struct thrumi_thread *t, uint64_t generation, char *buffer,
                     size_t size); /* 0 or -ESRCH */

/* What a name is written from, for who needs it where, or when, nothing can be looked up. */
struct thrumi_name_parts {
  char given[THRUM_NAME_MAX]; /* "": none, it is made from the rest */
  thrum_fn *fn;
  uint32_t number;
  uint8_t kind;
};
bool thrumi_name_take(struct thrumi_thread *t, uint64_t generation,
                      struct thrumi_name_parts *out); /* inside; false: the thread is gone */
void thrumi_name_write(const struct thrumi_name_parts *parts, char *buffer, size_t size); /* outside */
struct thrumi_name *thrumi_name_detach(struct thrumi_thread *t);
void thrumi_name_own(const struct thrumi_thread *t, char *buffer,
                     size_t size);                            /* the caller's; before an abort */
const char *thrumi_name_given(const struct thrumi_thread *t); /* likewise; NULL: none. Async-signal-safe */
void thrumi_name_show(struct thrumi_thread *t);               /* to the OS, for the calling kernel thread */

#include <sched/record.h>

#endif
