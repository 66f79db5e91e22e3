/* A manager
 *
 * Processes share nothing, and these four know no more of each other than an address. What they have in common is kept by a fifth, the
 * manager: a queue of words to be counted, and a map of the counts. Each takes words until there are none, and adds one to the count of
 * each.
 *
 * To add one is to look and to set, and somebody may come in between. With Python's Manager().dict() the other one's change is lost then:
 * counts[word] += 1 are two calls. Here a value has a version, and set_if changes it only as long as it is the version that was seen.
 *
 * One of the four is a mean one: it takes the lock that guards nothing but the printing, and dies. The next one is told so, once, and
 * goes on. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thrum.h>

enum { PROCESSES = 4, ROUNDS = 60 };

static const char *const words[] = {"one", "fish", "two", "fish", "red", "fish", "blue", "fish"};

static int count_one(thrum_manager_map *counts, const char *word, size_t size) {
  int error;
  do {
    uint64_t version = 0;
    long count = 0;
    void *data;
    error = thrum_manager_map_get(counts, word, size, &data, NULL, &version);
    if (error == 0) {
      memcpy(&count, data, sizeof count);
      free(data);
    } else if (error != -ENOENT) {
      return error;
    }
    count++;
    error = thrum_manager_map_set_if(counts, word, size, &count, sizeof count, &version);
  } while (error == -ESTALE);
  return error;
}

THRUM_TASK(count) {
  thrum_manager *m;
  thrum_manager_queue queue;
  thrum_manager_map counts;
  char word[16];
  int error = thrum_manager_connect(&m, in, NULL);
  if (!error) error = thrum_manager_queue_open(&queue, m, "words", 20);
  if (!error) error = thrum_manager_map_open(&counts, m, "counts");
  for (ssize_t n; !error && (n = thrum_manager_queue_get(&queue, word, sizeof word)) >= 0;)
    error = count_one(&counts, word, (size_t)n);
  return error;
}

THRUM_TASK(take_and_die) {
  thrum_manager *m;
  thrum_manager_lock lock;
  int error = thrum_manager_connect(&m, in, NULL);
  if (!error) error = thrum_manager_lock_open(&lock, m, "printing");
  if (!error) error = thrum_manager_lock_acquire(&lock);
  if (!error) kill(getpid(), SIGKILL);
  return error;
}

static void start_all(thrum_process **processes, const char *address) {
  for (int i = 0; i < PROCESSES; i++) {
    const thrum_task *task = i ? &count : &take_and_die;
    if (thrum_process_start(&processes[i], NULL, task, address, strlen(address) + 1) != 0) exit(1);
  }
}

static void end_all(thrum_process **processes) {
  for (int i = 0; i < PROCESSES; i++) {
    thrum_process_join(processes[i], NULL);
    thrum_process_release(processes[i]);
  }
}

static void tell(thrum_manager_map *counts, const char *word) {
  void *data;
  long n = 0;
  if (thrum_manager_map_get(counts, word, strlen(word), &data, NULL, NULL) == 0) {
    memcpy(&n, data, sizeof n);
    free(data);
  }
  thrum_print("%s: %ld\n", word, n);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_process *processes[PROCESSES];
  thrum_manager *m;
  thrum_manager_queue queue;
  thrum_manager_map counts;
  thrum_manager_lock printing;
  if (thrum_manager_start(&m, NULL) != 0) return 1;
  if (thrum_manager_queue_open(&queue, m, "words", 20) != 0) return 1;
  if (thrum_manager_map_open(&counts, m, "counts") != 0) return 1;
  if (thrum_manager_lock_open(&printing, m, "printing") != 0) return 1;

  start_all(processes, thrum_manager_address(m));
  for (int i = 0; i < ROUNDS * 8; i++) thrum_manager_queue_put(&queue, words[i % 8], strlen(words[i % 8]));
  thrum_manager_queue_shutdown(&queue, false);
  end_all(processes);

  for (int i = 0; i < 2; i++) {
    int error = thrum_manager_lock_acquire(&printing);
    thrum_print("the lock: %s\n", error == -EOWNERDEAD ? "held, and its holder has died" : "held");
    thrum_manager_lock_release(&printing);
  }
  tell(&counts, "one");
  tell(&counts, "fish");
  thrum_manager_close(m);
  return 0;
}
