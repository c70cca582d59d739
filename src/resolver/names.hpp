// The names that a program may resolve: asks name servers for them, judges what they answer, and answers the
// program, which gets those addresses alone that were allowed before.
//
// Read first: words.hpp; RFC 5452 on what makes an answer believable, RFC 1034 section 3.6.2 on aliases.
//
// What goes out is only allowed names, in a spelling of ours: nothing that the program chose leaves with a
// question, and it cannot ask for one more often than an answer, or its absence, lasts. An answer counts if
// it comes from the server that was asked, with the question's id and its exact spelling (upper and lower
// case at random, draft-vixie-dnsext-dns0x20); after some that only nearly fit there is another question. A
// name that the program has asked for is asked for again when its time is over, wherever it led, so that an
// address lasts as long as the name leads to it.
//
// Invariant: pure; nothing is allocated after the constructor; at most one question for each name is open.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "base/siphash.hpp"
#include "base/time.hpp"
#include "resolver/public_address.hpp"
#include "resolver/words.hpp"

namespace skerry::resolver {

struct KnownName {
  DnsName name;
  std::vector<AllowedPort> ports;
  std::vector<Ipv4Address> fixed;  // not empty: known without asking, and allowed without our word
};

// Whom Names speaks to. Nothing is kept of what is passed.
class Neighbours {
 public:
  virtual ~Neighbours() = default;
  virtual void ask(size_t server, ConstBytes message) = 0;  // DNS
  virtual bool tell(const Told& told) = 0;                  // false: it was not heard
};

class Names {
 public:
  static constexpr DurationNs kShortest = 30 * kSecond, kLongest = 3600 * kSecond;  // an answer holds
  static constexpr DurationNs kFailureHolds = 5 * kSecond;
  // An address is allowed for so much longer, time to ask again.
  static constexpr DurationNs kGrace = 60 * kSecond;
  static_assert((kLongest + kGrace) / kSecond <= kAllowedAtMost);
  static constexpr DurationNs kPatience = 1500 * kMillisecond;  // with a server
  static constexpr unsigned kRounds = 3;                        // through all servers
  static constexpr unsigned kAliasesMax = 8;                    // questions that aliases lead to
  static constexpr size_t kWaitingMax = 256;                    // questions of the program, for all names
  // Answers to a question that fit it but for its id or spelling: whoever guesses begins anew then.
  static constexpr unsigned kGuessesMax = 16;
  static constexpr DurationNs kSilenceMax = 60 * kSecond;

  // `servers`: how many there are. `own`: networks whose addresses no name may lead to. `secret`: ids and
  // spellings come from it.
  Names(std::vector<KnownName> names, size_t servers, std::vector<Ipv4Prefix> own, const SipKey& secret);

  // The program asked.
  void asked(TimeNs now, const Asked& asked, Neighbours& neighbours);
  // A server said something, or (empty) that nobody is there.
  void answered(TimeNs now, size_t server, ConstBytes message, Neighbours& neighbours);
  // Asks for every name, as if the program had: it did, of another like this one, and speaks to where they
  // led.
  void resume(TimeNs now, Neighbours& neighbours);
  // Does what is due.
  void tick(TimeNs now, Neighbours& neighbours);
  TimeNs deadline() const;

  // For kSilenceMax no server has answered, though there was something to ask.
  bool is_cut_off(TimeNs now) const { return now - std::min(now, silent_since_) >= kSilenceMax; }
  // Questions that found no room to wait, and failed at once.
  uint64_t turned_away() const { return turned_away_; }

 private:
  struct Waiting {
    size_t name = 0;  // its number
    Asker asker;
    uint8_t query[kQuestionMax] = {};
    size_t bytes = 0;
  };
  struct Name {
    KnownName known;
    // The last answer; before the first one, none that holds.
    DnsAnswer::Kind kind = DnsAnswer::Kind::not_ours;
    std::optional<NoAnswer> nowhere;  // why it has no addresses, if whoever asks shall be seen to
    std::vector<Ipv4Address> addresses;
    TimeNs until = 0;
    TimeNs again_at = kNever;  // asked for without being asked
    // The open question.
    bool open = false;
    size_t server = 0;
    unsigned tries = 0, aliases = 0, guesses = 0;
    uint32_t ttl_s = 0;  // of the aliases so far
    TimeNs patience_ends = kNever;
    DnsName target;  // the name, or what an alias leads to
    uint8_t question[kQuestionMax] = {};
    size_t question_bytes = 0;
  };

  Name* find(const DnsName& name);
  uint64_t random();
  size_t number_of(const Name& name) const { return static_cast<size_t>(&name - names_.data()); }
  bool wait(const Name& name, const Asker& asker, ConstBytes query);
  void begin(Name& name, TimeNs now, Neighbours& neighbours);
  void ask(Name& name, TimeNs now, Neighbours& neighbours);
  void ask_next(Name& name, TimeNs now, Neighbours& neighbours);
  void take(Name& name, const DnsAnswer& answer, TimeNs now, Neighbours& neighbours);
  void follow(Name& name, const DnsAnswer& answer, TimeNs now, Neighbours& neighbours);
  void settle(Name& name, DnsAnswer::Kind kind, TimeNs now, DurationNs holds, Neighbours& neighbours,
              std::optional<NoAnswer> nowhere = {});
  void fail(Name& name, TimeNs now, Neighbours& neighbours) {
    settle(name, DnsAnswer::Kind::failure, now, kFailureHolds, neighbours, NoAnswer::unanswered);
  }
  // False: the stack has not heard of all of it.
  bool allow(const Name& name, TimeNs now, Neighbours& neighbours) const;
  void reply(const Name& name, TimeNs now, Asker asker, ConstBytes query, Neighbours& neighbours) const;

  std::vector<Name> names_;
  std::vector<Waiting> waiting_;  // for all of them
  size_t servers_;
  std::vector<Ipv4Prefix> own_;
  SipKey secret_;
  uint64_t drawn_ = 0, turned_away_ = 0;
  TimeNs silent_since_ = kNever;  // a question that nobody has answered, nor one after it
};

}  // namespace skerry::resolver
