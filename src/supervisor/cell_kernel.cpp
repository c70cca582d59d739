#include "supervisor/cell_kernel.hpp"

#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/system_error.hpp"
#include "supervisor/cell_mounts.hpp"

namespace skerry::supervisor {
namespace {

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

}  // namespace

Result<void> make_kernel_view() {
  Result<void> done = hide_kernel_views_elsewhere();
  if (done) done = make_devices();
  if (done) done = make_proc();
  if (done) done = make_read_only("/sys");
  return done;
}

}  // namespace skerry::supervisor
