/* A case lends the place of a pool's thread for as long as the select lasts, as a wait for the future alone does. */
#include <future/case.h>

#include <queue/selectable.h>

#include <future/place.h>

static thrum_future *future_in(const thrum_case *c) { return c->object; }

/* The place is lent before the select looks, and taken back behind it: in between the thread may not leave the runtime. */
static struct thrumi_place *place_of(thrum_case *c) {
  return (struct thrumi_place *)(void *)&thrumi_entry_of(c)->box;
}

/* Why it could not be lent, as a positive number. That becomes the status of the case when the select is about to wait. */
static size_t *error_of(thrum_case *c) { return &c->size; }
#define ABOUT_TO_WAIT ((size_t)1 << 16)

static int prepare(thrum_case *c) {
  *place_of(c) = (struct thrumi_place){NULL};
  *error_of(c) = 0;
  if (!thrum_future_done(future_in(c))) *error_of(c) = (size_t)-thrumi_place_lend(place_of(c));
  return 0;
}

static void release(thrum_case *c, bool fired) {
  (void)fired;
  thrumi_place_take_back(place_of(c));
}

static int poll(thrum_case *c) {
  if (thrumi_future_is_done(thrumi_future_look(future_in(c)))) return 0;
  return *error_of(c) & ABOUT_TO_WAIT ? (int)(*error_of(c) & ~ABOUT_TO_WAIT) : -EAGAIN;
}

static bool enlist(thrum_case *c, struct thrumi_selection *s) {
  if (*error_of(c)) {
    *error_of(c) |= ABOUT_TO_WAIT;
    return false; /* the next poll says why */
  }
  struct thrumi_waiter *w = &thrumi_entry_of(c)->waiter;
  w->thread = s->thread;
  w->ticket = s->ticket;
  return thrumi_future_enlist(future_in(c), w);
}

static bool withdraw(thrum_case *c) {
  return thrumi_withdraw(&thrumi_entry_of(c)->waiter) &&
         thrumi_future_is_done(thrumi_future_look(future_in(c)));
}

static const struct thrumi_selectable selectable = {prepare, release, poll, enlist, withdraw};

void thrumi_case_start(void) {
  if (thrumi_unlikely(!thrumi_load_relaxed(&thrumi_hooks.case_future)))
    thrumi_store(&thrumi_hooks.case_future, &selectable);
}
