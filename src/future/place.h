/* A pool's thread that waits for a future lends its place to another one: see pool.c. */
#ifndef THRUMI_PLACE_H
#define THRUMI_PLACE_H

struct thrumi_member;

struct thrumi_place {
  struct thrumi_member *member; /* NULL: the caller is no pool's, or has lent its place already */
};

/* Outside, before a wait. 0, or an error: there would be nobody to run what is queued, and no place was lent. */
int thrumi_place_lend(struct thrumi_place *place);
void thrumi_place_take_back(struct thrumi_place *place);

#endif
