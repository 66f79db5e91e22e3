/* Names of segments: in the kernel's abstract socket namespace, where they end with the process that gave them.
 *
 * A segment's memory needs no name: it lives as long as anybody has it. A name is a way for an unrelated process to ask for the
 * descriptor. Whoever names a segment listens on an abstract socket, "\0thrum/UID/NAME"; who attaches connects to it and gets the
 * descriptor. So
 *  - a name that is taken is refused by the kernel (EADDRINUSE), and one that is not there, too (ECONNREFUSED);
 *  - however its process ends, exec and SIGKILL included, the kernel closes the socket, and the name is gone: nothing is left
 *    behind, nobody has to clean up, and nobody can remove what others still use;
 *  - attaching makes nobody an owner.
 *
 * Who listens. A kernel thread for each name, in accept(2), with a table of descriptors of its own (close_range(2) with
 * CLOSE_RANGE_UNSHARE): the listening socket and its own descriptor of the memory are in no other table. So no child has a copy of the
 * socket, by whatever kind of fork and at whatever moment: a copy would keep the name alive, with nobody to answer. Nor can the
 * program close it by accident (closefrom), and it holds no descriptor of the program's open.
 *
 * Taking a name away. `named` in the segment's header is the truth:
 *
 *   word                    meaning                              written by
 *   THRUMI_NAME_NONE        it has no name                       -
 *   THRUMI_NAME_GIVEN       it has the name `name`               who named it, when it listens; once in a segment's life
 *   THRUMI_NAME_TAKEN_AWAY  it had                               who unlinks it, from GIVEN: the others are told -ENOENT
 *
 * Who has made it TAKEN_AWAY connects, whichever process that is: the listener looks at the word whenever it has accepted, closes its
 * socket when it is TAKEN_AWAY, and then the connection. At the connection's end the name is free. Who attaches looks at the word, too,
 * when it has mapped the segment.
 *
 * Rejected. A file in /dev/shm and a process that removes it when the last of a family is gone (Python's resource tracker): that process
 * must be started by a program with threads, be seen by nobody's wait(2), survive what its family does not, be started again when it is
 * killed, know who uses what, and still leaves the file behind when both are killed. The same with a lock on the file (flock) that says
 * whether it is in use: somebody must come along to look. Both keep a name after its process's exit, and
 * so would have to be told apart from what is merely forgotten. The price of sockets: attaching asks the process that gave the name,
 * so it waits while that one is stopped; and who shares /dev/shm but not the network namespace cannot find the name. */
#ifndef THRUMI_NAME_H
#define THRUMI_NAME_H

#include <process/segment.h>
#include <thrum/base.h>

enum thrumi_named { THRUMI_NAME_NONE, THRUMI_NAME_GIVEN, THRUMI_NAME_TAKEN_AWAY };

/* 0, -EINVAL: "", or a slash behind the first character; -ENAMETOOLONG. A slash at the beginning counts for nothing. */
int thrumi_name_check(const char *name);

/* Names a segment that has no name and that nobody else knows. -EEXIST; -EAGAIN, -EMFILE, -ENOMEM. Outside; blocks the kernel thread
 * for some switches. */
int thrumi_name_give(struct thrumi_segment *segment, const char *name);

/* Takes the name away. -ENOENT: it has none. Outside; blocks the kernel thread until the name is free, 5 s at most. */
int thrumi_name_take_away(struct thrumi_segment *segment);

/* A new descriptor of the segment with that name. -ENOENT, -EACCES: another user's, -ETIMEDOUT, -ECANCELED. Switches. */
int thrumi_name_find(const char *name, thrum_duration timeout);

void thrumi_name_fork(void); /* in the child of a fork */

#endif
