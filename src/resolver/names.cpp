#include "resolver/names.hpp"

#include <algorithm>

namespace skerry::resolver {
namespace {

using Kind = DnsAnswer::Kind;

constexpr uint32_t kFixedTtl = 60;  // of what was known all along

DnsCode code_of(Kind kind) {
  switch (kind) {
    case Kind::addresses:
    case Kind::no_data:
      return DnsCode::no_error;
    case Kind::no_name:
      return DnsCode::no_name;
    case Kind::not_ours:
    case Kind::pointer:
    case Kind::alias:
    case Kind::cut:
    case Kind::failure:
      return DnsCode::server_failure;
  }
  return DnsCode::server_failure;
}

bool is_letter(uint8_t c) {
  return c >= 'a' && c <= 'z';
}

uint8_t lower(uint8_t c) {
  return c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + 32) : c;
}

// Both are as long as what is asked in one of them.
bool asks_the_same(ConstBytes one, ConstBytes other) {
  return std::equal(one.begin(), one.end(), other.begin(),
                    [](uint8_t a, uint8_t b) { return lower(a) == lower(b); });
}

// For people: a label may hold any byte.
void refuse(NoAnswer why, const DnsName& name, Neighbours& neighbours) {
  char text[256];
  const size_t length = to_text(name, text, sizeof text);
  for (size_t i = 0; i < length; ++i)
    if (text[i] <= ' ' || text[i] > '~') text[i] = '?';
  neighbours.tell(RefusedName{why, {text, length}});
}

}  // namespace

Names::Names(std::vector<KnownName> names, size_t servers, std::vector<Ipv4Prefix> own, const SipKey& secret)
    : servers_(servers), own_(std::move(own)), secret_(secret) {
  names_.resize(names.size());
  waiting_.reserve(kWaitingMax);
  for (size_t i = 0; i < names.size(); ++i) {
    Name& name = names_[i];
    name.known = std::move(names[i]);
    name.addresses.reserve(kAddressesMax);
    if (name.known.fixed.empty()) continue;
    name.kind = Kind::addresses;
    name.addresses = name.known.fixed;
    name.until = kNever;
  }
}

Names::Name* Names::find(const DnsName& name) {
  const auto found =
      std::find_if(names_.begin(), names_.end(), [&](const Name& each) { return each.known.name == name; });
  return found == names_.end() ? nullptr : &*found;
}

uint64_t Names::random() {
  uint8_t number[8];
  store_be64(number, drawn_++);
  return siphash24(secret_, number);
}

void Names::asked(TimeNs now, const Asked& asked, Neighbours& neighbours) {
  const auto question = read_question(asked.message);
  if (!question || question->bytes > kQuestionMax) return;
  const ConstBytes query = asked.message.first(question->bytes);
  const auto answer = [&](DnsCode code) {
    uint8_t message[kReplyMax];
    neighbours.tell(Reply{asked.asker, {message, write_reply(query, code, {}, 0, message)}});
  };
  if (question->class_ != kDnsClassIn) return answer(DnsCode::refused);
  Name* const name = find(question->name);
  if (name == nullptr) {
    refuse(NoAnswer::not_allowed, question->name, neighbours);
    return answer(DnsCode::no_name);
  }
  if (question->type != static_cast<uint16_t>(DnsType::address))
    return answer(DnsCode::no_error);  // there is nothing else of it
  if (name->until > now) {
    if (name->nowhere) refuse(*name->nowhere, name->known.name, neighbours);
    // Again, because the stack may be another by now.
    if (allow(*name, now, neighbours)) reply(*name, now, asked.asker, query, neighbours);
    return;
  }
  if (!wait(*name, asked.asker, query)) {
    ++turned_away_;
    refuse(NoAnswer::unanswered, name->known.name, neighbours);
    answer(DnsCode::server_failure);
  }
  if (!name->open) begin(*name, now, neighbours);
}

// False: there is no room. Who asks again what he has asked waits once.
bool Names::wait(const Name& name, const Asker& asker, ConstBytes query) {
  auto waits = std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& each) {
    return each.name == number_of(name) && each.asker == asker &&
           load_be16(each.query) == load_be16(query.data());
  });
  if (waits == waiting_.end()) {
    if (waiting_.size() == kWaitingMax) return false;
    waits = waiting_.insert(waits, Waiting{.name = number_of(name), .asker = asker});
  }
  waits->bytes = query.size();
  std::memcpy(waits->query, query.data(), query.size());
  return true;
}

void Names::resume(TimeNs now, Neighbours& neighbours) {
  for (Name& name : names_)
    if (name.known.fixed.empty()) begin(name, now, neighbours);
}

void Names::begin(Name& name, TimeNs now, Neighbours& neighbours) {
  name.again_at = kNever;
  silent_since_ = std::min(silent_since_, now);
  if (servers_ == 0) return fail(name, now, neighbours);
  name.open = true;  // to the server that answered last
  name.tries = name.aliases = 0;
  name.ttl_s = UINT32_MAX;
  name.target = name.known.name;
  ask(name, now, neighbours);
}

// With an id and a spelling that nobody can guess who does not see the question.
void Names::ask(Name& name, TimeNs now, Neighbours& neighbours) {
  name.question_bytes =
      write_question(static_cast<uint16_t>(random()), name.target, DnsType::address, name.question);
  uint64_t bits = 0;
  unsigned left = 0;
  for (size_t at = name.question_bytes - 4 - name.target.length; at < name.question_bytes - 4; ++at) {
    if (!is_letter(name.question[at])) continue;
    if (left == 0) {
      bits = random();
      left = 64;
    }
    if ((bits >> --left & 1) != 0) name.question[at] = static_cast<uint8_t>(name.question[at] - 32);
  }
  name.patience_ends = now + kPatience;
  name.guesses = 0;
  neighbours.ask(name.server, {name.question, name.question_bytes});
}

// Another server, from the name itself on.
void Names::ask_next(Name& name, TimeNs now, Neighbours& neighbours) {
  if (++name.tries >= kRounds * servers_) return fail(name, now, neighbours);
  name.server = (name.server + 1) % servers_;
  name.aliases = 0;
  name.ttl_s = UINT32_MAX;
  name.target = name.known.name;
  ask(name, now, neighbours);
}

void Names::answered(TimeNs now, size_t server, ConstBytes message, Neighbours& neighbours) {
  constexpr size_t kHeaderBytes = 12;
  for (Name& name : names_) {
    if (!name.open || name.server != server) continue;
    if (message.empty()) {
      // Once all were tried, who is not there yet has the time that who is silent has.
      if ((name.tries + 1) % servers_ != 0) ask_next(name, now, neighbours);
      continue;
    }
    if (message.size() < name.question_bytes) continue;
    const ConstBytes asked = ConstBytes(name.question, name.question_bytes).subspan(kHeaderBytes);
    const ConstBytes answered = message.subspan(kHeaderBytes, asked.size());
    if (!asks_the_same(asked, answered)) continue;
    if (load_be16(message.data()) == load_be16(name.question) &&
        std::equal(asked.begin(), asked.end(), answered.begin())) {
      const DnsAnswer answer = read_answer(message, load_be16(name.question), name.target, DnsType::address);
      if (answer.kind == Kind::not_ours) continue;
      silent_since_ = kNever;
      return take(name, answer, now, neighbours);
    }
    // RFC 5452 section 9.2: each guess makes the next one likelier to be right, until the question is
    // another.
    if (++name.guesses == kGuessesMax) ask_next(name, now, neighbours);
  }
}

void Names::take(Name& name, const DnsAnswer& answer, TimeNs now, Neighbours& neighbours) {
  switch (answer.kind) {
    case Kind::not_ours:
    case Kind::pointer:  // is asked for by nobody
      return;
    case Kind::failure:
      return ask_next(name, now, neighbours);
    case Kind::no_name:
    case Kind::no_data:
      return settle(name, answer.kind, now, kShortest, neighbours);
    case Kind::alias:
      return follow(name, answer, now, neighbours);
    case Kind::cut:  // what came of it is enough, if there is something
      if (answer.count > 0) break;
      if (answer.canonical == name.target) return ask_next(name, now, neighbours);
      return follow(name, answer, now, neighbours);
    case Kind::addresses:
      break;
  }
  name.addresses.clear();
  for (size_t i = 0; i < answer.count; ++i)
    if (is_public(answer.addresses[i], own_)) name.addresses.push_back(answer.addresses[i]);
  if (name.addresses.empty())
    return settle(name, Kind::no_data, now, kShortest, neighbours, NoAnswer::not_public);
  const DurationNs ttl = uint64_t{std::min(name.ttl_s, answer.ttl_s)} * kSecond;
  settle(name, Kind::addresses, now, std::clamp(ttl, kShortest, kLongest), neighbours);
}

// An alias alone came: what it leads to is asked for.
void Names::follow(Name& name, const DnsAnswer& answer, TimeNs now, Neighbours& neighbours) {
  if (++name.aliases > kAliasesMax) return fail(name, now, neighbours);
  name.ttl_s = std::min(name.ttl_s, answer.ttl_s);
  name.target = answer.canonical;
  ask(name, now, neighbours);
}

void Names::settle(Name& name, Kind kind, TimeNs now, DurationNs holds, Neighbours& neighbours,
                   std::optional<NoAnswer> nowhere) {
  name.again_at = now + std::max(holds, kShortest);
  name.open = false;
  name.patience_ends = kNever;
  name.kind = kind;
  name.nowhere = nowhere;
  name.until = now + holds;
  const bool heard = allow(name, now, neighbours);  // who is not answered asks again
  for (const Waiting& waits : waiting_) {
    if (waits.name != number_of(name)) continue;
    if (nowhere) refuse(*nowhere, name.known.name, neighbours);
    if (heard) reply(name, now, waits.asker, {waits.query, waits.bytes}, neighbours);
  }
  std::erase_if(waiting_, [&](const Waiting& each) { return each.name == number_of(name); });
}

bool Names::allow(const Name& name, TimeNs now, Neighbours& neighbours) const {
  if (name.kind != Kind::addresses || !name.known.fixed.empty()) return true;
  const auto seconds = static_cast<uint32_t>((name.until - now + kGrace) / kSecond);
  uint8_t addresses[4 * kAddressesMax];
  size_t bytes = 0;
  for (const Ipv4Address address : name.addresses) {
    store_be32(addresses + bytes, address);
    bytes += 4;
  }
  char text[256];
  const size_t length = to_text(name.known.name, text, sizeof text);
  bool heard = true;
  for (const AllowedPort& port : name.known.ports) {
    const bool last = &port == &name.known.ports.back();
    heard = neighbours.tell(Allow{port, seconds, {addresses, bytes}, last, {text, length}}) && heard;
  }
  return heard;
}

void Names::reply(const Name& name, TimeNs now, Asker asker, ConstBytes query, Neighbours& neighbours) const {
  uint8_t message[kReplyMax];
  size_t bytes = 0;
  if (name.kind == Kind::addresses) {
    const DurationNs left = name.until - now;
    const uint32_t ttl_s = name.known.fixed.empty() ? static_cast<uint32_t>(left / kSecond) : kFixedTtl;
    bytes = write_reply(query, DnsCode::no_error, name.addresses, ttl_s, message);
  } else {
    bytes = write_reply(query, code_of(name.kind), {}, 0, message);
  }
  const bool leads = name.kind == Kind::addresses && name.known.fixed.empty();
  neighbours.tell(Reply{asker, {message, bytes}, leads});
}

void Names::tick(TimeNs now, Neighbours& neighbours) {
  for (Name& name : names_) {
    if (name.open && name.patience_ends <= now) ask_next(name, now, neighbours);
    if (!name.open && name.again_at <= now) begin(name, now, neighbours);
  }
}

TimeNs Names::deadline() const {
  TimeNs earliest = kNever;
  for (const Name& name : names_)
    earliest = std::min({earliest, name.open ? name.patience_ends : kNever, name.again_at});
  return earliest;
}

}  // namespace skerry::resolver
