/* What objects are called in dumps and reports.
 *
 * An object that threads wait for is a few bytes and has no room for a name. Names are kept aside, by address: the text is
 * copied, and dropped by the object's _destroy. An object that was given none goes by the symbol of the variable that it is, or
 * lies in; else by the place where it was acquired first, if somebody watched then; else by its address. */
#ifndef THRUMI_OBJECT_H
#define THRUMI_OBJECT_H

#include <thrum/sync/inline.h>
#include <thrum/thread.h>

enum { THRUMI_OBJECT_TEXT = 320, THRUMI_OBJECT_CHAINS = 1024 };

/* Writes the name, as `"table"`, `forks+0x8`, `first taken in f, file.c:12`, or `0x7f0000000000`. Outside. */
void thrumi_object_describe(const void *object, char *text, size_t size);

/* The same as an argument: thrumi_fatal("... lock %s ...", THRUMI_NAME_OF(lock)). Until the end of the block. */
#define THRUMI_NAME_OF(object) thrumi_object_text(object, (char[THRUMI_OBJECT_TEXT]){0})
const char *thrumi_object_text(const void *object, char text[THRUMI_OBJECT_TEXT]);

/* Copies the name that the object was given. False: none. Inside. */
bool thrumi_object_given_name(const void *object, char name[THRUM_NAME_MAX]);

/* Those of a kind ("queue") that were given names, of one chain of the table: a little at a time. Inside. */
size_t thrumi_objects_of_kind(uint32_t chain, const char *kind, const void **out, size_t room);

/* The object is destroyed: drops its name, and what is known of it otherwise. Outside. */
void thrumi_object_forget(const void *object);

void thrumi_object_fork(void);

#endif
