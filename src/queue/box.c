/* Boxes: blocks of memory for items of more than THRUMI_INLINE_MAX bytes, of which the channel then holds the addresses.
 *
 * So whatever is copied under the channel's lock is small, and large items are copied outside of the runtime, where a
 * thread may be preempted. Nobody ever writes a large item into the frame of another thread: who gets it does that itself.
 * A box begins with the address of the next free one. Some free boxes stay with the channel.
 *
 * Rejected: to copy from frame to frame without a lock. It saves one copy where both ends meet, but the queue then has items
 * that are not there yet, which gets must pass over or wait for, and a putter that is preempted in its copy
 * holds all of them up. */
#include <queue/channel.h>

enum { BOXES_KEPT = 64 };

static void *take_free(struct thrumi_channel *c) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_channel_lock(c);
  void *box = c->boxes;
  if (box) {
    c->boxes = *(void **)box;
    c->box_count--;
    thrumi_rely_on(box);
  }
  thrumi_channel_unlock(c);
  thrumi_leave(k);
  return box;
}

void *thrumi_box_make(struct thrumi_channel *c, const void *item) {
  void *box = take_free(c);
  if (!box) box = thrumi_os.allocate(sizeof(void *) + c->item_size);
  if (box) memcpy((char *)box + sizeof(void *), item, c->item_size);
  return box;
}

void thrumi_box_give(struct thrumi_channel *c, void *box) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_channel_lock(c);
  bool keep = c->box_count < BOXES_KEPT;
  if (keep) {
    thrumi_announce(box);
    *(void **)box = c->boxes;
    c->boxes = box;
    c->box_count++;
  }
  thrumi_channel_unlock(c);
  thrumi_leave(k);
  if (!keep) thrumi_os.free(box);
}
