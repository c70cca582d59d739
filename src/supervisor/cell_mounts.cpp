#include "supervisor/cell_mounts.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/system_error.hpp"

namespace skerry::supervisor {

namespace fs = std::filesystem;

bool lies_in(const std::string& path, const std::string& directory) {
  return path == directory || (path.starts_with(directory) && path[directory.size()] == '/');
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
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

}  // namespace skerry::supervisor
