#include "supervisor/cell_view.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/system_error.hpp"
#include "supervisor/cell_kernel.hpp"
#include "supervisor/cell_mounts.hpp"

namespace skerry::supervisor {
namespace {

namespace fs = std::filesystem;

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Services of the host listen under /run (docker.sock, the buses, the journal): it becomes empty.
Result<void> empty_run_directories() {
  for (const char* path : {"/run", "/var/run"}) {
    struct stat status {};
    if (::lstat(path, &status) != 0 || !S_ISDIR(status.st_mode)) continue;
    if (::mount("skerry", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
      return system_error(std::string("cannot empty ") + path + " in the cell");
  }
  const char* const user_directory = std::getenv("XDG_RUNTIME_DIR");
  if (user_directory != nullptr && lies_in(user_directory, "/run")) {
    std::error_code ignored;
    fs::create_directories(user_directory, ignored);
    ::chmod(user_directory, 0700);
  }
  return {};
}

// Where a path leads, also by links to what is not there, at which weakly_canonical() ends.
fs::path end_of_links(fs::path path) {
  constexpr int kMostLinks = 40;  // as Linux follows
  std::error_code ignored;
  for (int links = 0; links < kMostLinks && fs::is_symlink(path, ignored); ++links)
    path = path.parent_path() / fs::read_symlink(path, ignored);
  return fs::weakly_canonical(path, ignored);
}

// Puts a text where a program looks for it. The place may be a link into the /run that has just become empty.
Result<void> place_text(const std::string& path, const std::string& text) {
  const std::string source = "/run/skerry" + path;
  std::error_code ignored;
  fs::create_directories(fs::path(source).parent_path(), ignored);
  if (!(std::ofstream(source) << text)) return Error{"cannot write " + path + " for the cell"};
  ::chmod(source.c_str(), 0644);
  const fs::path target = end_of_links(path);
  if (!exists(target.string()) && lies_in(target.string(), "/run")) {
    fs::create_directories(target.parent_path(), ignored);
    fs::copy_file(source, target, ignored);
    return {};
  }
  // A file that the host does not have cannot be put there; the program misses it as it would without a cell.
  if (exists(path) && !bind(source, path)) return system_error("cannot write " + path + " for the cell");
  return {};
}

// The host's resolv.conf(5), asking `resolver` instead: the host's may be one of its loopback.
std::string resolver_text(const std::string& text, const std::string& resolver) {
  if (resolver.empty()) return text;
  std::string changed = "nameserver " + resolver + "\n", line;
  for (std::istringstream lines(text); std::getline(lines, line);) {
    if (!line.starts_with("nameserver")) changed += line + "\n";
  }
  return changed;
}

Result<void> hide_sockets(const CellView& view) {
  for (const std::string& path : view.hidden_sockets) {
    const auto shared = [&](const std::string& share) { return lies_in(path, share); };
    struct stat status {};
    if (std::any_of(view.shares.begin(), view.shares.end(), shared) || ::lstat(path.c_str(), &status) != 0 ||
        !S_ISSOCK(status.st_mode))
      continue;
    Result<void> done = hide(path);
    if (!done) return done;
  }
  return {};
}

}  // namespace

std::vector<std::string> listening_sockets() {
  std::set<std::string> paths;
  std::ifstream table("/proc/net/unix");
  std::string line;
  std::getline(table, line);  // the column titles
  while (std::getline(table, line)) {
    std::istringstream columns(line);
    std::string column, path;
    for (int i = 0; i < 7; ++i) columns >> column;
    std::getline(columns >> std::ws, path);
    if (path.starts_with('/')) paths.insert(path);
  }
  return {paths.begin(), paths.end()};
}

Result<void> make_view(const CellView& view) {
  // Our mounts must not travel to the host, nor its later ones to us.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return system_error("cannot separate the cell's mounts from the host's");
  const std::string resolver = resolver_text(read_file("/etc/resolv.conf"), view.resolver);
  std::string hosts;  // those of the network are meant first
  for (const auto& [name, address] : view.hosts) hosts += address + "\t" + name + "\n";
  hosts += read_file("/etc/hosts");
  Result<std::vector<Share>> shares = hold(view.shares);
  if (!shares) return shares.error();

  Result<void> done = make_kernel_view();
  if (done) done = empty_run_directories();
  if (done) done = hide_sockets(view);
  if (done) done = place_text("/etc/hosts", hosts);
  if (done) done = place_text("/etc/resolv.conf", resolver);
  if (done) done = put_back(*shares);
  // After the shares, because one of them may hold such a directory.
  for (const std::string& path : view.hidden_directories) {
    if (done) done = hide(path);
  }
  if (!done) return done;
  // Entered by its name, because the directory that we stand in may have been hidden.
  if (::chdir(view.working_directory.c_str()) != 0)
    return system_error("the working directory " + view.working_directory +
                        " is hidden in the cell (share it with --share)");
  return {};
}

}  // namespace skerry::supervisor
