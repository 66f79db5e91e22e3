/* A program that holds libthrum.a and loads an object that needs libthrum.so has two runtimes, each with workers, a signal and an end
 * of the program of its own. Their symbols are hidden from each other, or the one's are bound to the other's; only the loader
 * knows of both. So each copy has a note in the headers of its object (core/mark.S), which leads to a word:
 *
 *   thrumi_copy_started   0   this copy is there, and has never been used
 *                         1   it has started; written by itself, and in a child of fork as in the parent
 *
 * A copy that starts sets its word and then looks at all others'; the words are set and looked at in one order, so that of two that
 * start at once one at least sees the other. A copy that is never used does no harm. Not seen are copies in a namespace of
 * dlmopen(3), and those of versions without the note.
 *
 * Rejected: dlsym (copies may be hidden: RTLD_LOCAL, or a program that exports nothing), a variable of the environment (programs that
 * are executed inherit it), a descriptor with a name (to be found in /proc, if there), the former handler of the preemption signal (each
 * copy may have another signal). */
#define _GNU_SOURCE
#include <core/atomic.h>
#include <core/copies.h>
#include <core/fatal.h>

#include <elf.h>
#include <link.h>
#include <string.h>

enum { STARTED_AT = 1, NAME_SIZE = sizeof "thrum" };

extern _Atomic uint32_t thrumi_copy_started;

struct search {
  bool not_first;
  const char *own, *other; /* NULL: not found */
};

static size_t rounded(size_t size, size_t to) { return (size + to - 1) / to * to; }

/* The word that a segment of notes leads to; NULL: none. */
static _Atomic uint32_t *find_word(const char *at, size_t size, size_t align) {
  while (size >= sizeof(ElfW(Nhdr))) {
    const ElfW(Nhdr) *note = (const void *)at;
    size_t head = rounded(sizeof *note + note->n_namesz, align);
    size_t whole = head + rounded(note->n_descsz, align);
    const char *name = at + sizeof *note, *described = at + head;
    if (whole > size) return NULL;
    bool ours = note->n_namesz == NAME_SIZE && memcmp(name, "thrum", NAME_SIZE) == 0;
    if (ours && note->n_type == STARTED_AT && note->n_descsz == sizeof(int32_t)) {
      int32_t distance;
      memcpy(&distance, described, sizeof distance);
      return (_Atomic uint32_t *)((uintptr_t)described + (uintptr_t)(intptr_t)distance);
    }
    at += whole;
    size -= whole;
  }
  return NULL;
}

/* The program comes first, by no name. */
static int visit(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  struct search *search = arg;
  const char *name = search->not_first ? info->dlpi_name : "the program";
  search->not_first = true;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type != PT_NOTE) continue;
    _Atomic uint32_t *word =
        find_word((const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz, p->p_align == 8 ? 8 : 4);
    if (word == &thrumi_copy_started)
      search->own = name;
    else if (word && atomic_load(word))
      search->other = name;
  }
  return 0;
}

void thrumi_copies_start(void) {
  struct search search = {0};
  atomic_store(&thrumi_copy_started, 1);
  dl_iterate_phdr(visit, &search);
  if (!search.other) return;
  thrumi_fatal(
      "two copies of thrum in one process: %s has one that runs, and %s one that would start; link all of them with "
      "libthrum.so, or the program alone with libthrum.a",
      search.other, search.own ? search.own : "an object");
}
