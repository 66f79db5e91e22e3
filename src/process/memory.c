/* Shared memory as programs see it: a segment is what they hold; its users count the attaches. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <os/os.h>
#include <os/quietly.h>
#include <process/name.h>
#include <process/segment.h>
#include <thrum/process/memory.h>
#include <unistd.h>

#define BYTES_MOST (SIZE_MAX / 8) /* of each part: the sum cannot wrap; no address space is so large */

static struct thrumi_segment *of(const thrum_shared_memory *m) { return (struct thrumi_segment *)m; }

static size_t round_up(size_t bytes) {
  return (bytes + THRUMI_SEGMENT_GRAIN - 1) / THRUMI_SEGMENT_GRAIN * THRUMI_SEGMENT_GRAIN;
}

/* ---- Making and attaching ------------------------------------------------------------------------------------------------ */

static int find_sizes(struct thrumi_segment_sizes *sizes, size_t size, const thrum_shared_memory_options *o) {
  if (o && o->size != sizeof *o) return -EINVAL;
  size_t most = o && o->most ? o->most : size, heap = o ? o->heap : 0;
  if ((size == 0 && heap == 0) || most < size) return -EINVAL;
  if (most > BYTES_MOST || heap > THRUMI_ARENA_MOST) return -ENOMEM;
  *sizes = (struct thrumi_segment_sizes){round_up(size), round_up(most), round_up(heap)};
  return 0;
}

static int create(struct thrumi_segment **out, const char *name, const struct thrumi_segment_sizes *sizes) {
  int error = thrumi_segment_create(out, sizes);
  if (error || !name) return error;
  error = thrumi_name_give(*out, name);
  if (error) thrumi_segment_close(*out);
  return error;
}

int thrum_shared_memory_create(thrum_shared_memory **out, const char *name, size_t size,
                               const thrum_shared_memory_options *options) {
  struct thrumi_segment_sizes sizes;
  struct thrumi_segment *s;
  int error = out ? find_sizes(&sizes, size, options) : -EINVAL;
  if (!error && name) error = thrumi_name_check(name);
  if (!error) error = create(&s, name, &sizes);
  if (!error) *out = (thrum_shared_memory *)s;
  return error;
}

/* Between the answer and now the name may have been taken away. */
static int attach_found(struct thrumi_segment **out, int fd) {
  int error = thrumi_segment_attach(out, fd);
  if (error || thrumi_load(&(*out)->header->named) == THRUMI_NAME_GIVEN) return error;
  thrumi_segment_close(*out);
  return -ENOENT;
}

int thrum_shared_memory_attach_for(thrum_shared_memory **out, const char *name, thrum_duration timeout) {
  struct thrumi_segment *s;
  int error = out && name ? thrumi_name_check(name) : -EINVAL;
  if (error) return error;
  int fd = thrumi_name_find(name, timeout);
  if (fd < 0) return fd;
  error = attach_found(&s, fd);
  if (!error) *out = (thrum_shared_memory *)s;
  return error;
}

int thrum_shared_memory_attach(thrum_shared_memory **out, const char *name) {
  return thrum_shared_memory_attach_for(out, name, THRUM_FOREVER);
}

int thrum_shared_memory_attach_fd(thrum_shared_memory **out, int fd) {
  struct thrumi_segment *s;
  if (!out) return -EINVAL;
  int own = (int)QUIETLY(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (own < 0) return own;
  int error = thrumi_segment_attach(&s, own);
  if (error) return error;
  QUIETLY(close(fd));
  *out = (thrum_shared_memory *)s;
  return 0;
}

void thrum_shared_memory_close(thrum_shared_memory *m) {
  if (m) thrumi_segment_close(of(m));
}

int thrum_shared_memory_unlink(thrum_shared_memory *m) { return thrumi_name_take_away(of(m)); }

/* ---- What it is ------------------------------------------------------------------------------------------------------------ */

void *thrum_shared_memory_data(const thrum_shared_memory *m) { return thrumi_segment_data(of(m)); }

size_t thrum_shared_memory_size(const thrum_shared_memory *m) { return thrumi_load(&of(m)->header->size); }

const char *thrum_shared_memory_name(const thrum_shared_memory *m) {
  const struct thrumi_segment_header *h = of(m)->header;
  return thrumi_load(&h->named) == THRUMI_NAME_NONE ? "" : h->name;
}

int thrum_shared_memory_fd(const thrum_shared_memory *m) { return of(m)->fd; }

/* What is beyond the size is emptied when it comes in as well as when it goes out: who cuts off may be killed before it has emptied. */
int thrum_shared_memory_resize(thrum_shared_memory *m, size_t size) {
  struct thrumi_segment *s = of(m);
  if (size == 0) return -EINVAL;
  if (size > s->header->most) return -EFBIG;
  uint64_t new = round_up(size), old = thrumi_load(&s->header->size);
  char *data = thrumi_segment_data(s);
  if (new > old) thrumi_os.empty(data + old, new - old);
  thrumi_store(&s->header->size, new);
  if (new < old) thrumi_os.empty(data + new, old - new);
  return 0;
}

/* ---- Offsets --------------------------------------------------------------------------------------------------------------- */

/* From the segment's beginning, where no program has anything: so 0 is free to stand for NULL. */
int64_t thrum_shared_offset(const thrum_shared_memory *m, const void *address) {
  const struct thrumi_segment *s = of(m);
  if (!address) return 0;
  uintptr_t offset = (uintptr_t)address - (uintptr_t)s->header;
  return offset >= THRUMI_SEGMENT_DATA_AT && offset < s->bytes ? (int64_t)offset : -1;
}

void *thrum_shared_pointer(const thrum_shared_memory *m, int64_t offset) {
  const struct thrumi_segment *s = of(m);
  bool inside = offset >= (int64_t)THRUMI_SEGMENT_DATA_AT && offset < (int64_t)s->bytes;
  return inside ? (char *)s->header + offset : NULL;
}
