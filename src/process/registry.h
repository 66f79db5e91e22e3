/* Which segments this process has mapped, and where: a table by address that is read without a lock. */
#ifndef THRUMI_REGISTRY_H
#define THRUMI_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thrumi_segment;

enum { THRUMI_SEGMENTS = 2048 }; /* at most, in a process */

/* Puts it in; or, if the same segment is mapped elsewhere already, counts one more user of that one and gives it in *there. -EMFILE. */
int thrumi_registry_add(struct thrumi_segment *segment, struct thrumi_segment **there);

/* One user less. True: that was the last one, and it is out. */
bool thrumi_registry_drop(struct thrumi_segment *segment);

/* The one in which the address lies; NULL: none. Anywhere. */
struct thrumi_segment *thrumi_segment_of(const void *address);

#endif
