// The program's way to names: a socket of the stack's own, which takes what the program asks at 127.0.0.53
// port 53, passes it on to the resolver process, and sends back what that says. No byte of it is read here.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "allow_list.hpp"
#include "base/fd.hpp"
#include "stack/token_bucket.hpp"
#include "stack/udp_component.hpp"

namespace skerry {

// How often what.
struct NameCounters {
  uint64_t asked = 0, answered = 0;
  uint64_t refused = 0;  // names that lead nowhere
  uint64_t lost = 0;     // the resolver, or the stack, had no room: the program asks again
  uint64_t faults = 0;   // the resolver said something that it may not
};

class NameDoor {
 public:
  // `socket` is the index of a UDP socket that nobody else uses. What is referred to outlives the object.
  NameDoor(uint32_t socket, const stack::Routes& routes, filter::Events& events, Random& random)
      : socket_(socket), routes_(routes), events_(events), random_(random) {
    replies_.reserve(kMostReplies);
  }

  // `channel`: our end of the resolver's socket pair.
  Result<void> open(Fd channel, AllowList& allowed, stack::Udp& udp) {
    channel_ = std::move(channel);
    allowed_ = &allowed;
    Endpoint here{IpAddress::v4(resolver::kResolverAddress), resolver::kResolverPort};
    if (const int error = udp.bind(socket_, here, false))
      return Error{"port 53 of the stack is taken", error};
    return {};
  }

  bool is_mine(uint32_t socket) const { return socket == socket_; }
  int descriptor() const { return channel_.get(); }
  const NameCounters& counters() const { return counters_; }

  // Returns whether it is on its way.
  bool ask(const Endpoint& from, ConstBytes payload) {
    ++counters_.asked;
    if (!from.address.is_v4() || payload.size() > resolver::kWordsMax / 2) return false;
    uint8_t words[resolver::kWordsMax];
    const ConstBytes asked = resolver::write_asked({{from.address.as_v4(), from.port}, payload}, words);
    const ssize_t sent = ::send(channel_.get(), asked.data(), asked.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return true;
    ++counters_.lost;
    return false;
  }

  // Takes what the resolver has said.
  void listen(TimeNs now) {
    constexpr int kMostAtOnce = 64;  // the rest wakes us again
    uint8_t bytes[resolver::kWordsMax];
    for (int taken = 0; taken < kMostAtOnce; ++taken) {
      const ssize_t length = ::recv(channel_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
      if (length < 0) return;
      const auto told = resolver::read_told({bytes, static_cast<size_t>(length)});
      if (!told || !hear(*told, now)) ++counters_.faults;
      if (length == 0) return;
    }
  }

  // Sends what waits.
  template <class Sender>
  uint32_t tx(TimeNs now, Sender& sender) {
    const auto work = static_cast<uint32_t>(replies_.size());
    for (const Waiting& reply : replies_) {
      const Endpoint to{IpAddress::v4(reply.asker.address), reply.asker.port};
      const int error =
          sender.send(now, socket_, to, IpAddress{}, {}, {reply.bytes.data(), reply.length}, {});
      ++(error == 0 ? counters_.answered : counters_.lost);
    }
    replies_.clear();
    return work;
  }
  bool is_idle() const { return replies_.empty(); }

 private:
  static constexpr size_t kMostReplies = 64;

  struct Waiting {
    resolver::Asker asker;
    std::array<uint8_t, kReplyMax> bytes;
    size_t length;
  };

  static filter::NameEvent event_of(resolver::NoAnswer why) {
    switch (why) {
      case resolver::NoAnswer::not_public:
        return filter::NameEvent::not_public;
      case resolver::NoAnswer::unanswered:
        return filter::NameEvent::unanswered;
      case resolver::NoAnswer::not_allowed:
        break;
    }
    return filter::NameEvent::not_allowed;
  }

  bool hear(const resolver::Told& told, TimeNs now) {
    if (const auto* allow = std::get_if<resolver::Allow>(&told)) return hear(*allow, now);
    if (const auto* refused = std::get_if<resolver::RefusedName>(&told)) {
      note(refused->name, event_of(refused->why), now);
      return true;
    }
    const auto& reply = std::get<resolver::Reply>(told);
    if (reply.asker.port == 0 || !routes_.is_local(reply.asker.address) || reply.message.size() > kReplyMax)
      return false;
    if (replies_.size() == kMostReplies || (reply.leads && !granted_)) {
      ++counters_.lost;
      return true;
    }
    Waiting& waiting = replies_.emplace_back();
    waiting.asker = reply.asker;
    waiting.length = reply.message.size();
    std::memcpy(waiting.bytes.data(), reply.message.data(), reply.message.size());
    return true;
  }

  bool hear(const resolver::Allow& allow, TimeNs now) {
    const AllowList::Granted granted = allowed_->allow(allow, now);
    if (begins_) granted_ = true;
    begins_ = allow.last;
    granted_ = granted_ && granted == AllowList::Granted::yes;
    if (granted == AllowList::Granted::no_room) note(allow.name, filter::NameEvent::no_room, now);
    return granted != AllowList::Granted::too_much;
  }
  // A program that asks for many shall not drive what is remembered of its packets out of sight.
  void note(std::string_view name, filter::NameEvent what, TimeNs now) {
    ++counters_.refused;
    if (shown_.take(now, random_))
      events_.note_name(name, what, now);
    else
      events_.leave_out_name();
  }

  const uint32_t socket_;
  const stack::Routes& routes_;
  filter::Events& events_;
  Random& random_;
  stack::TokenBucket shown_{5, 60};
  Fd channel_;
  AllowList* allowed_ = nullptr;
  std::vector<Waiting> replies_;
  bool begins_ = true;    // the next addresses are of another name than the last
  bool granted_ = false;  // those that were said last, for all ports of their name
  NameCounters counters_;
};

// Between two breaths the door hears; in a breath it sends.
template <class Sender>
class NameComponent {
 public:
  NameComponent(NameDoor& door, Sender& sender) : door_(door), sender_(sender) {}

  uint32_t rx(TimeNs) { return 0; }
  uint32_t tx(TimeNs now) { return door_.tx(now, sender_); }
  TimeNs deadline() const { return kNever; }
  bool arm() { return door_.is_idle(); }
  void disarm() {}

 private:
  NameDoor& door_;
  Sender& sender_;
};

// Where datagrams go that came up: to the program, or to the door.
template <class Server>
class Recipients {
 public:
  Recipients(Server& server, NameDoor& door) : server_(server), door_(door) {}

  bool deliver(TimeNs now, uint32_t socket, const Endpoint& from, const Endpoint& to,
               const stack::Marks& marks, ConstBytes payload) {
    if (door_.is_mine(socket)) [[unlikely]]
      return door_.ask(from, payload);
    return server_.deliver(now, socket, from, to, marks, payload);
  }
  void refused(TimeNs now, uint32_t socket, const stack::TransportError& error) {
    if (!door_.is_mine(socket)) server_.refused(now, socket, error);
  }

 private:
  Server& server_;
  NameDoor& door_;
};

}  // namespace skerry
