/* Segments made, mapped and unmapped. */
#define _GNU_SOURCE
#include <errno.h>
#include <os/os.h>
#include <process/segment.h>
#include <sys/random.h>
#include <unistd.h>

static size_t bytes_of(const struct thrumi_segment_sizes *sizes) {
  return THRUMI_SEGMENT_DATA_AT + sizes->most + sizes->heap;
}

/* Maps the descriptor's memory. It is the segment's, or was closed. */
static int map(struct thrumi_segment **out, int fd, size_t bytes) {
  struct thrumi_segment *s = thrumi_os.allocate(sizeof *s);
  if (s) s->header = thrumi_os.map(fd, bytes);
  if (!s || !s->header) {
    if (s) thrumi_os.free(s);
    close(fd);
    return -ENOMEM;
  }
  s->bytes = bytes;
  s->fd = fd;
  *out = s;
  return 0;
}

static void unmap(struct thrumi_segment *s) {
  thrumi_os.unmap(s->header, s->bytes);
  close(s->fd);
  thrumi_os.free(s);
}

static int enter(struct thrumi_segment **out, struct thrumi_segment *s) {
  struct thrumi_segment *there = NULL;
  int error = thrumi_registry_add(s, &there);
  if (error || there) unmap(s);
  *out = there ? there : s;
  return error;
}

static int make_header(struct thrumi_segment *s, const struct thrumi_segment_sizes *sizes) {
  struct thrumi_segment_header *h = s->header;
  if (getrandom(h->id, sizeof h->id, 0) != sizeof h->id) return -errno;
  h->version = THRUMI_SEGMENT_VERSION;
  h->data_at = THRUMI_SEGMENT_DATA_AT;
  h->most = sizes->most;
  h->heap = sizes->heap;
  thrumi_store(&h->size, sizes->size);
  if (sizes->heap) thrumi_arena_format(&h->arena, thrumi_segment_heap(s), sizes->heap);
  h->magic = THRUMI_SEGMENT_MAGIC;
  return 0;
}

int thrumi_segment_create(struct thrumi_segment **out, const struct thrumi_segment_sizes *sizes) {
  int fd = thrumi_os.memory_create(bytes_of(sizes));
  if (fd < 0) return fd;
  int error =
      thrumi_os.memory_commit(fd, 0, THRUMI_SEGMENT_DATA_AT); /* else a full tmpfs would be a SIGBUS */
  if (error) return close(fd), error;
  struct thrumi_segment *s;
  error = map(&s, fd, bytes_of(sizes));
  if (error) return error;
  error = make_header(s, sizes);
  if (error) return unmap(s), error;
  return enter(out, s);
}

/* Whether it is one of ours, whole: somebody may hand us anything. */
static bool is_sound(const struct thrumi_segment *s) {
  const struct thrumi_segment_header *h = s->header;
  if (h->magic != THRUMI_SEGMENT_MAGIC || h->version != THRUMI_SEGMENT_VERSION) return false;
  size_t rest = s->bytes - THRUMI_SEGMENT_DATA_AT;
  return h->data_at == THRUMI_SEGMENT_DATA_AT && h->most <= rest && h->heap == rest - h->most &&
         thrumi_load(&h->size) <= h->most && (!h->heap || h->arena.bytes == h->heap);
}

int thrumi_segment_attach(struct thrumi_segment **out, int fd) {
  int64_t bytes = thrumi_os.memory_size(fd);
  if (bytes >= 0 && bytes < (int64_t)THRUMI_SEGMENT_DATA_AT) bytes = -EINVAL;
  if (bytes == -EBADF) return -EBADF;
  if (bytes < 0) return close(fd), (int)bytes;
  struct thrumi_segment *s;
  int error = map(&s, fd, (size_t)bytes);
  if (error) return error;
  if (!is_sound(s)) return unmap(s), -EINVAL;
  return enter(out, s);
}

void thrumi_segment_close(struct thrumi_segment *segment) {
  if (!thrumi_registry_drop(segment)) return;
  thrumi_segment_leave(segment);
  unmap(segment);
}
