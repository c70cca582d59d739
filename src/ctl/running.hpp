// Asking what runs: which composition is meant, and a question to its supervisor.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "supervisor/control_socket.hpp"

namespace skerry::ctl {

// The one that `name` means; an empty name means the only one that runs. Errors say what runs.
Result<std::string> choose_running(const std::string& name);
// All that `name` means: every running one if it is empty. Errors: nothing runs.
Result<std::vector<std::string>> select_running(const std::string& name);

// Whether `name` means a file instead: it ends with .toml, has a slash, or is there.
bool is_composition_file(const std::string& name);

Result<supervisor::ControlClient> connect(const std::string& composition);

// One question without arguments, one answer.
Result<nlohmann::json> ask(supervisor::ControlClient& client, const supervisor::Request& request);
Result<nlohmann::json> ask(const std::string& composition, supervisor::Command command);

// Members of an answer, whatever its sender put there: "-" or 0 if absent or of another type.
std::string text_of(const nlohmann::json& row, const char* key);
// The same, and "link down" behind it where the row says so.
std::string text_with_link(const nlohmann::json& row, const char* key);
uint64_t number_of(const nlohmann::json& row, const char* key);
// The array of that name, or an error.
Result<nlohmann::json> rows_of(const nlohmann::json& answer, const char* key);

}  // namespace skerry::ctl
