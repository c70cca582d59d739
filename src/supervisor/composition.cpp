#include "supervisor/composition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "supervisor/address_text.hpp"
#include "supervisor/composition_reader.hpp"

namespace skerry::supervisor {

namespace fs = std::filesystem;

const CompositionReader::DraftNetwork* CompositionReader::network(std::string_view name) const {
  for (const DraftNetwork& draft : networks_) {
    if (draft.network.name == name) return &draft;
  }
  return nullptr;
}

std::vector<std::string> CompositionReader::network_names() const {
  std::vector<std::string> names;
  for (const DraftNetwork& draft : networks_) names.push_back(draft.network.name);
  return names;
}

std::vector<std::string> CompositionReader::program_names() const {
  std::vector<std::string> names;
  for (const DraftProgram& draft : programs_) names.push_back(draft.program.name);
  return names;
}

std::optional<unsigned> CompositionReader::read_core(const TomlTable& table) {
  const std::optional<int64_t> core = table.integer("core", "0");
  if (!core) return std::nullopt;
  for (const unsigned allowed : machine_.cores) {
    if (*core == allowed) return allowed;
  }
  table.mistake("core", fmt::format("core {} does not exist here: write one of {}", *core,
                                    fmt::join(machine_.cores, ", ")));
  return std::nullopt;
}

void CompositionReader::read_root(const TomlTable& root) {
  root.only({"name", "layout", "filter", "network", "program", "stack", "switch"});
  name_ = root.text("name", "\"redis\"").value_or(fs::path(path_).stem().string());
  const std::string defect = name_defect(name_, kMaxProgramName);
  if (!defect.empty()) {
    root.mistake("name", root.has("name")
                             ? fmt::format("the name \"{}\" {}", name_, defect)
                             : fmt::format("the file's name gives the composition the name \"{}\", "
                                           "which {}; write name = \"…\" at the top",
                                           name_, defect));
  }
  if (const auto layout = root.text("layout", "\"split\""); layout && *layout != "split") {
    const std::vector<std::string> planned = {"direct", "inprogram", "shared", "layered"};
    const bool known = std::find(planned.begin(), planned.end(), *layout) != planned.end();
    root.mistake("layout", known ? fmt::format("layout \"{}\" is not there yet: write \"split\"", *layout)
                                 : fmt::format("there is no layout \"{}\": write \"split\"", *layout));
  }
  filter_ = read_filter(root);
  for (const NamedTable& named : root.children("network")) read_network(named);
  if (networks_.empty() && !root.has("network")) {
    networks_.push_back({{.name = "lan", .subnet = *parse_subnet("10.77.0.0/24")}, root});
  }
  for (const NamedTable& named : root.children("program")) read_program(named);
  for (const NamedTable& named : root.children("stack")) read_stack(named);
  for (const NamedTable& named : root.children("switch")) read_switch(named);
  if (mistakes_.empty() && programs_.empty() && !root.has("network")) {
    root.mistake("program", "nothing is to run here: write at least one [program.NAME] with run = [\"…\"]");
  }
}

std::string CompositionReader::read_filter(const TomlTable& table) {
  const auto text = table.text("filter", "\"web.nft\"");
  if (!text) return "";
  const std::string path = absolute(*text);
  if (!machine_.exists(path)) {
    table.mistake("filter",
                  fmt::format("there is no file {} with rules: write it, or write another path", path));
  }
  return path;
}

void CompositionReader::read_network(const NamedTable& named) {
  const TomlTable& table = named.table;
  table.only({"subnet", "uplink", "core"});
  Network network{.name = named.name};
  if (const std::string defect = name_defect(named.name, kMaxNetworkName); !defect.empty()) {
    mistakes_.add(table.line(), fmt::format("the name \"{}\" {}", named.name, defect));
  }
  network.core = read_core(table);
  if (!table.has("subnet")) {
    mistakes_.add(table.line(),
                  fmt::format("{} has no subnet: write subnet = \"10.77.0.0/24\"", table.title()));
  }
  if (const auto text = table.text("subnet", "\"10.77.0.0/24\"")) {
    const std::optional<Subnet> subnet = parse_subnet(*text);
    if (!subnet || subnet->prefix_bits < 8 || subnet->prefix_bits > 29) {
      table.mistake("subnet",
                    fmt::format("\"{}\" is no IPv4 network between /8 and /29 (its host part must be zero): "
                                "write \"10.77.0.0/24\"",
                                *text));
    } else {
      network.subnet = *subnet;
    }
  }
  if (const auto text = table.text("uplink", "\"none\"")) {
    const Result<UplinkName> uplink = parse_uplink(*text);
    const std::string defect = uplink ? choose_uplink(network, *uplink, machine_) : uplink.error().message;
    if (!defect.empty()) table.mistake("uplink", defect);
  }
  networks_.push_back({network, table});
}

// Of a network, by its name.
void CompositionReader::read_switch(const NamedTable& named) {
  named.table.only({"filter"});
  const std::string filter = read_filter(named.table);
  const auto found = std::find_if(networks_.begin(), networks_.end(),
                                  [&](const DraftNetwork& d) { return d.network.name == named.name; });
  if (found == networks_.end()) {
    mistakes_.add(named.table.line(), fmt::format("{} is the switch of no network{}", named.table.title(),
                                                  suggestion(named.name, network_names())));
  } else {
    found->network.filter = filter;
  }
}

Plan CompositionReader::make_plan() {
  Plan plan{.name = name_, .source = path_, .filter = filter_};
  for (const DraftNetwork& draft : networks_) add_network(plan, draft.network);
  // Those with an address of their own choice first, so that none is handed out twice.
  for (const bool chosen : {true, false}) {
    for (const DraftProgram& draft : programs_) {
      if ((draft.program.address != 0) != chosen) continue;
      Result<Addition> added = add_program(plan, draft.program);
      if (!added) mistakes_.add(draft.table.line(), added.error().message);
    }
  }
  place(plan, machine_.cores);
  return plan;
}

Reading CompositionReader::read(std::string_view text) {
  Reading reading;
  try {
    const toml::table root = toml::parse(text, path_);
    read_root(TomlTable(root, "the top of the file", 1, mistakes_));
    check_networks();
    check_addresses();
    check_joins();
    check_publish();
    check_allow();
    if (mistakes_.empty()) reading.plan = make_plan();
  } catch (const toml::parse_error& e) {
    mistakes_.add(e.source().begin.line, fmt::format("this is no TOML: {}", e.description()));
  }
  reading.mistakes = mistakes_.sorted();
  if (!reading.mistakes.empty()) reading.plan = {};
  return reading;
}

Reading read_composition(std::string_view text, const std::string& path, const Machine& machine) {
  return CompositionReader(path, machine).read(text);
}

Result<Plan> load_composition(const std::string& path, const Machine& machine) {
  std::error_code error;
  if (fs::is_directory(path, error))
    return Error{fmt::format("{} is a directory: give a composition file", path)};
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    const int number = errno;
    return Error{
        fmt::format("cannot read {}: {}", path,
                    fs::exists(path, error) ? "permission denied or empty" : "there is no such file"),
        number};
  }
  Reading reading = read_composition(text.str(), path, machine);
  if (reading.mistakes.empty()) return std::move(reading.plan);
  std::string message = format_mistakes(path, reading.mistakes);
  message.pop_back();
  return Error{std::move(message)};
}

}  // namespace skerry::supervisor
