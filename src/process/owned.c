#include <core/parking.h>
#include <core/sanitize.h>
#include <process/owned.h>
#include <thrum/io/file.h>

#define MENDING UINT32_MAX

static void mend(struct thrumi_owned *o) {
  uint32_t seen = thrumi_load(&o->forks);
  while (seen != thrumi_forks) {
    if (seen == MENDING) {
      thrumi_pause();
      seen = thrumi_load(&o->forks);
    } else if (thrumi_cas(&o->forks, &seen, MENDING)) {
      o->owner->mend(o);
      thrumi_store(&o->refs, 1);
      thrumi_store(&o->forks, thrumi_forks);
      return;
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

bool thrumi_owned_is_closed(const struct thrumi_owned *o) { return atomic_load(&o->closed); }

int thrumi_owned_hold(struct thrumi_owned *o, struct thrumi_descriptor **descriptor) {
  mend_if_forked(o);
  thrumi_add(&o->refs, 1u);
  int error = thrumi_descriptor_begin(o->fd, descriptor);
  if (!error && thrumi_owned_is_closed(o)) { /* behind the step before: see Closing */
    thrumi_descriptor_end(*descriptor);
    error = -EBADF;
  }
  if (error) thrumi_owned_drop(o);
  return error;
}

bool thrumi_owned_shutdown(struct thrumi_owned *o) {
  mend_if_forked(o);
  if (thrumi_swap(&o->closed, true)) return false;
  thrum_close(o->fd);
  return true;
}
