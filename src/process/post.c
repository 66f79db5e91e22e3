/* Rings, parcels and wake-ups between an executor and one of its processes: see post.h. */
#include <process/post.h>

#include <string.h>
#include <sys/mman.h>
#include <thrum/io/file.h>
#include <thrum/time.h>
#include <unistd.h>

void thrumi_post_open(struct thrumi_post *post, struct thrumi_board *board, int side, thrum_conn *conn) {
  memset(post, 0, sizeof *post);
  post->board = board;
  post->out = &board->flow[side];
  post->in = &board->flow[!side];
  post->conn = conn;
  post->keep = UINT64_MAX;
}

void thrumi_post_keep(struct thrumi_post *post, const void *record) {
  uint64_t offset = record ? (uint64_t)((const unsigned char *)record - post->out->bytes) : 0;
  uint64_t back = (post->written - offset) % THRUMI_RING;
  post->keep = record ? post->written - (back ? back : THRUMI_RING) : UINT64_MAX;
}

void thrumi_post_close(struct thrumi_post *post) {
  for (uint32_t n = post->parcel_count; n > 0; n--) thrum_close(thrumi_post_take_parcel(post));
  thrum_conn_close(post->conn);
  if (post->board) munmap(post->board, sizeof *post->board);
  memset(post, 0, sizeof *post);
}

/* ---- Writing ------------------------------------------------------------------------------------------------------ */

/* How many bytes of filler there have to be before a record of `size`; true: there is room for both. */
static bool has_room(struct thrumi_post *post, size_t size, size_t *filler) {
  uint64_t head = thrumi_load(&post->out->head), used = post->written - head;
  if (used > THRUMI_RING) {
    post->broken = true;
    return false;
  }
  uint64_t kept = post->keep == UINT64_MAX ? 0 : post->written - post->keep;
  if (kept > used) used = kept;
  size_t to_end = THRUMI_RING - post->written % THRUMI_RING;
  *filler = size > to_end ? to_end : 0;
  return *filler + size <= THRUMI_RING - used;
}

static struct thrumi_record *at(struct thrumi_flow *flow, uint64_t position) {
  return (struct thrumi_record *)(void *)(flow->bytes + position % THRUMI_RING);
}

/* The filler counts with the record, when tail is moved. */
void *thrumi_post_room(struct thrumi_post *post, size_t size) {
  size_t filler;
  if (!has_room(post, thrumi_record_round(size), &filler)) return NULL;
  if (filler) {
    struct thrumi_record *record = at(post->out, post->written);
    record->kind = record->flags = 0;
    record->size = (uint32_t)filler;
    post->written += filler;
  }
  return at(post->out, post->written);
}

void thrumi_post_write(struct thrumi_post *post, size_t size, uint32_t kind, uint32_t flags) {
  struct thrumi_record *record = at(post->out, post->written);
  thrumi_store_relaxed(&record->state, (uint32_t)THRUMI_RECORD_WAITING);
  record->kind = kind;
  record->flags = flags;
  record->size = (uint32_t)thrumi_record_round(size);
  post->written += record->size;
  thrumi_store(&post->out->tail, post->written);
}

/* Does not wait: if the socket is full, there is what wakes the other one. */
static void ring(struct thrumi_post *post) {
  int error = thrum_conn_send_for(post->conn, "", 0, 0);
  if (error && error != -ETIMEDOUT) post->gone = true;
}

/* Behind a store of what the other one may sleep for. */
static void wake_if(struct thrumi_post *post, _Atomic uint32_t *sleeps) {
  atomic_thread_fence(
      memory_order_seq_cst); /* F2: that store, then this load; F1 is in thrumi_post_sleep, sleep_for_room */
  if (thrumi_load_relaxed(sleeps) && thrumi_swap(sleeps, 0u)) ring(post);
}

void thrumi_post_ring(struct thrumi_post *post) { wake_if(post, &post->out->reader_sleeps); }

void thrumi_post_stop(struct thrumi_post *post) {
  thrumi_store(&post->board->stop, 1u);
  thrumi_post_ring(post);
}

/* ---- Parcels -------------------------------------------------------------------------------------------------------- */

int thrumi_post_parcel(struct thrumi_post *post, const struct iovec *pieces, int count) {
  int file = thrumi_memory_file("thrum-parcel", pieces, count);
  if (file < 0) return file;
  int error = thrum_conn_send_fd_for(post->conn, file, 0);
  close(file);
  if (error == -EPIPE || error == -ECONNRESET) post->gone = true;
  return error == -ETIMEDOUT || error == -ETOOMANYREFS ? -EAGAIN : error;
}

/* Takes what came over the connection next: a parcel, or a wake-up, which has served. 0; -EMFILE: a parcel, which stays there; others: nothing. */
static int take_one(struct thrumi_post *post, uint32_t parcels) {
  int fd = thrum_conn_recv_fd_for(post->conn, 0);
  if (fd >= 0 && post->parcel_count < parcels) {
    post->parcels[(post->parcel_first + post->parcel_count++) % THRUMI_PARCELS] = fd;
    return 0;
  }
  if (fd >= 0) {
    thrum_close(fd);
    post->broken = true;
    return -EPROTO;
  }
  int error = fd == -ENOMSG ? (int)thrum_conn_recv_for(post->conn, NULL, 0, 0) : fd;
  if (error && error != -ETIMEDOUT && error != -EMFILE) post->gone = true;
  return error;
}

int thrumi_post_take_parcel(struct thrumi_post *post) {
  int error = 0;
  while (!post->parcel_count && !error) error = take_one(post, 1);
  if (!post->parcel_count) return error == -EMFILE ? error : -EPROTO;
  int fd = post->parcels[post->parcel_first];
  post->parcel_first = (post->parcel_first + 1) % THRUMI_PARCELS;
  post->parcel_count--;
  return fd;
}

struct thrumi_bytes thrumi_parcel_map(int fd, uint64_t size) {
  struct thrumi_bytes bytes = thrumi_bytes_receive(fd, size);
  thrum_close(fd);
  return bytes;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------------- */

/* Whether the record, as the other one wrote it, lies within what has been written, and within the ring. */
static bool is_sound(const struct thrumi_post *post, uint32_t size, uint64_t there) {
  return size >= sizeof(struct thrumi_record) && size % THRUMI_RECORD_ALIGN == 0 && size <= there &&
         size <= THRUMI_RING - post->read % THRUMI_RING;
}

/* Behind a store of head. */
static void pass(struct thrumi_post *post) {
  post->read += post->current;
  thrumi_store(&post->in->head, post->read);
  wake_if(post, &post->in->writer_sleeps);
}

struct thrumi_record *thrumi_post_next(struct thrumi_post *post) {
  for (uint64_t there; (there = thrumi_load(&post->in->tail) - post->read) != 0;) {
    struct thrumi_record *record = at(post->in, post->read);
    post->current = *(volatile uint32_t *)&record->size; /* read once: it may change under us */
    if (there > THRUMI_RING || !is_sound(post, post->current, there)) {
      post->broken = true;
      return NULL;
    }
    if (record->kind) return record;
    pass(post);
  }
  return NULL;
}

void thrumi_post_done(struct thrumi_post *post) { pass(post); }

/* The executor says it. What stands there is nothing to itself: a process that has gone wild may write that, too. */
static bool is_stopped(const struct thrumi_post *post) {
  return post->in == &post->board->flow[0] && thrumi_load(&post->board->stop);
}

/* ---- Sleeping ------------------------------------------------------------------------------------------------------------ */

bool thrumi_post_sleep(struct thrumi_post *post) {
  thrumi_store(&post->in->reader_sleeps, 1u);
  atomic_thread_fence(memory_order_seq_cst); /* F1: this store, then the loads; F2 is in wake_if */
  bool sleeps = thrumi_load(&post->in->tail) == post->read && !is_stopped(post);
  if (!sleeps) thrumi_store(&post->in->reader_sleeps, 0u);
  return sleeps;
}

bool thrumi_post_sleep_for_room(struct thrumi_post *post, size_t size) {
  size_t filler;
  thrumi_store(&post->out->writer_sleeps, 1u);
  atomic_thread_fence(memory_order_seq_cst); /* F1: likewise */
  bool sleeps = !has_room(post, thrumi_record_round(size), &filler) && !post->broken;
  if (!sleeps) thrumi_store(&post->out->writer_sleeps, 0u);
  return sleeps;
}

void thrumi_post_wake(struct thrumi_post *post, bool rung, uint32_t parcels) {
  thrumi_store(&post->in->reader_sleeps, 0u);
  thrumi_store(&post->out->writer_sleeps, 0u);
  if (rung && take_one(post, parcels) == -EMFILE) thrum_sleep(THRUM_MS(1)); /* it stays readable */
}
