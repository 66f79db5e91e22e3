#include <core/parking.h>
#include <core/sanitize.h>
#include <process/owned.h>
#include <thrum/io/file.h>
#include <thrum/thread.h>

static void mend(struct thrumi_owned *o) {
  const uint32_t mending = ~thrumi_forks;
  for (uint32_t seen; (seen = thrumi_load(&o->forks)) != thrumi_forks;) {
    if (seen == mending) {
      thrum_yield();
    } else if (thrumi_cas(&o->forks, &seen, mending)) {
      o->owner->mend(o);
      thrumi_store(&o->refs, 1);
      thrumi_store(&o->forks, thrumi_forks);
    }
  }
}

static void mend_if_forked(struct thrumi_owned *o) {
  if (thrumi_unlikely(thrumi_load(&o->forks) != thrumi_forks)) mend(o);
}

void thrumi_owned_make(struct thrumi_owned *o, int fd, const struct thrumi_owner *owner) {
  o->fd = fd;
  o->owner = owner;
  thrumi_store_relaxed(&o->refs, 1);
  thrumi_store_relaxed(&o->forks, thrumi_forks);
}

void thrumi_owned_drop(struct thrumi_owned *o) {
  thrumi_announce(&o->refs);
  if (thrumi_add(&o->refs, -1u) != 1) return;
  thrumi_rely_on(&o->refs);
  o->owner->free(o);
}

int thrumi_owned_hold(struct thrumi_owned *o, struct thrumi_descriptor **descriptor) {
  mend_if_forked(o);
  thrumi_add(&o->refs, 1u);
  int error = thrumi_descriptor_begin(o->fd, descriptor);
  atomic_thread_fence(memory_order_seq_cst); /* with the closer's two swaps: see Closing */
  if (!error && thrumi_load(&o->closed)) {
    thrumi_descriptor_end(*descriptor);
    error = -EBADF;
  }
  if (error) thrumi_owned_drop(o);
  return error;
}

/* With a reference, since the owner may give up the last other one meanwhile. */
void thrumi_owned_shutdown(struct thrumi_owned *o) {
  mend_if_forked(o);
  thrumi_add(&o->refs, 1u);
  if (!thrumi_swap(&o->closed, true)) thrum_close(o->fd);
  thrumi_owned_drop(o);
}
