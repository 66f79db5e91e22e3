/* The temporary folder of this run, which is removed at exit with all that is in it. */
#ifndef THRUM_FOLDER_H
#define THRUM_FOLDER_H

/* Makes it, in TMPDIR or else /tmp. 0, or STATUS_FAILED after a message. */
int folder_make(void);

/* The path of that name in it, allocated. */
char *folder_path(const char *name);

/* For those who end without exit(3). */
void folder_remove(void);

#endif
