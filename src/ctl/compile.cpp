#include "ctl/compile.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <vector>

#include "ctl/child.hpp"
#include "filter/words.hpp"
#include "resolver/words.hpp"

namespace skerry::ctl {

namespace {

constexpr const char* kNameInCompiler = "/dev/stdin";

Result<Fd> open_rules(const std::string& file) {
  Fd text(file == "-" ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!text || ::fstat(text.get(), &status) != 0)
    return Error{fmt::format("cannot read {}: {}", called(file), std::strerror(errno)), errno};
  if (S_ISDIR(status.st_mode)) return Error{fmt::format("cannot read {}: it is a directory", file), EISDIR};
  return text;
}

// To its end, which may not be known before.
Result<std::string> read_all(const Fd& file, const std::string& name) {
  std::string text;
  for (;;) {
    char bytes[65536];
    const ssize_t got = ::read(file.get(), bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{fmt::format("cannot read {}: {}", name, std::strerror(errno)), errno};
    if (got == 0) return text;
    text.append(bytes, static_cast<size_t>(got));
  }
}

Result<Fd> memory_with(const std::string& text) {
  Fd memory(::memfd_create("skerry-rules", MFD_CLOEXEC));
  size_t written = 0;
  while (memory && written < text.size()) {
    const ssize_t bytes = ::write(memory.get(), text.data() + written, text.size() - written);
    if (bytes < 0) break;
    written += static_cast<size_t>(bytes);
  }
  if (!memory || written < text.size())
    return Error{fmt::format("no memory for the rules: {}", std::strerror(errno)), errno};
  ::lseek(memory.get(), 0, SEEK_SET);
  return memory;
}

// A file's rules, and behind them those of an allow-list.
struct Joined {
  Fd text;
  size_t file_lines = SIZE_MAX;
  bool says_nothing = false;
};
Result<Joined> join(const std::string& file, const std::string& allow_rules, const RulesPlace& place) {
  Joined joined;
  std::string text;
  if (!file.empty() || allow_rules.empty()) {
    Result<Fd> opened = open_rules(file);
    if (!opened) return opened.error();
    joined.text = std::move(*opened);
    if (allow_rules.empty()) return joined;
    // Once: of a pipe nothing is left for a second time.
    Result<std::string> read = read_all(joined.text, called(file));
    if (!read) return read.error();
    // By itself first, so that nobody reads of mistakes in what he did not write.
    const Result<CompiledRules> alone = compile_text(*read, called(file), Complaints::printed, place);
    if (!alone) return alone.error();
    joined.says_nothing = alone->says_nothing;
    text = std::move(*read) + "\n";
  }
  // Whoever added a rule to it would open it.
  if (text.find(resolver::kAllowTable) != std::string::npos)
    return Error{fmt::format("{} says {}, which is the name of the allow-list's own table: choose another",
                             file, resolver::kAllowTable)};
  joined.file_lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  Result<Fd> memory = memory_with(text + allow_rules);
  if (!memory) return memory.error();
  joined.text = std::move(*memory);
  return joined;
}

Result<std::vector<uint8_t>> content(const Fd& memory) {
  struct stat status;
  if (::fstat(memory.get(), &status) != 0) return Error{"cannot read what the compiler wrote", errno};
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = ::pread(memory.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got <= 0) return Error{"cannot read what the compiler wrote", errno};
    at += static_cast<size_t>(got);
  }
  return bytes;
}

// nft calls the text by the name under which it got it.
std::string with_name(const std::vector<uint8_t>& bytes, const std::string& file) {
  std::string words(bytes.begin(), bytes.end());
  const std::string from = kNameInCompiler, to = file;
  for (size_t line = 0; line < words.size();) {
    if (words.compare(line, from.size() + 1, from + ":") == 0) words.replace(line, from.size(), to);
    line = words.find('\n', line);
    if (line != std::string::npos) ++line;
  }
  for (char& c : words)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') c = '?';
  return words;
}

// nft compares each of its complaints with each rule, which for more than these would take too long.
constexpr size_t kMostLines = 4096;

// It fills memory and ends, in large pages faster (mimalloc's options).
constexpr const char* kLargePages = "MIMALLOC_LARGE_OS_PAGES=1";

std::vector<std::string> words_for_compiler(const RulesPlace& place) {
  std::vector<std::string> words = {"skerry-nftc"};
  if (place.place == filter::Place::vswitch) words.push_back("--switch");
  words.insert(words.end(), place.interfaces.begin(), place.interfaces.end());
  return words;
}

// Its exit status. Ctrl-C ends the command again when the compiler has ended: what comes may take for ever.
Result<int> run_compiler(std::vector<std::string> words, std::vector<PlacedFd> fds) {
  Result<Child> compiler = Child::start({.executable = beside("skerry-nftc"),
                                         .argv = std::move(words),
                                         .surrounding = {kLargePages},
                                         .fds = std::move(fds),
                                         .signal_on_our_end = SIGKILL});
  if (!compiler) return compiler.error();
  const int status = compiler->wait(-1, {});
  Child::let_signals_end_us();
  return status;
}

// For people: what goes wrong here leaves rules without lines.
std::vector<uint32_t> lines_of(const Fd& text, const filter::Ruleset& ruleset, const RulesPlace& stands) {
  std::vector<std::pair<std::pair<uint32_t, uint64_t>, size_t>> rules;  // order of the batch, place
  for (const filter::Chain& chain : ruleset.chains)
    for (const filter::Rule& rule : chain.rules)
      rules.push_back({{rule.origin.sequence, rule.handle}, rules.size()});
  if (rules.empty() || rules.size() > kMostLines || ::lseek(text.get(), 0, SEEK_SET) != 0) return {};
  std::sort(rules.begin(), rules.end());
  const Fd said(::memfd_create("skerry-lines", MFD_CLOEXEC)),
      nothing(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!said || !nothing) return {};
  std::vector<std::string> words = words_for_compiler(stands);
  words.insert(words.begin() + 1, "--lines");
  const Result<int> status =
      run_compiler(std::move(words), {{text.get(), 0}, {said.get(), 1}, {nothing.get(), 2}});
  if (!status || *status != 0) return {};
  const Result<std::vector<uint8_t>> bytes = content(said);
  if (!bytes) return {};
  std::istringstream numbers(std::string(bytes->begin(), bytes->end()));
  std::vector<uint32_t> lines(rules.size());
  for (const auto& [order, place] : rules)
    if (!(numbers >> lines[place])) return {};
  return numbers >> std::ws && numbers.eof() ? lines : std::vector<uint32_t>{};
}

// `name` is what people know the text by.
Result<CompiledRules> compile(const Fd& text, const std::string& name, Complaints complaints,
                              const RulesPlace& place) {
  CompiledRules rules;
  rules.batch = Fd(::memfd_create("skerry-batch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const Fd words(::memfd_create("skerry-words", MFD_CLOEXEC));
  if (!rules.batch || !words)
    return Error{fmt::format("no memory for the compiler's output: {}", std::strerror(errno)), errno};
  const Result<int> ended =
      run_compiler(words_for_compiler(place), {{text.get(), 0}, {rules.batch.get(), 1}, {words.get(), 2}});
  if (!ended) return ended.error();
  const int status = *ended;
  // From here on it is what is looked at below.
  if (::fcntl(rules.batch.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return Error{"cannot seal what the compiler wrote", errno};
  const Result<std::vector<uint8_t>> said = content(words), bytes = content(rules.batch);
  if (!said) return said.error();
  if (!bytes) return bytes.error();
  if (complaints == Complaints::printed) fmt::print(stderr, "{}", with_name(*said, name));
  if (status == 1) return Error{fmt::format("{} is refused", name)};
  const int signal = status > 128 ? status - 128 : 0;
  if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT)
    return Error{fmt::format("{} was not read to its end", name), EINTR};
  if (signal != 0)
    return Error{fmt::format("the compiler was ended by signal {}: is {} very large?", signal, name)};
  if (status != 0) return Error{fmt::format("the compiler failed: is {} very large?", name)};
  rules.says_nothing = bytes->empty();
  if (const auto refusal = filter::load(*bytes, rules.ruleset, {.place = place.place}))
    return Error{fmt::format("{} is refused: {}", name, refusal->sentence), refusal->error};
  return rules;
}

}  // namespace

std::string called(const std::string& file) {
  return file == "-" ? "standard input" : file;
}

std::string absolute_name(const std::string& file) {
  std::error_code error;
  return file == "-" ? kNameInCompiler : std::filesystem::absolute(file, error).lexically_normal().string();
}

std::string place_of_rule(const filter::Ruleset& ruleset, const std::vector<uint32_t>& lines,
                          const std::string& file, uint32_t chain, uint32_t rule) {
  size_t index = rule;
  for (uint32_t before = 0; before < chain; ++before) index += ruleset.chains[before].rules.size();
  if (rule != filter::kNone && index < lines.size() && lines[index] != 0)
    return fmt::format("{}:{}", file, lines[index]);
  return fmt::format("{}: {}", file, filter::place_name(ruleset, chain, rule));
}

RulesPlace place_at_switch(const supervisor::Plan& plan, const std::string& network) {
  RulesPlace place{filter::Place::vswitch, {}};
  const supervisor::Process* const vswitch = plan.process(network + ".vswitch");
  for (const nlohmann::json& port : vswitch->settings.at("ports"))
    place.interfaces.push_back(port.at("name").get<std::string>().substr(0, IFNAMSIZ - 1));
  return place;
}

Result<CompiledRules> compile_rules(const std::string& path, const std::string& allow_rules,
                                    const RulesPlace& place) {
  const Result<Joined> joined = join(path, allow_rules, place);
  if (!joined) return joined.error();
  Result<CompiledRules> rules =
      compile(joined->text, path.empty() ? "the allow-list" : called(path), Complaints::printed, place);
  if (!rules) return rules;
  rules->says_nothing = rules->says_nothing || joined->says_nothing;
  rules->lines = lines_of(joined->text, rules->ruleset, place);
  for (uint32_t& line : rules->lines)
    if (line > joined->file_lines) line = 0;
  return rules;
}

Result<CompiledRules> compile_first_rules(const std::string& file, const std::string& allow_rules,
                                          const RulesPlace& place) {
  Result<CompiledRules> rules = compile_rules(file, allow_rules, place);
  if (rules && rules->says_nothing)
    return Error{fmt::format("{} says nothing: `flush ruleset` in it stands for no rules", called(file))};
  return rules;
}

Result<CompiledRules> compile_text(const std::string& text, const std::string& name, Complaints complaints,
                                   const RulesPlace& place) {
  const Result<Fd> memory = memory_with(text);
  if (!memory) return memory.error();
  return compile(*memory, name, complaints, place);
}

}  // namespace skerry::ctl
