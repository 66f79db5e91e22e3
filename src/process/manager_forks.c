/* In the child of a fork the sockets of managers and clients are the parent's. A copy that the child kept would hold them open when the
 * parent is gone: the other end would not see its end, and what a dead client held would be held on. So the child puts /dev/null in the
 * place of each: their numbers stay taken, since handles know them.
 *
 * Slots are never given back, and are read by the child whatever moment the parent was forked at:
 *
 *   word    value     meaning                                             written by
 *   fd      0         free
 *           -1        taken, and not filled in yet                        who takes it, by a swap of 0
 *           fd + 1    a descriptor, while it is the socket with `inode`   who took it; and 0, later than it is closed
 *
 * A child that finds another file under the number leaves it alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/os.h>
#include <process/manager.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 64 };

struct thrumi_fork_slot {
  _Atomic int fd;
  ino_t inode;
};

struct chunk {
  struct thrumi_fork_slot slots[SLOTS];
  struct chunk *_Atomic next;
};

static struct chunk first;

static struct thrumi_fork_slot *take_in(struct chunk *chunk) {
  for (int i = 0; i < SLOTS; i++) {
    int none = 0;
    if (thrumi_load(&chunk->slots[i].fd) == 0 && thrumi_cas(&chunk->slots[i].fd, &none, -1))
      return &chunk->slots[i];
  }
  return NULL;
}

/* The next chunk, which is made if need be. NULL: no memory. */
static struct chunk *next_of(struct chunk *chunk) {
  struct chunk *next = thrumi_load(&chunk->next);
  if (next) return next;
  struct chunk *made = thrumi_os.allocate(sizeof *made);
  if (!made || thrumi_cas(&chunk->next, &next, made)) return made;
  thrumi_os.free(made);
  return next;
}

struct thrumi_fork_slot *thrumi_manager_note(int fd) {
  struct thrumi_fork_slot *slot = NULL;
  struct stat file;
  if (fstat(fd, &file) != 0) return NULL;
  for (struct chunk *chunk = &first; chunk && !slot; chunk = slot ? chunk : next_of(chunk))
    slot = take_in(chunk);
  if (!slot) return NULL;
  slot->inode = file.st_ino;
  thrumi_store(&slot->fd, fd + 1);
  return slot;
}

void thrumi_manager_forget(struct thrumi_fork_slot *slot) {
  if (slot) thrumi_store(&slot->fd, 0);
}

static void replace(int fd, ino_t inode, int nothing) {
  struct stat file;
  if (fstat(fd, &file) == 0 && S_ISSOCK(file.st_mode) && file.st_ino == inode) dup3(nothing, fd, O_CLOEXEC);
}

void thrumi_managers_fork(void) {
  int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return;
  for (struct chunk *chunk = &first; chunk; chunk = thrumi_load(&chunk->next))
    for (int i = 0; i < SLOTS; i++) {
      int fd = thrumi_load(&chunk->slots[i].fd);
      if (fd > 0) replace(fd - 1, chunk->slots[i].inode, nothing);
      thrumi_store(&chunk->slots[i].fd, 0);
    }
  close(nothing);
}
