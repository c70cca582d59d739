// What a cell's view is made of: paths that are hidden, made read-only, or kept visible.
//
// Read first: mount_namespaces(7), cell_view.hpp. All of it happens in the mount namespace of the caller.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry::supervisor {

bool lies_in(const std::string& path, const std::string& directory);
bool exists(const std::string& path);

// False: errno says why.
bool bind(const std::string& from, const std::string& to);
bool set_read_only(const std::string& path);  // with all that is mounted below

// What is not there needs neither.
Result<void> make_read_only(const std::string& path);
// A path that is there and says nothing: a directory becomes empty, a file or socket /dev/null. That is the
// host's: read-only, so that chmod() does not reach it.
Result<void> hide(const std::string& path);

// What stays visible is taken hold of before anything is hidden, and put back afterwards.
struct Share {
  std::string path;
  Fd tree;
  bool is_directory;
};

Result<std::vector<Share>> hold(const std::vector<std::string>& paths);
Result<void> put_back(const std::vector<Share>& shares);

}  // namespace skerry::supervisor
