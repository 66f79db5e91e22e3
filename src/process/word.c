/* Words: what a child says over its channel. */
#include <process/record.h>
#include <unistd.h>

int thrumi_word_send(int channel, struct thrumi_word word, const void *bytes) {
  struct iovec whole = {(void *)(uintptr_t)bytes, (size_t)word.size};
  struct iovec pieces[] = {{&word, sizeof word}, whole};
  if (word.size <= THRUMI_MESSAGE_SHORT) return thrumi_message_send(channel, pieces, 2, NULL, 0);
  int file = thrumi_memory_file("thrum-result", &whole, 1);
  if (file < 0) return file;
  int error = thrumi_message_send_file(channel, pieces, 1, file);
  close(file);
  return error;
}

int thrumi_word_read(int channel, struct thrumi_word *word, struct thrumi_bytes *bytes) {
  struct {
    struct thrumi_word word;
    char text[THRUMI_MESSAGE_SHORT];
  } buffer;
  int file = -1;
  struct thrumi_message message = {&buffer, sizeof buffer, &file, 1};
  int error = thrumi_message_look(channel, &message);
  if (!error || error == -EMSGSIZE) thrumi_message_drop(channel);
  if (error) return error;
  *word = buffer.word;
  if (message.size < sizeof *word || (!message.fd_count && message.size - sizeof *word < word->size))
    error = -EPROTO;
  else
    *bytes = message.fd_count ? thrumi_bytes_receive(file, word->size)
                              : thrumi_bytes_copy(buffer.text, (size_t)word->size);
  if (message.fd_count) close(file);
  return error ? error : bytes->data ? 0 : -ENOMEM;
}

int thrumi_process_collect(struct thrum_process *p) {
  for (;;) {
    struct thrumi_word word = {0};
    struct thrumi_bytes bytes = {0};
    int error = p->channel < 0 ? -EPIPE : thrumi_word_read(p->channel, &word, &bytes);
    if (error && (error != -ENOMEM || !word.kind)) return error == -EMFILE ? error : 0;
    if (word.kind == THRUMI_WORD_REPORT && !p->has_report) {
      p->has_report = true;
      p->report = word;
      p->result = bytes;
      continue;
    }
    if (word.kind == THRUMI_WORD_LAST) {
      p->said_last = true;
      p->last = word;
    }
    thrumi_bytes_free(&bytes);
  }
}
