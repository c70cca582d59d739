#include "supervisor/cell_view.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/fd.hpp"

namespace skerry::supervisor {
namespace {

namespace fs = std::filesystem;

Error system_error(const std::string& what) {
  const int number = errno;
  return Error{what + ": " + std::strerror(number), number};
}

bool lies_in(const std::string& path, const std::string& directory) {
  return path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool bind(const std::string& from, const std::string& to) {
  return ::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0;
}

bool set_read_only(const std::string& path) {
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  return ::mount_setattr(AT_FDCWD, path.c_str(), AT_RECURSIVE, &read_only, sizeof read_only) == 0;
}

Result<void> make_read_only(const std::string& path) {
  if (!exists(path)) return {};
  if (!bind(path, path) || !set_read_only(path))
    return system_error("cannot make " + path + " read-only in the cell");
  return {};
}

// What stays visible is taken hold of before anything is hidden, and put back afterwards.
struct Share {
  std::string path;
  Fd tree;
  bool is_directory;
};

Result<std::vector<Share>> hold(const std::vector<std::string>& paths) {
  std::vector<Share> shares;
  for (const std::string& path : paths) {
    struct stat status {};
    Fd tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree || ::fstat(tree.get(), &status) != 0) return system_error("cannot share " + path);
    shares.push_back({path, std::move(tree), S_ISDIR(status.st_mode)});
  }
  return shares;
}

Result<void> put_back(const std::vector<Share>& shares) {
  for (const Share& share : shares) {
    if (!exists(share.path)) {
      std::error_code ignored;
      fs::create_directories(share.is_directory ? fs::path(share.path) : fs::path(share.path).parent_path(),
                             ignored);
      if (!share.is_directory)
        const Fd place(::open(share.path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    }
    if (::move_mount(share.tree.get(), "", AT_FDCWD, share.path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return system_error("cannot share " + share.path);
  }
  return {};
}

// A path that is there and says nothing: a directory becomes empty, a file or socket /dev/null. That is the
// host's: read-only, so that chmod() does not reach it.
Result<void> hide(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  const bool hidden = S_ISDIR(status.st_mode) ? ::mount("skerry", path.c_str(), "tmpfs",
                                                        MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k") == 0
                                              : bind("/dev/null", path) && set_read_only(path);
  // A socket may go at any time, and what has gone is hidden.
  if (!hidden && errno != ENOENT) return system_error("cannot hide " + path + " in the cell");
  return {};
}

// A path in /proc/self/mountinfo, where \040 means a space (proc(5)).
std::string unescaped(const std::string& text) {
  std::string path;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size()) {
      path += static_cast<char>(std::stoi(text.substr(at + 1, 3), nullptr, 8));
      at += 3;
    } else {
      path += text[at];
    }
  }
  return path;
}

// Where the host has mounted its processes, devices or switches a second time, for a chroot of its own. What
// is covered in /proc, /dev and /sys would be open there.
std::vector<std::string> kernel_views_elsewhere() {
  static const std::set<std::string> kernels = {"proc", "devtmpfs", "devpts", "mqueue", "sysfs"};
  std::vector<std::string> paths;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream columns(line);
    std::string column, path, type;
    for (int i = 0; i < 4; ++i) columns >> column;
    columns >> path;
    while (columns >> column && column != "-") {
    }
    columns >> type;
    path = unescaped(path);
    const bool covered = lies_in(path, "/proc") || lies_in(path, "/dev") || lies_in(path, "/sys");
    if (kernels.contains(type) && !covered) paths.push_back(path);
  }
  return paths;
}

Result<void> hide_kernel_views_elsewhere() {
  for (const std::string& path : kernel_views_elsewhere()) {
    Result<void> done = hide(path);
    if (!done) return done;
  }
  return {};
}

// A /proc of the cell's own PID namespace, in which the machine's switches cannot be moved: a program that
// root started is root for the permission bits of these files.
Result<void> make_proc() {
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    return system_error(
        "cannot mount a /proc of the cell's own (inside a container, start that with its /proc unmasked)");
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"}) {
    Result<void> done = make_read_only(path);
    if (!done) return done;
  }
  for (const char* path : {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi"}) {
    Result<void> done = hide(path);
    if (!done) return done;
  }
  return {};
}

// The terminal that we run on, as /dev/console: there ttyname(3) finds it when its own name is not in the
// cell.
Result<void> hold_terminal(std::vector<Share>& devices) {
  char name[PATH_MAX];
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::isatty(descriptor) == 0 || ::ttyname_r(descriptor, name, sizeof name) != 0) continue;
    Result<std::vector<Share>> terminal = hold({name});
    if (!terminal) return terminal.error();
    terminal->front().path = "/dev/console";
    devices.push_back(std::move(terminal->front()));
    return {};
  }
  return {};
}

// The devices that every program may expect, and no other: not /dev/vsock, /dev/net/tun, disks or memory.
// Pseudo-terminals are the cell's own, so the user's other terminals cannot be reached.
Result<void> make_devices() {
  std::vector<std::string> kept = {"/dev/null",   "/dev/zero",    "/dev/full",
                                   "/dev/random", "/dev/urandom", "/dev/tty"};
  std::erase_if(kept, [](const std::string& path) { return !exists(path); });
  Result<std::vector<Share>> devices = hold(kept);
  if (!devices) return devices.error();
  if (Result<void> held = hold_terminal(*devices); !held) return held.error();
  if (::mount("skerry", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755") != 0 ||
      ::mkdir("/dev/shm", 0777) != 0 || ::chmod("/dev/shm", 01777) != 0 || ::mkdir("/dev/pts", 0755) != 0 ||
      ::mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") !=
          0)
    return system_error("cannot make the cell's /dev");
  const std::pair<const char*, const char*> links[] = {{"pts/ptmx", "/dev/ptmx"},
                                                       {"/proc/self/fd", "/dev/fd"},
                                                       {"/proc/self/fd/0", "/dev/stdin"},
                                                       {"/proc/self/fd/1", "/dev/stdout"},
                                                       {"/proc/self/fd/2", "/dev/stderr"}};
  for (const auto& [target, name] : links) {
    if (::symlink(target, name) != 0) return system_error("cannot make the cell's /dev");
  }
  if (Result<void> done = put_back(*devices); !done) return done;
  // They are the host's: a read-only mount lets their data through, but no chmod() and no chown().
  for (const Share& device : *devices) {
    if (!set_read_only(device.path))
      return system_error("cannot make " + device.path + " read-only in the cell");
  }
  return {};
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

// Puts a text where a program looks for it. The place may be a link into the /run that has just become empty.
Result<void> place_text(const std::string& path, const std::string& text) {
  const std::string source = "/run/skerry" + path;
  std::error_code ignored;
  fs::create_directories(fs::path(source).parent_path(), ignored);
  if (!(std::ofstream(source) << text)) return Error{"cannot write " + path + " for the cell"};
  ::chmod(source.c_str(), 0644);
  const fs::path target = fs::weakly_canonical(path, ignored);
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

  Result<void> done = hide_kernel_views_elsewhere();
  if (done) done = make_devices();
  if (done) done = make_proc();
  if (done) done = make_read_only("/sys");
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
