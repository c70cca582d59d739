// What becomes of a host's resolv.conf(5) in a cell, wherever the host keeps it: the host is a mount
// namespace.
#include "supervisor/cell_view.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/fd.hpp"

namespace skerry::supervisor {
namespace {

namespace fs = std::filesystem;

constexpr int kNoNamespace = 99;

// Of a host whose /etc and /run were empty before `host` filled them: the text, "error: " and why there is no
// cell, or nothing where no namespace can be made.
std::optional<std::string> resolv_conf_in_cell(const std::function<void()>& host,
                                               const std::string& resolver) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("host", "/etc", "tmpfs", 0, nullptr) != 0 ||
        ::mount("host", "/run", "tmpfs", 0, nullptr) != 0)
      ::_exit(kNoNamespace);
    host();
    CellView view;
    view.resolver = resolver;
    view.working_directory = "/";
    const Result<void> made = make_view(view);
    std::ifstream file("/etc/resolv.conf");
    const std::string text =
        made ? std::string(std::istreambuf_iterator<char>(file), {}) : "error: " + made.error().message;
    ::_exit(::write(write_end.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  write_end.reset();
  char text[4096];
  const ssize_t length = ::read(read_end.get(), text, sizeof text);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoNamespace) return std::nullopt;
  EXPECT_EQ(status, 0);
  return std::string(text, static_cast<size_t>(std::max<ssize_t>(length, 0)));
}

void write_resolv_conf(const fs::path& path) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << "search home.test\nnameserver 127.0.0.53\n";
}

// systemd-resolved and NetworkManager keep it in /run, which is empty in a cell.
TEST(CellView, TheResolverIsNamedWhereverTheHostNamesIts) {
  const std::string stub = "/run/systemd/resolve/stub-resolv.conf";
  const std::vector<std::function<void()>> hosts = {
      [] { write_resolv_conf("/etc/resolv.conf"); },
      [&] { write_resolv_conf(stub), fs::create_symlink(".." + stub, "/etc/resolv.conf"); },
      [&] { write_resolv_conf(stub), fs::create_symlink(stub, "/etc/resolv.conf"); },
      [&] {  // by a link in another directory
        write_resolv_conf(stub);
        fs::create_directory("/etc/network");
        fs::create_symlink("../.." + stub, "/etc/network/resolv.conf");
        fs::create_symlink("network/resolv.conf", "/etc/resolv.conf");
      }};
  for (size_t i = 0; i < hosts.size(); ++i) {
    const auto text = resolv_conf_in_cell(hosts[i], "10.77.0.1");
    if (!text) GTEST_SKIP() << "no mount namespaces here";
    EXPECT_EQ(*text, "nameserver 10.77.0.1\nsearch home.test\n") << i;
    EXPECT_EQ(resolv_conf_in_cell(hosts[i], ""), "search home.test\nnameserver 127.0.0.53\n") << i;
  }
}

TEST(CellView, WithoutAPlaceForItTheProgramStartsWithoutNames) {
  const std::vector<std::function<void()>> hosts = {
      [] {}, [] { fs::create_symlink("/etc/nowhere/resolv.conf", "/etc/resolv.conf"); },
      [] { fs::create_symlink("resolv.conf", "/etc/resolv.conf"); }};
  for (const auto& host : hosts) {
    const auto text = resolv_conf_in_cell(host, "10.77.0.1");
    if (!text) GTEST_SKIP() << "no mount namespaces here";
    EXPECT_EQ(*text, "");
  }
}

}  // namespace
}  // namespace skerry::supervisor
