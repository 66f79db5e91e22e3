/* What can be a case of a select. A kind of thing plugs in here with five functions, listed in select.c.
 *
 * The wait of a select is one wait of one thread (core/wait.h), whose ticket is known wherever it has enlisted. Whoever makes
 * a thing ready claims that wait, as for any waiter; so at most one of them wins, and none needs to know of the others.
 *
 * Things that have waiters in the parking table (sched/await.h), as events and threads' ends do, use entry->waiter and
 * thrumi_let_go; channels use entry->offer. */
#ifndef THRUMI_SELECTABLE_H
#define THRUMI_SELECTABLE_H

#include <io/netpoll.h>
#include <queue/broadcast.h>
#include <queue/channel.h>
#include <sched/await.h>
#include <sync/event.h>
#include <thrum/select.h>

/* What lies in a case while it is selected from. */
struct thrumi_entry {
  union {
    struct thrumi_offer offer;
    struct thrumi_waiter waiter;
    struct thrumi_round_wait round;
    struct thrumi_fd_wait descriptor;
  };
  void *box;         /* of a large item */
  thrum_case *more;  /* the next case of the same channel */
  uint32_t polled;   /* these two of the case with number i: what is i-th in the order of polling, */
  uint32_t enlisted; /* and of enlisting */
};

_Static_assert(sizeof(struct thrumi_entry) <= sizeof((thrum_case *)0)->thrumi,
               "thrum_case has no room for an entry");

static inline struct thrumi_entry *thrumi_entry_of(thrum_case *c) {
  return (struct thrumi_entry *)(void *)c->thrumi;
}

struct thrumi_selectable {
  /* Outside, first: 0, -EINVAL or -ENOMEM. What it takes is given back by `release`, also outside; `fired`: it has happened. */
  int (*prepare)(thrum_case *c);
  void (*release)(thrum_case *c, bool fired);

  /* Inside, not armed; may leave, and switch. Lets the case happen if it is ready: the status, 0 or an error of the thing.
   * -EAGAIN: it is not ready. -ENOMEM ends the select.
   * A positive number: these two as a status are told so. */
  int (*poll)(thrum_case *c);

  /* Inside, armed: may neither leave nor wait. Enlists the wait, in this case and those of `more` in one step, unless one of
   * them is ready: then false, and none is enlisted.
   * From here on whoever makes it ready claims s->thread with s->ticket. */
  bool (*enlist)(thrum_case *c, struct thrumi_selection *s);

  /* Inside. Takes it out; afterwards nobody touches it. True: its maker claimed the wait, and that was meant for it; or it
   * became ready although somebody else ended the wait. */
  bool (*withdraw)(thrum_case *c);
};

#endif
