/* Process slots: what a shared object says of its holder, and how others learn that the holder is no more.
 *
 * Each segment has a table of slots. A process takes one the first time that it needs one there, and its keeper holds the
 * slot's futex word robustly (keeper.h), so the kernel marks the word when the process ends. A shared object names its holder by a
 * `thrumi_holder`: a slot and its generation. Generations count the users of a slot, so a holder that is
 * no more is never taken for the next user of its slot (until the generations have gone round: after 4,194,304 users of one slot).
 *
 * The state of a slot is one word of 64 bits: the futex word below, the generation above.
 *
 *   futex word           meaning                                          written by
 *   FREE (0)             nobody has it; never used, or given back         the keeper that held it (release)
 *   tid                  held by the keeper with that number              that keeper (claim), from FREE or BURIED, and with the
 *                                                                         next generation in the same step
 *   tid | WAITERS        the same, and somebody may wait for its end      who is going to wait (watch); legal although nobody does
 *   DIED [| WAITERS]     the keeper has ended                             the kernel
 *   BURIED (DIED | 1)    and no kernel thread of that process runs        whoever finds it DIED, after a barrier (bury)
 *                        any more
 *
 * The generation changes in a claim alone. A process that has closed a segment while it holds something there is dead for the others
 * of that segment: FREE with its generation.
 *
 * Why BURIED. The kernel ends the threads of a process one by one. It has told all of them before the first can begin to end, and
 * interrupts those that run; but what one on another CPU does until the interrupt has arrived, it may do after the keeper's end has been
 * seen. So whoever is first to look at a DIED slot lets every CPU pass through the kernel, where such a thread ends,
 * before it takes the holder for dead. That takes some ms, once a death.
 *
 * Rejected. The pid and its start time: no wake-up, a system call a look, and pids differ between namespaces. A pipe or pidfd for
 * each process: descriptors grow with the square of the processes. flock: no wake-up. The robust list of the
 * thread that holds a lock: light threads move, and kernel threads that carried them end. */
#ifndef THRUMI_SLOT_H
#define THRUMI_SLOT_H

#include <core/atomic.h>
#include <linux/futex.h>
#include <os/os.h>

enum {
  THRUMI_SLOTS = 512, /* slot 0 is nobody's, so that a holder is never 0 */
  THRUMI_SLOT_BITS = 9,
  THRUMI_SLOT_FREE = 0,
  THRUMI_SLOT_BURIED = FUTEX_OWNER_DIED | 1,
};

typedef uint32_t thrumi_holder; /* generation << THRUMI_SLOT_BITS | slot, in 31 bits; 0: nobody */

struct thrumi_slot {
  struct robust_list
      node; /* where the next one lies, in the process that holds it; directly before the word */
  _Atomic uint64_t state; /* on a boundary of 8 */
  _Atomic int32_t pid;    /* for reports: of the present user, as it knows itself */
  uint32_t unused[3];
};

_Static_assert(offsetof(struct thrumi_slot, state) == sizeof(struct robust_list),
               "the keeper's futex_offset");
_Static_assert(sizeof(struct thrumi_slot) == 32, "the layout of a segment");

struct thrumi_segment;

/* The caller's process as a holder in the segment; takes a slot if it has none yet. Outside; blocks the kernel thread then. 0,
 * -EAGAIN: no kernel thread to be had, -ENOSPC: THRUMI_SLOTS processes use it, -ENOSYS: the kernel has no robust lists. */
int thrumi_segment_slot_slow(struct thrumi_segment *segment);

/* Gives the slot back. */
void thrumi_segment_leave(struct thrumi_segment *segment);

void thrumi_slot_fork(void); /* in the child of a fork: it has no slots */

/* Whether the holder's process is no more, or has left the segment. True once is true for ever. Outside: takes some ms for a death that
 * nobody has looked at yet. */
bool thrumi_slot_is_dead(const struct thrumi_segment *segment, thrumi_holder holder);

/* The word to wait on (thrumi_os.shared_wait) for the holder's end, and in *expected what it must hold then; NULL: it is dead
 * already, or has just died. After a wake-up look with thrumi_slot_is_dead: the kernel wakes one; who looks first wakes all. */
thrumi_futex *thrumi_slot_watch(const struct thrumi_segment *segment, thrumi_holder holder,
                                uint32_t *expected);

/* The pid that the holder's process had for itself; 0: it has ended. For reports. */
int thrumi_slot_pid(const struct thrumi_segment *segment, thrumi_holder holder);

#endif
