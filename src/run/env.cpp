#include "run/env.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "base/system_error.hpp"

namespace skerry {
namespace {

constexpr off_t kMaxTextBytes = 1 << 20;

Result<std::string> read_whole(const Fd& memory) {
  struct stat status {};
  if (::fstat(memory.get(), &status) != 0)
    return system_error(
        "descriptor 3 must hold the environment that the supervisor writes (run `skerry up`)");
  if (status.st_size <= 0 || status.st_size > kMaxTextBytes) {
    return Error{"the environment has " + std::to_string(status.st_size) + " bytes; between 1 and " +
                 std::to_string(kMaxTextBytes) + " were expected"};
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got =
        ::pread(memory.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read the environment");
    if (got == 0) return Error{"the environment ended while it was read"};
    done += static_cast<size_t>(got);
  }
  return text;
}

}  // namespace

Result<Env> Env::receive(Fd memory) {
  Result<std::string> text = read_whole(memory);
  if (!text) return text.error();
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error{"the environment is not a JSON object"};

  Env env;
  const auto name = json.find("name"), kind = json.find("kind"), fds = json.find("fds");
  if (name == json.end() || !name->is_string() || kind == json.end() || !kind->is_string())
    return Error{"the environment needs the strings \"name\" and \"kind\""};
  env.name_ = name->get<std::string>();
  env.kind_ = kind->get<std::string>();
  env.settings_ = json.value("settings", nlohmann::json::object());
  if (!env.settings_.is_object()) return Error{"\"settings\" of '" + env.name_ + "' is not an object"};
  if (fds == json.end() || !fds->is_object()) return Error{"the environment needs the object \"fds\""};

  // All numbers are checked before the first is owned: a refused environment closes nothing.
  std::set<int> seen = {memory.get()};
  for (const auto& [key, value] : fds->items()) {
    const int number = value.is_number_integer() ? value.get<int>() : -1;
    if (number < 0 || ::fcntl(number, F_GETFD) < 0)
      return Error{"descriptor '" + key + "' of '" + env.name_ + "' is not open", EBADF};
    if (!seen.insert(number).second)
      return Error{"descriptor '" + key + "' of '" + env.name_ + "' has a number that is used twice"};
  }
  for (const auto& [key, value] : fds->items()) {
    const int number = value.get<int>();
    env.fds_.emplace(key, Fd(number));
    if (::fcntl(number, F_SETFD, FD_CLOEXEC) != 0) return system_error("cannot set close-on-exec");
  }
  return env;
}

Result<Fd> Env::take(std::string_view descriptor) {
  const auto found = fds_.find(std::string(descriptor));
  if (found == fds_.end())
    return Error{"'" + name_ + "' was not granted the descriptor '" + std::string(descriptor) + "'", EBADF};
  Fd fd = std::move(found->second);
  fds_.erase(found);
  return fd;
}

Result<Fd> write_env(const EnvText& text) {
  const nlohmann::json json = {
      {"name", text.name}, {"kind", text.kind}, {"fds", text.fds}, {"settings", text.settings}};
  const std::string bytes = json.dump();
  Fd memory(::memfd_create("skerry-env", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return system_error("cannot create the memory of an environment");
  if (::write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return system_error("cannot write an environment");
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return system_error("cannot seal an environment");
  return memory;
}

}  // namespace skerry
