/* A folder and all that is below it, with a checksum for each file: the main job of the tour, chapter 0. */
#ifndef TOUR_TREE_H
#define TOUR_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

enum kind {
  UNSEEN, /* nobody has looked at it yet */
  FOLDER,
  FILE_READ,  /* the one kind that has a checksum */
  SYMLINK,    /* not followed, so that nothing is read twice and no circle is walked */
  SPECIAL,    /* pipes, sockets, devices: nothing that ends */
  ELSEWHERE,  /* another file system */
  UNREADABLE, /* error says why */
  WAITING,    /* a file that nobody has begun to read: chapter 6 */
  CUT_OFF,    /* begun, and left when the program was stopped */
  KINDS
};

/* How one pass over the tree is made, and how far it has come. */
struct job {
  bool threads; /* a thread for each folder, file and piece of a large file; or one for all */
  atomic_size_t files;
  atomic_size_t bytes;
  atomic_size_t started; /* threads */
};

struct node {
  struct job *job;
  char *path;
  struct stat stat;
  enum kind kind;
  int error;
  uint32_t crc;
  size_t words;          /* chapter 6 counts them */
  struct node *children; /* by name */
  size_t count;
};

struct totals {
  size_t kinds[KINDS];
  size_t bytes, words;
  uint32_t crc;                  /* of all paths and checksums in order */
  const struct node *unreadable; /* the first of them */
};

/* Makes an all-zero node the root for what somebody has named, which may be any kind of thing; a symbolic link is followed.
 * Of a folder it stores the children, which are UNSEEN yet. 0 or a negative errno. */
int tree_open(struct node *root, const char *path);

/* Looks at a child: stores its stat, its kind and, of a folder, its children. What is on another device than its
 * parent is ELSEWHERE. */
void tree_look(struct node *node, dev_t device);

/* Reads all below `path` and returns once it is done; 0, or a negative errno for the folder itself. */
int tree_read(struct node *root, const char *path, struct job *job);
void tree_free(struct node *root);

struct totals tree_totals(const struct node *root);
void tree_list(const struct node *root);

/* Prints what was left out, and why. */
void totals_print_left_out(const struct totals *totals);

/* Compares two passes. Returns how many files have two checksums though nobody touched them; *changed counts
 * what was written, came or went in between. */
size_t tree_compare(const struct node *a, const struct node *b, size_t *changed);

#endif
