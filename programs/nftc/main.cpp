// skerry-nftc: nft's own compiler in a process that can do nothing else. A ruleset as text comes in at 0, the
// netlink batch that nft would send to a kernel goes out at 1, nft's words go out at 2. Its arguments are the
// names of the interfaces that the rules may name, from index 1 on. With --lines before them, what goes out
// at 1 is the number of the line that each rule stands in, one a line, in the order of the batch. With
// --switch the rules are for a switch, and the interfaces its ports.
//
// Exit status: 0 compiled, 1 refused, 2 a failure of ours.
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "filter/load.hpp"
#include "filter/range_overlaps.hpp"
#include "nftc/names.hpp"
#include "nftc/netlink.hpp"
#include "run/confine.hpp"

namespace skerry::nftc {
namespace {

constexpr int kRefused = 1, kFailed = 2;
// The text is hostile too: what one compilation may cost.
constexpr rlim_t kSeconds = 20, kBytes = rlim_t{1} << 30, kOutputBytes = rlim_t{256} << 20;

bool write_all(int fd, ConstBytes bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

struct Compilation {
  filter::Place place = filter::Place::stack;
  std::string complaint;  // ours, about what nft let pass

  std::vector<Answer> judge(ConstBytes sent) {
    filter::Ruleset ruleset;
    auto refusal = filter::load(sent, ruleset, {.place = place});
    if (!refusal) refusal = filter::find_range_overlaps(ruleset);
    if (refusal) {
      if (complaint.empty()) complaint = refusal->sentence;
      return {{refusal->error, refusal->sequence, refusal->attribute}};
    }
    // nft has nothing to say about what was taken, and would take it apart for a while.
    if (!asked_for_files && complaint.empty()) ::_exit(write_all(STDOUT_FILENO, sent) ? 0 : kFailed);
    return {};
  }
};

// A kernel that takes no rule at all: so nft says of each where it stands.
std::vector<Answer> refuse_rules(ConstBytes sent) {
  std::vector<Answer> refused;
  for (size_t at = 0; at + sizeof(nlmsghdr) <= sent.size();) {
    nlmsghdr head;
    std::memcpy(&head, sent.data() + at, sizeof head);
    if (head.nlmsg_len < sizeof head) break;
    if (head.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
      refused.push_back({EINVAL, head.nlmsg_seq, 0});
    at += NLMSG_ALIGN(head.nlmsg_len);
  }
  return refused;
}

std::string lines_of(const std::string& words) {
  constexpr std::string_view kBefore = "/dev/stdin:";
  std::string lines;
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find('\n', at), words.size());
    if (words.compare(at, kBefore.size(), kBefore) == 0) {
      const size_t number = at + kBefore.size();
      lines += words.substr(number, words.find(':', number) - number) + "\n";
    }
    at = end + 1;
  }
  return lines;
}

// Words of nft's that mean something else here than on a host.
struct Meaning {
  std::string_view words;
  const char* here;
};
constexpr Meaning kMeanings[] = {
    {"Could not resolve hostname",
     "names of hosts mean nothing to the compiler: write an address, of the family that is asked for"},
    {"Interface does not exist", "of interfaces there are those of the stack or switch, not the host's"},
    {"User does not exist", "a stack knows no users"},
    {"Group does not exist", "a stack knows no groups"},
};

// Of each complaint, told once; what else is in nft's words is quoted from the text.
std::string meanings_of(std::string_view words) {
  constexpr std::string_view kBefore = "/dev/stdin:", kComplaint = ": Error: ";
  std::string meanings;
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find('\n', at), words.size());
    const std::string_view line = words.substr(at, end - at);
    at = end + 1;
    const size_t complaint = line.find(kComplaint);
    if (!line.starts_with(kBefore) || complaint == line.npos) continue;
    for (const Meaning& meaning : kMeanings)
      if (line.substr(complaint + kComplaint.size()).starts_with(meaning.words) &&
          meanings.find(meaning.here) == meanings.npos)
        meanings += (meanings.empty() ? "" : "\n") + std::string(meaning.here);
  }
  return meanings;
}

int complain(const std::string& sentence) {
  std::fprintf(stderr, "skerry-nftc: %s\n", sentence.c_str());
  return kFailed;
}

int run(std::vector<std::string> interfaces) {
  const rlimit seconds{kSeconds, kSeconds}, output{kOutputBytes, kOutputBytes};
  ::setrlimit(RLIMIT_CPU, &seconds);
  ::setrlimit(RLIMIT_FSIZE, &output);
  if (confinement_is_complete()) {  // a sanitizer maps terabytes
    const rlimit bytes{kBytes, kBytes};
    ::setrlimit(RLIMIT_AS, &bytes);
  }
  const Fd descriptor(::eventfd(0, EFD_CLOEXEC));
  if (!descriptor) return complain("no descriptor is left");
  if (const Result<void> confined = confine(Confinement::compiler); !confined)
    return complain(confined.error().message);

  const auto takes = [&interfaces](const char* option) {
    if (interfaces.empty() || interfaces.front() != option) return false;
    interfaces.erase(interfaces.begin());
    return true;
  };
  const bool wants_lines = takes("--lines");
  Compilation compilation;
  if (takes("--switch")) compilation.place = filter::Place::vswitch;
  FakeKernel fake{descriptor.get(), std::move(interfaces), [&](ConstBytes batch) {
                    return wants_lines ? refuse_rules(batch) : compilation.judge(batch);
                  }};
  kernel = &fake;
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) return complain("libnftables cannot start");
  nft_ctx_clear_include_paths(context);
  nft_ctx_add_include_path(context, ".");  // with none, nft passes over `include "more.nft"` without a word
  nft_ctx_buffer_output(context);
  nft_ctx_buffer_error(context);
  const int failure = nft_run_cmd_from_filename(context, "/dev/stdin");
  const char* words = nft_ctx_get_error_buffer(context);
  if (asked_for_files && compilation.complaint.empty())
    compilation.complaint =
        "nothing can be included, the compiler has no files: put the rules together into one";
  if (failure != 0 && compilation.complaint.empty()) compilation.complaint = meanings_of(words);
  if (wants_lines) {
    const std::string lines = lines_of(words);
    return write_all(STDOUT_FILENO, {reinterpret_cast<const uint8_t*>(lines.data()), lines.size()}) ? 0
                                                                                                    : kFailed;
  }
  write_all(STDERR_FILENO, {reinterpret_cast<const uint8_t*>(words), std::strlen(words)});
  if (!compilation.complaint.empty()) std::fprintf(stderr, "%s\n", compilation.complaint.c_str());
  return failure != 0 || !compilation.complaint.empty() ? kRefused : 0;
}

}  // namespace
}  // namespace skerry::nftc

int main(int argc, char** argv) {
  const int status = skerry::nftc::run({argv + 1, argv + argc});
  std::fflush(nullptr);
  ::_exit(status);  // what libnftables leaves behind is nobody's to free
}
