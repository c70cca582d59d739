// The resolver against a name server that sends anything, and against files that hold anything. The first
// byte says which, and what was asked; the id of the question is the message's own, so that what follows is
// reached.
#include <string>

#include "base/check.hpp"
#include "preload/resolver_files.hpp"
#include "wire/dns.hpp"

namespace skerry::preload {
namespace {

void try_answer(ConstBytes message, DnsType type) {
  if (message.size() < 2) return;
  DnsName question;
  CHECK(to_dns_name("www.example.org", question));
  uint8_t written[kQuestionMax];
  const size_t asked = write_question(load_be16(message.data()), question, type, written);
  const bool answers = is_answer_to(message, {written, asked});
  const DnsAnswer answer = read_answer(message, load_be16(message.data()), question, type);
  CHECK(answers || answer.kind == DnsAnswer::Kind::not_ours);
  CHECK(answer.count <= kAddressesMax);
  CHECK(answer.kind == DnsAnswer::Kind::cut ||
        (answer.kind == DnsAnswer::Kind::addresses) == (answer.count > 0));
  CHECK(answer.kind != DnsAnswer::Kind::pointer || (type == DnsType::pointer && answer.canonical.length > 0));
  CHECK(answer.canonical.length <= answer.canonical.bytes.size());
  // What was read can be asked: an alias goes back out as a question.
  char text[256];
  const size_t length = to_text(answer.canonical, text, sizeof text);
  CHECK(length < sizeof text);
  DnsName told;  // a name that a program may be told is the one that it would ask for then
  if (is_host_name(answer.canonical)) CHECK(to_dns_name({text, length}, told) && told == answer.canonical);
  if (answer.kind != DnsAnswer::Kind::alias) return;
  uint8_t again[kQuestionMax];
  CHECK(write_question(1, answer.canonical, type, again) <= sizeof again);
}

void try_files(ConstBytes bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ResolverConfig config;
  while (!text.empty()) {
    const std::string_view line = first(text, text.find('\n'));
    read_config_line(line, config);
    HostSources sources;
    read_sources_line(line, sources);
    CHECK(sources.count <= HostSources::kMost);
    Words words(line);
    for (std::string_view word = words.next(); !word.empty(); word = words.next()) {
      Ipv4Address address = 0;
      to_ipv4(word, address);
      DnsName name;
      if (to_dns_name(word, name)) CHECK(name.length >= 3 && name.length <= name.bytes.size());
    }
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
  }
  CHECK(config.server_count <= ResolverConfig::kServersMax &&
        config.search_count <= ResolverConfig::kSearchMax);
}

}  // namespace
}  // namespace skerry::preload

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const skerry::ConstBytes rest(data + 1, size - 1);
  if (data[0] == 'f')
    skerry::preload::try_files(rest);
  else
    skerry::preload::try_answer(rest, data[0] == 'p' ? skerry::DnsType::pointer : skerry::DnsType::address);
  return 0;
}
