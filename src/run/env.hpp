// The environment of a Skerry process: its name, its kind, its settings, and every descriptor that it may
// touch, each by name. The supervisor writes it as JSON into a sealed memfd which the process finds at
// descriptor 3:
//
//   {"name":"redis","kind":"stack","fds":{"stats":4,"control":5,"link.region":6},"settings":{…}}
//
// Invariant: each descriptor is taken at most once, and what nobody took is closed with the Env, so that a
// process holds exactly what its program uses.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry {

inline constexpr int kEnvDescriptor = 3;

class Env {
 public:
  // Reads the environment from `memory`, which is closed afterwards. Descriptors become close-on-exec.
  static Result<Env> receive(Fd memory = Fd(kEnvDescriptor));

  const std::string& name() const { return name_; }
  const std::string& kind() const { return kind_; }
  const nlohmann::json& settings() const { return settings_; }

  bool has(std::string_view descriptor) const { return fds_.contains(std::string(descriptor)); }
  // Hands the descriptor over to the caller; an error if it was not granted, or was taken before.
  Result<Fd> take(std::string_view descriptor);

 private:
  std::string name_;
  std::string kind_;
  nlohmann::json settings_;
  std::map<std::string, Fd> fds_;
};

// The supervisor's side: what the process will find. `fds` gives the numbers that the descriptors have in the
// process.
struct EnvText {
  std::string name;
  std::string kind;
  std::map<std::string, int> fds;
  nlohmann::json settings = nlohmann::json::object();
};

// A sealed memfd that holds the text.
Result<Fd> write_env(const EnvText& text);

}  // namespace skerry
