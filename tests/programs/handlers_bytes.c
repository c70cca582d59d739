// Bytes that move between signal handlers and the threads that they interrupt in the middle of the same: one
// line a scenario, to be compared with plain Linux.
#include "storm.h"

#include <poll.h>
#include <sched.h>

enum { kOften = 1200, kLargest = 6000 };

// ---- messages: whole ones, in the order of each sender

struct Message {
  uint32_t mark, sender, number, bytes;
};
enum { kMark = 0x5ca1ab1e, kSenders = 4 * kKinds };
static uint32_t numbers[kSenders];
static atomic_int in_flight, wrong;
static atomic_long sent, received;

static uint8_t body(const struct Message* of, uint32_t at) {
  return (uint8_t)(of->sender * 31 + of->number * 7 + at);
}

// Never so much that a call could do a part of it: so each is whole, unless a handler comes between.
static void send_message(int kind, int most_in_flight) {
  static _Thread_local uint8_t room[kKinds][sizeof(struct Message) + kLargest];
  const int sender = who * kKinds + kind;
  struct Message head = {kMark, (uint32_t)sender, numbers[sender], draw(storm) % kLargest};
  const int all = (int)(sizeof head + head.bytes);
  if (atomic_fetch_add(&in_flight, all) + all > most_in_flight) {
    atomic_fetch_sub(&in_flight, all);
    sched_yield();
    return;
  }
  ++numbers[sender];
  memcpy(room[kind], &head, sizeof head);
  for (uint32_t i = 0; i < head.bytes; ++i) room[kind][sizeof head + i] = body(&head, i);
  if (send(pair_[0], room[kind], (size_t)all, MSG_DONTWAIT) != all) atomic_fetch_add(&wrong, 1);
  atomic_fetch_add(&sent, 1);
}

static void send_from_handler(int kind) {
  send_message(kind, 40000);
}

static void* send_in_a_storm(void* number) {
  who = (int)(intptr_t)number;
  struct Storm own;
  begin_storm(&own, 2, send_from_handler);
  while (atomic_load(&own.run) < kOften) send_message(0, 28000);
  end_storm(&own);
  return NULL;
}

static void take(const struct Message* head, const uint8_t* bytes) {
  int good = head->mark == kMark && head->sender < kSenders;
  for (uint32_t i = 0; good && i < head->bytes; ++i) good = bytes[i] == body(head, i);
  if (!good) atomic_fetch_add(&wrong, 1);
  atomic_fetch_add(&received, 1);
  atomic_fetch_sub(&in_flight, (int)(sizeof *head + head->bytes));
}

static void* read_messages(void* unused) {
  static uint8_t bytes[kLargest];
  static uint32_t next[kSenders];
  struct Message head;
  while (recv(pair_[1], &head, sizeof head, MSG_WAITALL) == sizeof head) {
    if (head.mark != kMark || head.bytes > kLargest || head.sender >= kSenders ||
        head.number != next[head.sender]++ ||
        (head.bytes > 0 && recv(pair_[1], bytes, head.bytes, MSG_WAITALL) != (ssize_t)head.bytes)) {
      atomic_fetch_add(&wrong, 1);
      break;
    }
    take(&head, bytes);
  }
  return unused;
}

static void stream_of_messages(void) {
  pthread_t senders[2], reader;
  make_pair(SOCK_STREAM);
  pthread_create(&reader, NULL, read_messages, NULL);
  for (intptr_t i = 0; i < 2; ++i) pthread_create(&senders[i], NULL, send_in_a_storm, (void*)(i + 1));
  for (int i = 0; i < 2; ++i) pthread_join(senders[i], NULL);
  shutdown(pair_[0], SHUT_WR);
  pthread_join(reader, NULL);
}

// Whoever gets there first, the thread or its handler.
static void receive_datagram(int kind) {
  static uint8_t room[kKinds][sizeof(struct Message) + kLargest];
  const ssize_t got = recv(pair_[1], room[kind], sizeof room[kind], MSG_DONTWAIT);
  const struct Message* const head = (struct Message*)room[kind];
  if (got >= (ssize_t)sizeof *head && head->bytes == (size_t)got - sizeof *head)
    take(head, room[kind] + sizeof *head);
  else if (got >= 0 || errno != EAGAIN)
    atomic_fetch_add(&wrong, 1);
}

static atomic_int over;

static void* receive_in_a_storm(void* unused) {
  struct Storm own;
  begin_storm(&own, 2, receive_datagram);
  struct pollfd asked = {pair_[1], POLLIN, 0};
  while (!atomic_load(&over) || atomic_load(&received) < atomic_load(&sent)) {
    if (poll(&asked, 1, 1) > 0) receive_datagram(0);
  }
  end_storm(&own);
  return unused;
}

static void datagrams(void) {
  pthread_t senders[2], reader;
  make_pair(SOCK_DGRAM);
  pthread_create(&reader, NULL, receive_in_a_storm, NULL);
  for (intptr_t i = 0; i < 2; ++i) pthread_create(&senders[i], NULL, send_in_a_storm, (void*)(i + 1));
  for (int i = 0; i < 2; ++i) pthread_join(senders[i], NULL);
  atomic_store(&over, 1);
  pthread_join(reader, NULL);
}

// ---- a stream that says at each place where it is: what is read tiles it

enum { kWords = 3 << 20, kPieces = 1 << 20 };
struct Piece {
  uint64_t at, bytes;
};
static struct Piece pieces[kPieces];
static atomic_int piece_count, at_end;

static uint8_t byte_at(uint64_t place) {
  return (uint8_t)(place / 8 >> place % 8 * 8);
}

static void read_piece(int kind) {
  static uint8_t room[kKinds][8192];
  if (atomic_load(&at_end)) return;
  const ssize_t got = recv(pair_[1], room[kind], 16 + draw(storm) % 8000, kind == 0 ? 0 : MSG_DONTWAIT);
  if (got == 0) atomic_store(&at_end, 1);
  if (got < 0 && errno != EAGAIN && errno != EINTR) atomic_fetch_add(&wrong, 1);
  if (got <= 0) return;
  struct Piece piece = {UINT64_MAX, (uint64_t)got};  // of a few bytes nobody knows
  for (uint64_t skipped = 0; got >= 16 && piece.at == UINT64_MAX && skipped < 8; ++skipped) {
    uint64_t word;
    memcpy(&word, room[kind] + skipped, sizeof word);
    const uint64_t at = word * 8 - skipped;
    ssize_t same = 0;
    while (same < got && room[kind][same] == byte_at(at + (uint64_t)same)) ++same;
    if (same == got) piece.at = at;
  }
  if (got >= 16 && piece.at == UINT64_MAX) atomic_fetch_add(&wrong, 1);
  pieces[atomic_fetch_add(&piece_count, 1) % kPieces] = piece;
}

static void* write_places(void* unused) {
  static uint64_t words[1024];
  for (uint64_t at = 0; at < kWords; at += 1024) {
    for (uint64_t i = 0; i < 1024; ++i) words[i] = at + i;
    CHECK(send(pair_[0], words, sizeof words, 0) == sizeof words);
  }
  shutdown(pair_[0], SHUT_WR);
  return unused;
}

static int by_place(const void* a, const void* b) {
  const uint64_t x = ((const struct Piece*)a)->at, y = ((const struct Piece*)b)->at;
  return x < y ? -1 : x > y;
}

static void stream_of_places(void) {
  pthread_t writer;
  struct Storm own;
  make_pair(SOCK_STREAM);
  pthread_create(&writer, NULL, write_places, NULL);
  begin_storm(&own, 2, read_piece);
  while (!atomic_load(&at_end)) read_piece(0);
  end_storm(&own);
  pthread_join(writer, NULL);
  uint64_t place = 0, missing = 0, unknown = 0;
  qsort(pieces, (size_t)piece_count, sizeof *pieces, by_place);
  for (int i = 0; i < piece_count; ++i) {
    if (pieces[i].at == UINT64_MAX) {
      unknown += pieces[i].bytes;
      continue;
    }
    if (pieces[i].at < place) atomic_fetch_add(&wrong, 1);
    missing += pieces[i].at - place;
    place = pieces[i].at + pieces[i].bytes;
  }
  missing += kWords * 8ull - place;
  if (missing != unknown) atomic_fetch_add(&wrong, 1);
  atomic_fetch_add(&sent, 1), atomic_fetch_add(&received, 1);
}

static void run(const char* name, void (*scenario)(void)) {
  atomic_store(&sent, 0), atomic_store(&received, 0), atomic_store(&wrong, 0), atomic_store(&in_flight, 0);
  scenario();
  close(pair_[0]), close(pair_[1]);
  printf("%s: %s, wrong %d\n", name, sent > 0 && sent == received ? "all came" : "not all came", wrong);
  fflush(stdout);
}

int main(void) {
  alarm(60);
  run("stream of messages", stream_of_messages);
  run("datagrams", datagrams);
  run("stream of places", stream_of_places);
  return 0;
}
