// How a composition is read: one pass over the tables, then checks across them, then the plan. Each step
// records what is wrong and goes on with what makes sense, so that one reading finds every mistake.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/composition.hpp"
#include "supervisor/toml_table.hpp"

namespace skerry::supervisor {

// One reading of one file.
class CompositionReader {
 public:
  CompositionReader(const std::string& path, const Machine& machine) : path_(path), machine_(machine) {
    const std::filesystem::path file = std::filesystem::absolute(path).lexically_normal();
    directory_ = file.parent_path().string();
  }

  Reading read(std::string_view text);

 private:
  struct DraftNetwork {
    Network network;
    TomlTable table;
  };
  struct DraftProgram {
    Program program;
    TomlTable table;
    bool address_is_wrong = false;  // reported already
  };

  void read_root(const TomlTable& root);
  void read_network(const NamedTable& named);
  void read_program(const NamedTable& named);
  void read_command(const TomlTable& table, Program& program);
  void read_allow(const TomlTable& table, Program& program);
  void read_address(const TomlTable& table, DraftProgram& draft);
  void read_files(const TomlTable& table, Program& program);
  void read_stack(const NamedTable& named);
  void read_switch(const NamedTable& named);
  void check_networks();
  void check_addresses();
  void check_joins();
  void check_publish();
  void check_allow();
  Plan make_plan();

  std::optional<unsigned> read_core(const TomlTable& table);
  std::string read_filter(const TomlTable& table);
  std::string absolute(const std::string& path) const {
    return (std::filesystem::path(directory_) / path).lexically_normal().string();
  }
  const DraftNetwork* network(std::string_view name) const;
  std::vector<std::string> network_names() const;
  std::vector<std::string> program_names() const;

  std::string path_;
  std::string directory_;
  const Machine& machine_;
  Mistakes mistakes_;
  std::string name_;
  std::string filter_;  // of programs that have none of their own
  std::vector<DraftNetwork> networks_;
  std::vector<DraftProgram> programs_;
};

}  // namespace skerry::supervisor
