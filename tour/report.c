/* What a pass over a tree has found: totals, the list, and the comparison of two passes. */
#include "tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

static void add(struct totals *t, const struct node *node, size_t prefix) {
  const char *name = node->path + prefix;
  t->kinds[node->kind]++;
  if (node->kind == UNREADABLE && !t->unreadable) t->unreadable = node;
  if (node->kind == FILE_READ) {
    t->bytes += (size_t)node->stat.st_size;
    t->words += node->words;
    t->crc = (uint32_t)crc32(t->crc, (const Bytef *)name, (uInt)strlen(name));
    t->crc = (uint32_t)crc32(t->crc, (const Bytef *)&node->crc, sizeof node->crc);
  }
  for (size_t i = 0; i < node->count; i++) add(t, &node->children[i], prefix);
}

struct totals tree_totals(const struct node *root) {
  struct totals t = {0};
  add(&t, root, strlen(root->path));
  return t;
}

void tree_list(const struct node *root) {
  if (root->kind == FILE_READ)
    printf("%08" PRIx32 " %12jd %s\n", root->crc, (intmax_t)root->stat.st_size, root->path);
  for (size_t i = 0; i < root->count; i++) tree_list(&root->children[i]);
}

void totals_print_left_out(const struct totals *t) {
  printf(
      "left out: %zu symbolic links, %zu pipes, sockets and devices, %zu on other file systems, %zu unreadable\n",
      t->kinds[SYMLINK], t->kinds[SPECIAL], t->kinds[ELSEWHERE], t->kinds[UNREADABLE]);
  if (t->unreadable)
    printf("the first unreadable: %s: %s\n", t->unreadable->path, strerror(t->unreadable->error));
}

static int touched(const struct stat *a, const struct stat *b) {
  return a->st_ino != b->st_ino || a->st_size != b->st_size || a->st_ctim.tv_sec != b->st_ctim.tv_sec ||
         a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
}

static size_t compare_node(const struct node *a, const struct node *b, size_t *changed) {
  if (a->kind == FOLDER && b->kind == FOLDER) return tree_compare(a, b, changed);
  if (a->kind == b->kind && a->crc == b->crc) return 0;
  if (!touched(&a->stat, &b->stat)) return 1;
  ++*changed;
  return 0;
}

/* The children of both are sorted by name: a merge finds those that only one of them has. */
size_t tree_compare(const struct node *a, const struct node *b, size_t *changed) {
  size_t wrong = 0, i = 0, j = 0;
  while (i < a->count || j < b->count) {
    int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->children[i].path, b->children[j].path);
    if (order == 0)
      wrong += compare_node(&a->children[i], &b->children[j], changed);
    else
      ++*changed;
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return wrong;
}
