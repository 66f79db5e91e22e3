/* The temporary folder: see folder.h. */
#include "folder.h"

#include "../command.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>

static char *folder;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status, (void)type, (void)walk;
  return remove(path);
}

/* Compilers may have left more than they were asked for. */
void folder_remove(void) {
  if (folder) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  free(folder);
  folder = NULL;
}

int folder_make(void) {
  const char *in = getenv("TMPDIR");
  if (!in || !*in) in = "/tmp";
  if (asprintf(&folder, "%s/thrum-run-XXXXXX", in) < 0) return fail("no memory");
  if (mkdtemp(folder)) return atexit(folder_remove) == 0 ? 0 : fail("no memory");
  free(folder);
  folder = NULL;
  return fail("%s: no temporary folder can be made there: %s; TMPDIR names another place", in,
              strerror(errno));
}

char *folder_path(const char *name) {
  char *path;
  if (asprintf(&path, "%s/%s", folder, name) < 0) exit(fail("no memory"));
  return path;
}
