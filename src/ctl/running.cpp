#include "ctl/running.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "supervisor/mistakes.hpp"
#include "supervisor/runtime_directory.hpp"

namespace skerry::ctl {

using supervisor::ControlClient;
using supervisor::ControlLine;

Result<std::vector<std::string>> select_running(const std::string& name) {
  Result<std::vector<std::string>> running = supervisor::running_compositions();
  if (!running) return running;
  if (running->empty()) {
    return Error{"nothing is running: start something with `skerry up FILE` or `skerry run -- PROGRAM`"};
  }
  if (name.empty()) return running;
  if (std::find(running->begin(), running->end(), name) == running->end()) {
    return Error{
        fmt::format("nothing named \"{}\" is running{}", name, supervisor::suggestion(name, *running))};
  }
  return std::vector<std::string>{name};
}

Result<std::string> choose_running(const std::string& name) {
  const Result<std::vector<std::string>> selected = select_running(name);
  if (!selected) return selected.error();
  if (selected->size() == 1) return selected->front();
  return Error{fmt::format("several are running, name one of {}", fmt::join(*selected, ", "))};
}

bool is_composition_file(const std::string& name) {
  std::error_code error;
  return name.ends_with(".toml") || name.find('/') != std::string::npos ||
         std::filesystem::is_regular_file(name, error);
}

Result<ControlClient> connect(const std::string& composition) {
  const Result<std::string> path = supervisor::control_path(composition);
  if (!path) return path.error();
  Result<ControlClient> client = ControlClient::connect(*path);
  if (client) return client;
  const int number = client.error().system_error;
  if (number != ENOENT && number != ECONNREFUSED) return client;
  return Error{fmt::format("\"{}\" is not running: `skerry ps` lists what is", composition), number};
}

Result<nlohmann::json> ask(ControlClient& client, const supervisor::Request& request) {
  const Result<ControlLine> line = client.call(supervisor::format_request(request));
  if (!line) return line.error();
  return supervisor::parse_reply(line->line);
}

Result<nlohmann::json> ask(const std::string& composition, supervisor::Command command) {
  Result<ControlClient> client = connect(composition);
  if (!client) return client.error();
  return ask(*client, {.command = command});
}

std::string text_of(const nlohmann::json& row, const char* key) {
  if (!row.is_object() || !row.contains(key)) return "-";
  const nlohmann::json& value = row[key];
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? "-" : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string text_with_link(const nlohmann::json& row, const char* key) {
  const bool down = row.is_object() && row.contains("link_down") && row["link_down"] == true;
  return text_of(row, key) + (down ? ", link down" : "");
}

uint64_t number_of(const nlohmann::json& row, const char* key) {
  if (!row.is_object() || !row.contains(key) || !row[key].is_number_unsigned()) return 0;
  return row[key].get<uint64_t>();
}

Result<nlohmann::json> rows_of(const nlohmann::json& answer, const char* key) {
  if (answer.contains(key) && answer[key].is_array()) return answer[key];
  return Error{fmt::format("the supervisor's answer has no {}: is another version of skerry running?", key)};
}

}  // namespace skerry::ctl
