/* The contention profile: for each lock, how often it was acquired, how often and how long threads waited for it, and behind whom
 * longest: where those had acquired it, and which threads they were. */
#ifndef THRUMI_PROFILE_H
#define THRUMI_PROFILE_H

#include <check/watched.h>

/* The object is held by somebody else, and the caller waits. Inside. */
void thrumi_profile_waits(struct thrumi_acquire *a);

/* It is the caller's. Inside. */
void thrumi_profile_ends(const struct thrumi_acquire *a);

/* To the log. Outside. */
void thrumi_profile_at_exit(void);

void thrumi_profile_fork(void);

#endif
