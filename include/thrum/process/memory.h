/* Shared memory: bytes that several processes have mapped at once.
 *
 *     thrum_shared_memory *m;                                    // in one process
 *     if (thrum_shared_memory_create(&m, "scores", sizeof(struct scores), NULL) == 0) {
 *       struct scores *s = thrum_shared_memory_data(m);
 *       ...
 *     }
 *     if (thrum_shared_memory_attach(&m, "scores") == 0) ...     // in any other one
 *
 * Without a name it is passed on as a descriptor (thrum_shared_memory_fd): to the child of a fork, as one of the descriptors that a
 * child process inherits, or over a connection. The memory lives as long as any process has it attached, or holds a
 * descriptor of it. All-zero to begin with. Nobody can cut it off under the others: reading it never raises SIGBUS.
 *
 * Names. A name belongs to the process that gave it, and ends when it is unlinked or when that process ends, however that comes: a
 * crash leaves nothing behind, and there is nothing to clean up. Those who have the memory keep it. Attaching makes nobody an owner.
 * A name is seen by processes of the same user in the same network namespace; one '/' at its beginning counts for nothing. It has a kernel
 * thread of its own in the process that gave it, which is who answers those that attach: they wait while that process is stopped.
 *
 * A process has such memory mapped once, however often it attaches it, and at an address that does not change. Other processes have it
 * at other addresses, so pointers into it mean nothing to them: store offsets. Objects that live in it (locks and the like: see
 * process/sync.h) are found by their address. Anything that is shared needs a lock, or atomics, as between threads.
 *
 * These calls may be made by any thread; none is a cancellation point, and none switches, unless it says so. */
#ifndef THRUM_PROCESS_MEMORY_H
#define THRUM_PROCESS_MEMORY_H

#include <thrum/base.h>
#include <thrum/process/sync.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_shared_memory thrum_shared_memory;

#define THRUM_SHARED_NAME_MAX 80 /* bytes of a name, with the zero at its end */

/* ---- Making and attaching ------------------------------------------------------------------------------------ */

/* All-zero (with size set) means the defaults. */
typedef struct thrum_shared_memory_options {
  size_t size; /* sizeof(thrum_shared_memory_options) */
  size_t most; /* bytes that thrum_shared_memory_resize can ask for; 0: as many as there are at first */
  size_t
      heap; /* bytes for thrum_shared_alloc, beside the others. What is not touched costs nothing: be generous */
} thrum_shared_memory_options;

#define THRUM_SHARED_MEMORY_OPTIONS_INIT \
  { sizeof(thrum_shared_memory_options), 0, 0 }

/* Makes memory of `size` bytes, rounded up to pages of 4096; with a heap `size` may be 0. name may be NULL; options may be NULL.
 * -EEXIST: somebody has given that name. -EINVAL: no size, a name that is empty or holds a '/' behind its first byte, `most` below `size`,
 * another version's options. -ENAMETOOLONG. -EMFILE: no descriptors, or 2,048 are attached. -EAGAIN: no kernel thread for the name.
 * -ENOMEM, -ENOSPC. */
THRUM_API int thrum_shared_memory_create(thrum_shared_memory **out, const char *name, size_t size,
                                         const thrum_shared_memory_options *options);

/* Attaches what has that name. Switches, and is a cancellation point: it asks the process that gave the name. -ENOENT: nobody has given it.
 * -EACCES: another user has. -EPROTO: it is a socket of some other program. -EINVAL: a name that cannot be (NULL, too), or memory of another version of thrum. -ENAMETOOLONG, -EMFILE,
 * -ENOMEM. -ECANCELED; the second: -ETIMEDOUT. */
THRUM_API int thrum_shared_memory_attach(thrum_shared_memory **out, const char *name);
THRUM_API THRUM_MUST_CHECK int thrum_shared_memory_attach_for(thrum_shared_memory **out, const char *name,
                                                              thrum_duration timeout);

/* Attaches what a descriptor refers to that came from thrum_shared_memory_fd, in whatever process. The descriptor belongs to the memory
 * from here on; not if this fails. -EBADF, -EINVAL: not such a descriptor, -EMFILE, -ENOMEM. */
THRUM_API int thrum_shared_memory_attach_fd(thrum_shared_memory **out, int fd);

/* Detaches it: the last close in a process unmaps it, and then its address is good for nothing. Its name stays; so do other
 * processes' mappings. What this process holds in it is held by a dead one for the others. NULL does nothing. */
THRUM_API void thrum_shared_memory_close(thrum_shared_memory *m);

/* Takes the name away, whoever gave it: from here on nobody attaches by it, and it can be given again. Those who have the memory
 * keep it. -ENOENT: it has none (any more). Blocks for a moment if another process gave it; if that is stopped, it can be
 * given again only when that goes on. */
THRUM_API int thrum_shared_memory_unlink(thrum_shared_memory *m);

/* ---- What it is ---------------------------------------------------------------------------------------------- */

/* Where its bytes are in this process, on a boundary of 4096. */
THRUM_API void *thrum_shared_memory_data(const thrum_shared_memory *m);

/* How many there are: the same in all processes, at once after a resize. */
THRUM_API size_t thrum_shared_memory_size(const thrum_shared_memory *m);

/* Changes that, for all. What is added reads as zero, and what is cut off is given back to the system: there reads as zero what
 * was there, in all processes. Nothing moves. -EINVAL: 0. -EFBIG: above `most`. */
THRUM_API int thrum_shared_memory_resize(thrum_shared_memory *m, size_t size);

/* Its name, without a '/' at the beginning, also after it was taken away; "": it never had one. Borrowed until the close. */
THRUM_API const char *thrum_shared_memory_name(const thrum_shared_memory *m);

/* A descriptor of it, to be passed on; borrowed: it is closed with the memory. */
THRUM_API int thrum_shared_memory_fd(const thrum_shared_memory *m);

/* ---- Its heap ------------------------------------------------------------------------------------------------ */

/* A heap is for what has no fixed place. Any process that has the memory may take blocks and give them back, also those
 * that others took. A process may be killed at any moment, in here too: the next one mends the heap. Blocks that a killed process had stay taken
 * until somebody gives them back. */

/* So many bytes, all zero, on a boundary of 16. NULL: no room, no heap, or 511 processes use the memory already. */
THRUM_API void *thrum_shared_alloc(thrum_shared_memory *m, size_t size);

/* The same for n things of `size` bytes. */
THRUM_API void *thrum_shared_alloc_array(thrum_shared_memory *m, size_t n, size_t size);

/* Gives a block back. NULL does nothing. -EINVAL: it is no block of this heap, or was given back; nothing has happened. If
 * somebody wrote beyond the end of a block, this call or a later one may abort, by name. */
THRUM_API int thrum_shared_free(thrum_shared_memory *m, void *block);

/* Bytes that are taken, with 16 for each block and what sizes are rounded up by; another process may be at it. */
THRUM_API size_t thrum_shared_used(const thrum_shared_memory *m);

/* What names the same byte of the memory in all processes; and the other way round. NULL and 0 stand for each other. -1 and NULL: it does
 * not lie in the memory. */
THRUM_API int64_t thrum_shared_offset(const thrum_shared_memory *m, const void *address);
THRUM_API void *thrum_shared_pointer(const thrum_shared_memory *m, int64_t offset);

/* One thing of a type, and n of them in a row: zeroed, NULL as above.
 *     struct point *p = THRUM_SHARED_NEW(m, struct point);
 *     double *row = THRUM_SHARED_ARRAY(m, double, 1000); */
#define THRUM_SHARED_NEW(m, type) ((type *)thrum_shared_alloc(m, sizeof(type)))
#define THRUM_SHARED_ARRAY(m, type, n) ((type *)thrum_shared_alloc_array(m, n, sizeof(type)))

/* A value, and n of them, with the lock that guards it (process/sync.h). All-zero is unlocked.
 *     typedef THRUM_SHARED_VALUE(int64_t) counter;
 *     counter *c = THRUM_SHARED_NEW(m, counter);
 *     int error = thrum_shared_lock_acquire(&c->lock);
 *     if (error == -EOWNERDEAD) error = thrum_shared_lock_recover(&c->lock);   // a single number is never half changed
 *     if (!error) c->value++, thrum_shared_lock_release(&c->lock); */
#define THRUM_SHARED_VALUE(type) \
  struct { \
    thrum_shared_lock lock; \
    type value; \
  }
#define THRUM_SHARED_VALUES(type, n) \
  struct { \
    thrum_shared_lock lock; \
    type value[n]; \
  }

#ifdef __cplusplus
}
#endif

#endif
