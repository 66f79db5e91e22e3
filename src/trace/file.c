#include <core/atomic.h>
#include <errno.h>
#include <os/os.h>
#include <os/quietly.h>
#include <poll.h>
#include <string.h>
#include <trace/file.h>
#include <unistd.h>

static const char zeros[8];

static size_t padding(size_t bytes) { return -bytes % 8; }

bool thrumi_file_make(struct thrumi_trace_file *f) {
  f->fd = -1;
  if (!f->side_bytes) f->side_bytes = thrumi_os.reserve(THRUMI_FILE_SIDE);
  if (!f->block) f->block = thrumi_os.reserve(sizeof *f->block);
  return f->side_bytes && f->block;
}

/* ---- Bytes ----------------------------------------------------------------------------------------------------- */

/* Cuts off what is there of a block. Not of pipes and devices, of which there is no end to cut. */
static void fail(struct thrumi_trace_file *f, int error) {
  f->error = error;
  if (ftruncate(f->fd, (off_t)f->bytes) == 0) lseek(f->fd, (off_t)f->bytes, SEEK_SET);
}

/* Looks up now and then whether somebody waits; the time counts from then on. False: it has been too long. */
static bool await_room(const struct thrumi_trace_file *f, int64_t *end) {
  int64_t now = thrumi_os.now();
  struct pollfd full = {.fd = f->fd, .events = POLLOUT};
  if (!*end || (f->awaited && !thrumi_load(f->awaited))) *end = now + THRUMI_FILE_PATIENCE;
  QUIETLY(poll(&full, 1, 20));
  return now < *end;
}

static void write_all(struct thrumi_trace_file *f, const void *bytes, size_t size) {
  int64_t end = 0;
  for (size_t done = 0; done < size && !f->error;) {
    ssize_t n = thrumi_os.write(f->fd, (const char *)bytes + done, size - done);
    if (n > 0) done += (size_t)n, end = 0;
    if (n == -EAGAIN && await_room(f, &end)) continue;
    if (n <= 0 && n != -EINTR) fail(f, n == 0 ? -EIO : n == -EAGAIN ? -ETIMEDOUT : (int)n);
  }
}

static void flush_side(struct thrumi_trace_file *f) {
  write_all(f, f->side_bytes, f->side);
  if (!f->error) f->bytes += f->side;
  f->side = 0;
}

static void append(struct thrumi_trace_file *f, const void *bytes, size_t size) {
  memcpy(f->side_bytes + f->side, bytes, size);
  f->side += size;
}

/* A block with a text, or without one, beside the events. */
static void add(struct thrumi_trace_file *f, enum thrumi_trace_block_kind kind, uint64_t a, uint64_t b,
                const char *text) {
  size_t length = text ? strnlen(text, THRUMI_FILE_TEXT) : 0;
  struct thrumi_trace_block block = {.kind = kind, .bytes = (uint32_t)length, .a = a, .b = b};
  if (f->side + sizeof block + length + padding(length) > THRUMI_FILE_SIDE) flush_side(f);
  append(f, &block, sizeof block);
  append(f, text ? text : zeros, length);
  append(f, zeros, padding(length));
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------- */

void thrumi_file_begin(struct thrumi_trace_file *f, int fd, const struct thrumi_trace_header *header) {
  f->fd = fd;
  f->error = 0;
  f->awaited = NULL;
  f->bytes = f->events = f->lost = 0;
  f->strings = THRUMI_STRINGS;
  f->gathered = 0;
  f->side = 0;
  memset(f->told, 0, sizeof f->told);
  append(f, header, sizeof *header);
  flush_side(f);
}

uint32_t thrumi_file_string(struct thrumi_trace_file *f, const char *text) {
  if (f->strings == UINT32_MAX) return 0;
  add(f, THRUMI_TRACE_STRING, ++f->strings, 0, text);
  return f->strings;
}

void thrumi_file_tell(struct thrumi_trace_file *f, uint32_t number) {
  const char *text = thrumi_string(number);
  if (!text) return;
  uint8_t *byte = &f->told[(number - 1) / 8], bit = (uint8_t)(1u << (number - 1) % 8);
  if (*byte & bit) return;
  *byte |= bit;
  add(f, THRUMI_TRACE_STRING, number, 0, text);
}

void thrumi_file_thread(struct thrumi_trace_file *f, uint64_t thread, const char *name) {
  add(f, THRUMI_TRACE_THREAD, thread, thrumi_file_string(f, name), NULL);
}

void thrumi_file_object(struct thrumi_trace_file *f, uint64_t address, const char *text) {
  uint32_t number = thrumi_file_string(f, text);
  if (number) add(f, THRUMI_TRACE_OBJECT, address, number, NULL);
}

/* ---- Events ---------------------------------------------------------------------------------------------------- */

void thrumi_file_ring(struct thrumi_trace_file *f, uint32_t ring, uint64_t lost) {
  f->head = (struct thrumi_trace_block){.kind = THRUMI_TRACE_EVENTS, .a = ring, .b = lost};
}

void thrumi_file_flush(struct thrumi_trace_file *f) {
  flush_side(f);
  if (!f->gathered && !f->head.b) return;
  f->head.bytes = f->gathered * (uint32_t)sizeof(struct thrumi_event);
  f->block->head = f->head;
  write_all(f, f->block, sizeof f->head + f->head.bytes);
  if (!f->error) {
    f->bytes += sizeof f->head + f->head.bytes;
    f->events += f->gathered;
    f->lost += f->head.b;
  }
  f->gathered = 0;
  f->head.b = 0;
}

void thrumi_file_end(struct thrumi_trace_file *f) {
  add(f, THRUMI_TRACE_END, f->events, f->lost, NULL);
  flush_side(f);
}
