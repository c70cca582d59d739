#include "supervisor/control_protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <climits>
#include <utility>

#include "supervisor/address_text.hpp"
#include "supervisor/mistakes.hpp"
#include "supervisor/name_server.hpp"

namespace skerry::supervisor {

namespace {

using nlohmann::json;

constexpr std::array<std::pair<Command, std::string_view>, 11> kWords = {{{Command::ps, "ps"},
                                                                          {Command::ss, "ss"},
                                                                          {Command::top, "top"},
                                                                          {Command::rights, "rights"},
                                                                          {Command::plan, "plan"},
                                                                          {Command::down, "down"},
                                                                          {Command::mirror, "mirror"},
                                                                          {Command::run, "run"},
                                                                          {Command::rules, "rules"},
                                                                          {Command::load_rules, "load_rules"},
                                                                          {Command::filter, "filter"}}};

// A text that the kernel would take as an argument or a path.
std::string plain_text(const json& value, std::string_view name) {
  std::string text = value.get<std::string>();
  if (text.find('\0') != std::string::npos) throw std::invalid_argument(fmt::format("{} holds a NUL", name));
  return text;
}

std::vector<std::string> plain_texts(const json& values, std::string_view name) {
  if (!values.is_array()) throw std::invalid_argument(fmt::format("{} must be an array of texts", name));
  std::vector<std::string> texts;
  for (const json& value : values) texts.push_back(plain_text(value, name));
  return texts;
}

std::string absolute_path(std::string path, std::string_view name) {
  if (!path.starts_with('/')) throw std::invalid_argument(fmt::format("{} must be an absolute path", name));
  return path;
}

std::vector<uint32_t> parse_lines(const json& body) {
  std::vector<uint32_t> lines;
  for (const json& line : body.value("filter_lines", json::array())) {
    if (!line.is_number_unsigned() || line.get<uint64_t>() > UINT32_MAX)
      throw std::invalid_argument("filter_lines must be numbers");
    lines.push_back(line.get<uint32_t>());
  }
  return lines;
}

json parse_question(const json& body) {
  json question = body.at("question");
  const std::string command = question.at("command").get<std::string>();
  if (std::find(std::begin(kFilterQuestions), std::end(kFilterQuestions), command) ==
      std::end(kFilterQuestions))
    throw std::invalid_argument("this cannot be asked of rules");
  return question;
}

RunRequest parse_run(const json& body) {
  RunRequest run;
  run.name = plain_text(body.value("name", json("")), "name");
  run.network = plain_text(body.value("network", json("")), "network");
  run.argv = plain_texts(body.at("argv"), "argv");
  if (run.argv.empty()) throw std::invalid_argument("argv must not be empty");
  run.executable = absolute_path(plain_text(body.at("executable"), "executable"), "executable");
  run.working_directory =
      absolute_path(plain_text(body.at("working_directory"), "working_directory"), "working_directory");
  if (body.contains("address")) {
    run.address = parse_ipv4(body["address"].get<std::string>());
    if (!run.address) throw std::invalid_argument("address must be an IPv4 address");
  }
  if (body.contains("core")) {
    const json& core = body["core"];
    if (!core.is_number_unsigned() || core.get<uint64_t>() > UINT32_MAX) {
      throw std::invalid_argument("core must be a whole number");
    }
    run.core = core.get<unsigned>();
  }
  if (body.contains("uplink")) {
    const Result<UplinkName> uplink = parse_uplink(body["uplink"].get<std::string>());
    if (!uplink) throw std::invalid_argument(uplink.error().message);
    run.uplink = *uplink;
  }
  for (std::string& path : plain_texts(body.value("shares", json::array()), "shares")) {
    run.shares.push_back(absolute_path(std::move(path), "shares"));
  }
  for (const std::string& text : plain_texts(body.value("publish", json::array()), "publish")) {
    const Result<Publish> publish = parse_publish(text);
    if (!publish) throw std::invalid_argument(publish.error().message);
    run.publish.push_back(*publish);
  }
  for (const std::string& text : plain_texts(body.value("allow", json::array()), "allow")) {
    const Result<Allow> allow = parse_allow(text);
    if (!allow) throw std::invalid_argument(allow.error().message);
    run.allow.push_back(*allow);
  }
  for (const std::string& text : plain_texts(body.value("name_servers", json::array()), "name_servers")) {
    const Result<std::string> server = parse_name_server(text);
    if (!server) throw std::invalid_argument(server.error().message);
    run.name_servers.push_back(*server);
  }
  if (run.name_servers.size() > kMaxNameServers)
    throw std::invalid_argument("there are too many name_servers");
  if (body.contains("filter")) run.filter = absolute_path(plain_text(body["filter"], "filter"), "filter");
  run.filter_lines = parse_lines(body);
  run.strict = body.value("strict", false);
  return run;
}

json run_to_json(const RunRequest& run) {
  json body = {{"name", run.name},
               {"network", run.network},
               {"argv", run.argv},
               {"executable", run.executable},
               {"working_directory", run.working_directory},
               {"shares", run.shares}};
  for (const Publish& publish : run.publish) body["publish"].push_back(format_publish(publish));
  for (const Allow& allow : run.allow) body["allow"].push_back(format_allow(allow));
  for (const std::string& server : run.name_servers) body["name_servers"].push_back(server);
  if (run.address) body["address"] = format_ipv4(*run.address);
  if (run.core) body["core"] = *run.core;
  if (run.strict) body["strict"] = true;
  if (run.uplink) body["uplink"] = to_string(*run.uplink);
  if (!run.filter.empty()) body["filter"] = run.filter;
  if (!run.filter_lines.empty()) body["filter_lines"] = run.filter_lines;
  return body;
}

// Names and paths are bytes and need not be UTF-8; JSON is: what is not becomes U+FFFD.
std::string line_of(const json& body) {
  return body.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<Request> parse_request(std::string_view line) {
  try {
    const json body = json::parse(line);
    if (!body.is_object()) return Error{"a request is a JSON object: {\"command\":\"ps\"}"};
    const std::string word = body.at("command").get<std::string>();
    const auto known =
        std::find_if(kWords.begin(), kWords.end(), [&](const auto& w) { return w.second == word; });
    if (known == kWords.end()) {
      std::vector<std::string> words;
      for (const auto& [command, text] : kWords) words.emplace_back(text);
      return Error{fmt::format("there is no command \"{}\"{}", word, suggestion(word, words))};
    }
    Request request{.command = known->first};
    if (request.command == Command::mirror) request.link = plain_text(body.at("link"), "link");
    if (request.command == Command::run) request.run = parse_run(body);
    if (request.command == Command::rules || request.command == Command::load_rules ||
        request.command == Command::filter) {
      const bool of_switch = body.contains("switch");
      if (of_switch == body.contains("program"))
        throw std::invalid_argument("rules are those of a program or of a switch");
      (of_switch ? request.network : request.program) =
          plain_text(body[of_switch ? "switch" : "program"], of_switch ? "switch" : "program");
    }
    if (request.command == Command::filter) request.question = parse_question(body);
    if (request.command == Command::load_rules) {
      request.filter = absolute_path(plain_text(body.at("filter"), "filter"), "filter");
      request.filter_lines = parse_lines(body);
    }
    return request;
  } catch (const std::exception& e) {
    return Error{fmt::format("the request is malformed: {}", e.what())};
  }
}

std::string format_request(const Request& request) {
  json body = json::object();
  if (request.command == Command::run) body = run_to_json(request.run);
  if (request.command == Command::mirror) body["link"] = request.link;
  if (!request.program.empty()) body["program"] = request.program;
  if (!request.network.empty()) body["switch"] = request.network;
  if (!request.filter.empty()) body["filter"] = request.filter;
  if (!request.filter_lines.empty()) body["filter_lines"] = request.filter_lines;
  if (request.command == Command::filter) body["question"] = request.question;
  for (const auto& [command, word] : kWords) {
    if (command == request.command) body["command"] = word;
  }
  return line_of(body);
}

Result<RunReply> parse_run_reply(const json& reply) {
  try {
    RunReply run{reply.at("name").get<std::string>(),
                 reply.at("address").get<std::string>(),
                 reply.at("executable").get<std::string>(),
                 {}};
    for (const json& fd : reply.at("fds").get_ref<const json::array_t&>()) {
      if (!fd.is_number_integer() || fd.get<int64_t>() < 0 || fd.get<int64_t>() > INT_MAX)
        return Error{"the supervisor's reply is malformed: a descriptor is no number that one can have"};
      run.fds.push_back(fd.get<int>());
    }
    return run;
  } catch (const json::exception& e) {
    return Error{fmt::format("the supervisor's reply is malformed: {}", e.what())};
  }
}

json to_json(const RunReply& reply) {
  return {{"ok", true},
          {"name", reply.name},
          {"address", reply.address},
          {"executable", reply.executable},
          {"fds", reply.fds}};
}

std::string format_reply(const json& reply) {
  return line_of(reply);
}

json refusal(std::string_view sentence, int code) {
  return {{"ok", false}, {"error", sentence}, {"code", code}};
}

Result<json> parse_reply(std::string_view line) {
  json reply = json::parse(line, nullptr, false);
  if (!reply.is_object() || !reply.contains("ok") || !reply["ok"].is_boolean()) {
    return Error{"the supervisor's reply is malformed: is another version of skerry running?"};
  }
  if (reply["ok"].get<bool>()) return reply;
  const json sentence = reply.value("error", json("it gave no reason"));
  return Error{sentence.is_string() ? sentence.get<std::string>() : sentence.dump()};
}

bool LineReader::append(std::string_view bytes) {
  pending_.append(bytes);
  const size_t newline = pending_.find('\n', scanned_);
  if (newline == std::string::npos) scanned_ = pending_.size();
  return (newline == std::string::npos ? pending_.size() : newline) <= bound_;
}

std::optional<std::string> LineReader::next() {
  const size_t newline = pending_.find('\n', scanned_);
  if (newline == std::string::npos) {
    scanned_ = pending_.size();
    return std::nullopt;
  }
  std::string line = pending_.substr(0, newline);
  pending_.erase(0, newline + 1);
  scanned_ = 0;
  return line;
}

}  // namespace skerry::supervisor
