// The tables [program.NAME] and [stack.NAME].
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

#include "supervisor/address_text.hpp"
#include "supervisor/composition_reader.hpp"
#include "supervisor/name_server.hpp"

namespace skerry::supervisor {

void CompositionReader::read_program(const NamedTable& named) {
  const TomlTable& table = named.table;
  table.only({"run", "network", "address", "mac", "core", "share", "publish", "joins", "filter", "allow",
              "resolver", "restart", "directory", "stdout", "stderr", "environment"});
  DraftProgram draft{.program = {.name = named.name, .restart = Restart::on_failure}, .table = table};
  Program& program = draft.program;
  std::string defect = name_defect(named.name, kMaxProgramName);
  if (named.name == "host") defect = "means the machine itself: choose another";
  if (!defect.empty()) mistakes_.add(table.line(), fmt::format("the name \"{}\" {}", named.name, defect));

  const std::vector<std::string> names = network_names();
  if (const auto network_name = table.text("network", "\"lan\"")) {
    program.network = *network_name;
    if (network(*network_name) == nullptr) {
      table.mistake("network", fmt::format("there is no network \"{}\"{}", *network_name,
                                           suggestion(*network_name, names)));
    }
  } else if (!table.has("network")) {
    if (names.size() == 1) program.network = names.front();
    if (names.size() > 1) {
      mistakes_.add(table.line(),
                    fmt::format("{} does not say which network it is in: write network = \"{}\"",
                                table.title(), names.front()));
    }
  }
  program.core = read_core(table);
  read_files(table, program);
  read_command(table, program);
  read_address(table, draft);
  if (auto joins = table.texts("joins", "[\"client\", \"host\"]")) program.joins = std::move(*joins);
  for (const std::string& text :
       table.texts("publish", "[\"8080:80\"]").value_or(std::vector<std::string>{})) {
    const Result<Publish> publish = parse_publish(text);
    if (publish)
      program.publish.push_back(*publish);
    else
      table.mistake("publish", publish.error().message);
  }
  read_allow(table, program);
  if (const auto restart = table.text("restart", "\"on-failure\"")) {
    const std::map<std::string, Restart> words = {
        {"never", Restart::never}, {"on-failure", Restart::on_failure}, {"always", Restart::always}};
    const auto found = words.find(*restart);
    if (found != words.end()) {
      program.restart = found->second;
    } else {
      table.mistake("restart", fmt::format("there is no restart rule \"{}\"{}", *restart,
                                           suggestion(*restart, {"never", "on-failure", "always"})));
    }
  }
  for (const auto& [key, value] : table.pairs("environment", "{ LANG = \"C\" }")) {
    program.env.push_back(key + "=" + value);
  }
  programs_.push_back(std::move(draft));
}

void CompositionReader::read_allow(const TomlTable& table, Program& program) {
  const auto texts = table.texts("allow", "[\"api.example.org:443\"]");
  // Read as no list, it would let everybody through.
  if (texts && texts->empty())
    table.mistake("allow", "it allows nobody: write whom, or let joins and uplink lead nowhere");
  for (const std::string& text : texts.value_or(std::vector<std::string>{})) {
    const Result<Allow> allow = parse_allow(text);
    if (allow)
      program.allow.push_back(*allow);
    else
      table.mistake("allow", allow.error().message);
  }
  if (const auto text = table.text("resolver", "\"9.9.9.9\"")) {
    const Result<std::string> server = parse_name_server(*text);
    if (server)
      program.name_servers = {*server};
    else
      table.mistake("resolver", server.error().message);
    if (program.allow.empty())
      table.mistake("resolver",
                    fmt::format("the resolver of {} is asked for names that \"allow\" lists, and there "
                                "are none: list them, or leave it out",
                                table.title()));
  }
  know_hosts(program, machine_);
}

void CompositionReader::read_command(const TomlTable& table, Program& program) {
  const std::string_view example = "[\"redis-server\", \"--port\", \"6379\"]";
  if (!table.has("run")) {
    mistakes_.add(table.line(),
                  fmt::format("{} does not say what to run: write run = {}", table.title(), example));
    return;
  }
  const auto argv = table.texts("run", example);
  if (!argv) return;
  if (argv->empty() || argv->front().empty()) {
    table.mistake("run", fmt::format("\"run\" in {} is empty: write run = {}", table.title(), example));
    return;
  }
  program.argv = *argv;
  const ProgramFile file = machine_.find_program(argv->front(), program.working_directory);
  program.executable = file.path;
  if (file.path.empty()) {
    table.mistake(
        "run", argv->front().find('/') == std::string::npos
                   ? fmt::format("the program \"{}\" is not on PATH: install it, or write its whole path",
                                 argv->front())
                   : fmt::format("there is no file \"{}\" to run: write the program's path", argv->front()));
  } else if (!file.executable) {
    table.mistake("run", fmt::format("{} is not executable: chmod +x it, or run another", file.path));
  }
}

void CompositionReader::read_address(const TomlTable& table, DraftProgram& draft) {
  if (const auto text = table.text("mac", "\"02:00:00:00:00:01\"")) {
    const std::optional<MacAddress> mac = parse_mac(*text);
    if (!mac || mac->is_multicast() || *mac == MacAddress{}) {
      table.mistake("mac",
                    fmt::format("\"{}\" is no MAC address of one host: write \"02:00:00:00:00:01\"", *text));
    } else {
      draft.program.mac = *mac;
    }
  }
  const auto text = table.text("address", "\"10.77.0.2\"");
  if (!text) return;
  const DraftNetwork* home = network(draft.program.network);
  const std::optional<Ipv4Address> address = parse_ipv4(*text);
  const bool subnet_known = home != nullptr && home->network.subnet.base != 0;
  const std::string example = subnet_known ? format_ipv4(home->network.subnet.gateway() + 1) : "10.77.0.2";
  draft.address_is_wrong = true;
  if (!address) {
    table.mistake("address", fmt::format("\"{}\" is no IPv4 address: write \"{}\"", *text, example));
  } else if (!subnet_known) {
    return;  // the network's mistake is reported
  } else if (const std::string defect = address_defect(*address, home->network); !defect.empty()) {
    table.mistake("address", fmt::format("address {} {}: write \"{}\"", *text, defect, example));
  } else {
    draft.program.address = *address;
    draft.address_is_wrong = false;
  }
}

void CompositionReader::read_files(const TomlTable& table, Program& program) {
  program.working_directory = directory_;
  if (const auto directory = table.text("directory", "\"/var/lib/redis\"")) {
    program.working_directory = absolute(*directory);
    if (!machine_.exists(program.working_directory)) {
      table.mistake("directory", fmt::format("there is no directory {}: make it, or write another",
                                             program.working_directory));
    }
  }
  program.filter = table.has("filter") ? read_filter(table) : filter_;
  for (const auto& [key, target] :
       {std::pair{"stdout", &program.stdout_path}, {"stderr", &program.stderr_path}}) {
    const auto path = table.text(key, "\"redis.log\"");
    if (!path) continue;
    *target = absolute(*path);
    const std::string parent = std::filesystem::path(*target).parent_path().string();
    if (!machine_.exists(parent)) {
      table.mistake(
          key, fmt::format("there is no directory {} for {}: make it, or write another path", parent, key));
    }
  }
  for (const std::string& path :
       table.texts("share", "[\"/var/lib/redis\"]").value_or(std::vector<std::string>{})) {
    program.shares.push_back(absolute(path));
    if (!machine_.exists(program.shares.back())) {
      table.mistake("share", fmt::format("there is nothing at {} to share: make it, or leave it out",
                                         program.shares.back()));
    }
  }
}

void CompositionReader::read_stack(const NamedTable& named) {
  const TomlTable& table = named.table;
  table.only({"sockets", "stream_bytes", "lossy_seed"});
  const auto found = std::find_if(programs_.begin(), programs_.end(),
                                  [&](const DraftProgram& d) { return d.program.name == named.name; });
  if (found == programs_.end()) {
    mistakes_.add(table.line(), fmt::format("{} is the stack of no program{}", table.title(),
                                            suggestion(named.name, program_names())));
  }
  StackLimits limits;
  if (const auto sockets = table.integer("sockets", "16384")) {
    if (*sockets < kMinSockets || *sockets > kMaxSockets || *sockets % 64 != 0) {
      table.mistake("sockets",
                    fmt::format("sockets = {} must be a multiple of 64 from {} to {}: write sockets = 16384",
                                *sockets, kMinSockets, kMaxSockets));
    } else {
      limits.sockets = static_cast<uint32_t>(*sockets);
    }
  }
  if (const auto bytes = table.integer("stream_bytes", "524288")) {
    if (*bytes < kMinStreamBytes || *bytes > kMaxStreamBytes ||
        !std::has_single_bit(static_cast<uint64_t>(*bytes))) {
      table.mistake(
          "stream_bytes",
          fmt::format("stream_bytes = {} must be a power of two from {} to {}: write stream_bytes = 524288",
                      *bytes, kMinStreamBytes, kMaxStreamBytes));
    } else {
      limits.stream_bytes = static_cast<uint32_t>(*bytes);
    }
  }
  if (const auto seed = table.integer("lossy_seed", "1")) {
    if (*seed < 0) {
      table.mistake("lossy_seed",
                    fmt::format("lossy_seed = {} must not be negative: write lossy_seed = 1", *seed));
    } else {
      limits.lossy_seed = static_cast<uint64_t>(*seed);
    }
  }
  if (found != programs_.end()) found->program.stack = limits;
}

}  // namespace skerry::supervisor
