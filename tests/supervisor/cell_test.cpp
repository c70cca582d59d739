// The cell from inside: real programs in it, the test in the supervisor's place.
#include "supervisor/cell.hpp"

#include <arpa/inet.h>
#include <elf.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "run/control.hpp"
#include "supervisor/program_file.hpp"
#include "supervisor/spawn.hpp"

namespace skerry::supervisor {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr int kPatienceMs = 20'000;

// One cell with its program, and what it printed.
class Cell {
 public:
  explicit Cell(std::vector<std::string> argv, json more = json::object(),
                const std::vector<std::string>& variables = {}) {
    settings_ = {{"argv", argv}, {"executable", argv.front()}, {"working_directory", "/"}, {"preload", ""}};
    settings_.update(more);
    Result<std::pair<Fd, Fd>> pair = create_control_pair();
    int output[2];
    EXPECT_EQ(::pipe2(output, O_CLOEXEC), 0);
    output_.reset(output[0]);
    const Fd output_write(output[1]);
    Launch launch;
    launch.executable = SKERRY_CELL;
    launch.name = "tested";
    launch.kind = "program";
    launch.settings = settings_;
    launch.grants = {{"control", pair->second.get()}};
    launch.surrounding = {"PATH=/usr/bin:/bin", "KEPT=yes"};
    launch.surrounding.insert(launch.surrounding.end(), variables.begin(), variables.end());
    launch.output_fd = launch.log_fd = output_write.get();
    Result<Child> child = spawn(launch);
    EXPECT_TRUE(child) << child.error().message;
    if (child) child_ = std::move(*child);
    control_ = std::move(pair->first);
  }
  ~Cell() {
    if (child_.pid <= 0) return;
    ::kill(child_.pid, SIGKILL);
    ::waitpid(child_.pid, nullptr, 0);
  }

  // The listener that init made; nothing if it never came.
  Fd listener() {
    pollfd source{control_.get(), POLLIN, 0};
    if (::poll(&source, 1, kPatienceMs) != 1) return {};
    Result<ControlMessage> message = receive_control(control_);
    if (!message || message->body.value("event", "") != "listener" || message->fds.size() != 1) return {};
    return std::move(message->fds.front());
  }
  void say(const json& message) { EXPECT_TRUE(send_control(control_, message)); }
  void hang_up() { control_.reset(); }
  void signal(int number) {
    ASSERT_GT(child_.pid, 1) << "there is no launcher";
    ::kill(child_.pid, number);
  }
  pid_t pid() const { return child_.pid; }

  // Reads output until `text` has appeared.
  bool printed(const std::string& text) {
    while (text_.find(text) == std::string::npos) {
      pollfd source{output_.get(), POLLIN, 0};
      if (::poll(&source, 1, kPatienceMs) != 1 || !read_piece()) return false;
    }
    return true;
  }
  // Waits for the end of everything in the cell.
  int status() {
    while (read_piece()) {
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child_.pid, &status, 0), child_.pid);
    child_.pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  const std::string& text() const { return text_; }

 private:
  bool read_piece() {
    std::array<char, 4096> piece;
    const ssize_t got = ::read(output_.get(), piece.data(), piece.size());
    if (got > 0) text_.append(piece.data(), static_cast<size_t>(got));
    return got > 0;
  }

  json settings_;
  Child child_;
  Fd control_, output_;
  std::string text_;
};

struct Outcome {
  int status;
  std::string text;
};

Outcome run(std::vector<std::string> argv, json more = json::object()) {
  Cell cell(std::move(argv), std::move(more));
  if (const Fd listener = cell.listener()) cell.say({{"command", "start"}});
  const int status = cell.status();
  return {status, cell.text()};
}

Outcome shell(const std::string& script, json more = json::object()) {
  return run({"/bin/sh", "-c", script}, std::move(more));
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/sk-cell-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Fd listen_at(const std::string& path) {
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(listener.get(), 4), 0);
  return listener;
}

TEST(Cell, GivesTheProgramsOwnStatus) {
  EXPECT_EQ(shell("exit 0").status, 0);
  EXPECT_EQ(shell("exit 3").status, 3);
  EXPECT_EQ(shell("kill -9 $$").status, 128 + SIGKILL);
  EXPECT_EQ(shell("kill -SEGV $$").status, 128 + SIGSEGV);
}

TEST(Cell, HandsOnArgumentsEnvironmentAndDirectory) {
  const Outcome outcome = run({"/bin/sh", "-c", "echo \"$0 $1 $KEPT $ADDED $PWD\"", "zero", "one two"},
                              {{"environment", {{"ADDED", "a=b"}}}, {"working_directory", "/usr"}});
  EXPECT_EQ(outcome.text, "zero one two yes a=b /usr\n");
}

TEST(Cell, StartsTheProgramOnlyWhenTold) {
  Cell cell({"/bin/sh", "-c", "echo began"});
  const Fd listener = cell.listener();
  ASSERT_TRUE(listener);
  ::usleep(100'000);
  EXPECT_EQ(cell.text(), "");
  cell.say({{"command", "start"}});
  EXPECT_EQ(cell.status(), 0);
  EXPECT_EQ(cell.text(), "began\n");
}

TEST(Cell, PrintsWhyItWasRefused) {
  Cell cell({"/bin/true"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "refuse"}, {"error", "the network is full"}});
  EXPECT_EQ(cell.status(), kExitFailed);
  EXPECT_EQ(cell.text(), "skerry: tested: the network is full\n");
}

TEST(Cell, ProgramsReachTheListenerAndNobodyElseDoes) {
  Cell cell(
      {"/usr/bin/python3", "-c",
       "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('\\0skerry'); "
       "s.send(b'hello'); print(s.recv(16).decode())"});
  const Fd listener = cell.listener();
  ASSERT_TRUE(listener);
  cell.say({{"command", "start"}});
  pollfd source{listener.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&source, 1, kPatienceMs), 1);
  const Fd session(::accept(listener.get(), nullptr, nullptr));
  ucred peer{};
  socklen_t length = sizeof peer;
  ASSERT_EQ(::getsockopt(session.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
  EXPECT_GT(peer.pid, 0) << "the stack can tell its program's processes apart";
  EXPECT_EQ(peer.uid, ::geteuid());
  EXPECT_EQ(::send(session.get(), "welcome", 7, 0), 7);
  EXPECT_EQ(cell.status(), 0);
  EXPECT_EQ(cell.text(), "welcome\n");

  // The name is one of the cell's network namespace: it does not exist out here.
  const Fd outside(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, "skerry", 6);
  EXPECT_NE(
      ::connect(outside.get(), reinterpret_cast<sockaddr*>(&address), offsetof(sockaddr_un, sun_path) + 7),
      0);
}

// What no preload can see reaches nothing: the same raw calls that connect outside fail inside.
TEST(Cell, RawSystemCallsOfAStaticProgramReachNothing) {
  const Fd server(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(server.get(), 4), 0);
  socklen_t length = sizeof address;
  ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &length);
  const std::string command = std::string(SKERRY_CELL_PROBE) + " " + std::to_string(ntohs(address.sin_port));

  FILE* outside = ::popen(command.c_str(), "r");
  char line[64] = {};
  ASSERT_NE(std::fgets(line, sizeof line, outside), nullptr);
  ::pclose(outside);
  EXPECT_STREQ(line, "connect-loopback ok\n") << "the probe does not work at all";

  const Outcome inside = shell(command);
  std::map<std::string, std::string> said;
  std::istringstream lines(inside.text);
  for (std::string name, result; lines >> name >> result;) said[name] = result;
  std::map<std::string, std::string> expected = {{"connect-loopback", "ENETUNREACH"},
                                                 {"connect-outside", "ENETUNREACH"},
                                                 {"datagram", "ENETUNREACH"},
                                                 {"packet", "EAFNOSUPPORT"},
                                                 {"vsock", "EAFNOSUPPORT"},
                                                 {"vsock-high-bits", "EAFNOSUPPORT"},
                                                 {"bluetooth", "EAFNOSUPPORT"},
                                                 {"alg", "EAFNOSUPPORT"},
                                                 {"raw", "EPERM"},
                                                 {"unix", "ok"},
                                                 {"route", "ok"},
                                                 {"netfilter", "EPROTONOSUPPORT"},
                                                 {"io_uring", "ENOSYS"},
                                                 {"userfaultfd", "EPERM"},
                                                 {"bpf", "EPERM"},
                                                 {"perf", "EPERM"},
                                                 {"keyctl", "ENOSYS"},
                                                 {"tiocsti", "EPERM"},
                                                 {"mount", "EPERM"},
                                                 {"unmount-proc", "EPERM"},
                                                 {"unmount-run", "EPERM"},
                                                 {"trace-init", "EPERM"},
                                                 {"tun", "ENOENT"},
                                                 {"init-memory", "EACCES"},
                                                 {"core-pattern", ::geteuid() == 0 ? "EROFS" : "EACCES"},
                                                 {"chroot", ::geteuid() == 0 ? "ok" : "EPERM"}};
  if (::geteuid() == 0) {
    expected.insert({{"chroot-namespace", "EPERM"},
                     {"chroot-cell", "ok"},
                     {"chroot-mount", "EPERM"},
                     {"chroot-unmount", "EPERM"},
                     {"chroot-core-pattern", "EROFS"},
                     {"chroot-init", "EACCES"},
                     {"chroot-tun", "ENOENT"}});
  }
  EXPECT_EQ(said, expected);
}

TEST(Cell, IsAlone) {
  const Outcome outcome = shell(
      "echo fds $(cd /proc/self/fd; echo *); ls -d /proc/[0-9]* | wc -l; ls -A /run | grep -v ^skerry; ls -A "
      "/dev/shm; "
      "cut -d: -f1 /proc/net/dev | tail -n +3; ls /proc/1/fd 2>/dev/null; id -u; cat /proc/net/unix | wc -l");
  // The shell's own view of its descriptors (expansion opens the directory), then at most sh, ls, wc and
  // init.
  std::istringstream lines(outcome.text);
  std::string line;
  std::getline(lines, line);
  EXPECT_THAT(line, testing::MatchesRegex("fds 0 1 2( [0-9]+)?")) << outcome.text;
  int processes = 0;
  lines >> processes;
  EXPECT_LE(processes, 4);
  std::string interface;
  lines >> interface;
  EXPECT_EQ(interface, "lo");
  unsigned uid = 12345;
  lines >> uid;
  EXPECT_EQ(uid, ::geteuid());
  EXPECT_EQ(outcome.status, 0);
}

TEST(Cell, LeavesNoProcessBehind) {
  TemporaryDirectory directory;
  ::chmod(directory.path().c_str(), 0777);
  const Outcome outcome =
      shell("(trap '' TERM HUP; echo $$ >" + (directory / "pid") + "; sleep 1000) & sleep 0.1; exit 4");
  EXPECT_EQ(outcome.status, 4);
  // Everything that could write to our pipe has ended, or status() would not have returned.
}

TEST(Cell, HidesListeningSocketsUnlessShared) {
  TemporaryDirectory directory;
  ::chmod(directory.path().c_str(), 0777);
  const std::string path = directory / "service";
  const Fd service = listen_at(path);
  ::chmod(path.c_str(), 0777);
  const std::string script =
      "import socket; s = socket.socket(socket.AF_UNIX); "
      "print(s.connect_ex('" +
      path + "'))";
  EXPECT_EQ(run({"/usr/bin/python3", "-c", script}).text, std::to_string(ECONNREFUSED) + "\n");
  EXPECT_EQ(run({"/usr/bin/python3", "-c", script}, {{"shares", {path}}}).text, "0\n");
  EXPECT_EQ(run({"/usr/bin/python3", "-c", script}, {{"shares", {directory.path()}}}).text, "0\n");
}

// Whoever connects to a control socket ends, joins and mirrors that network, and whoever makes one answers
// for its supervisor. So the place is out of reach for good: also for what comes into it after the start.
TEST(Cell, RuntimeDirectoryIsOutOfReach) {
  TemporaryDirectory directory;
  ::chmod(directory.path().c_str(), 0777);
  const std::string place = directory / "run";
  const std::string standard =
      ::geteuid() == 0 ? "/run/skerry" : "/tmp/skerry-" + std::to_string(::geteuid());
  const std::string script =
      "import errno, os, socket\n"
      "def attempt(call, *arguments):\n"
      "    try: print(call(*arguments) or 'done', end=' ')\n"
      "    except OSError as problem: print(errno.errorcode[problem.errno], end=' ')\n"
      "attempt(socket.socket(socket.AF_UNIX).connect, '" +
      place +
      "/later/control')\n"
      "for place in ('" +
      place + "', '" + standard +
      "'):\n"
      "    attempt(os.mkdir, place + '/planted')\n"
      "    attempt(os.rename, place, place + '-away')\n"
      "    attempt(os.rmdir, place)\n";
  const json shares_or_not[] = {json::object(), {{"shares", {directory.path()}}}};
  for (const json& more : shares_or_not) {
    Cell cell({"/usr/bin/python3", "-c", script}, more, {"SKERRY_RUNTIME_DIR=" + place});
    ASSERT_TRUE(cell.listener()) << cell.text();
    fs::create_directories(place + "/later");
    const Fd control = listen_at(place + "/later/control");
    cell.say({{"command", "start"}});
    EXPECT_EQ(cell.status(), 0);
    EXPECT_EQ(cell.text(), "ENOENT EROFS EBUSY EBUSY EROFS EBUSY EBUSY ") << more;
    fs::remove_all(place);
  }
}

TEST(Cell, SharesWhatLiesInHiddenDirectories) {
  if (::access("/dev/net/tun", F_OK) != 0) GTEST_SKIP() << "no /dev/net/tun here";
  EXPECT_NE(shell("test -c /dev/net/tun").status, 0);
  EXPECT_EQ(shell("test -c /dev/net/tun", {{"shares", {"/dev/net/tun"}}}).status, 0);
}

// A directory that is hidden must not stay reachable through the working directory.
TEST(Cell, WorkingDirectoryLiesInsideTheView) {
  EXPECT_EQ(shell("ls -A | grep -v ^skerry", {{"working_directory", "/run"}}).text, "");
  const Outcome gone = shell("true", {{"working_directory", "/dev/net"}});
  EXPECT_EQ(gone.status, kExitFailed);
  EXPECT_THAT(gone.text, HasSubstr("--share"));
}

TEST(Cell, KnowsTheNamesOfItsNetwork) {
  const Outcome outcome = shell("cat /etc/hosts", {{"hosts", {{"redis", "10.77.0.2"}}}});
  EXPECT_TRUE(outcome.text.starts_with("10.77.0.2\tredis\n")) << outcome.text;
  std::ifstream host("/etc/hosts");
  std::stringstream text;
  text << host.rdbuf();
  EXPECT_TRUE(outcome.text.ends_with(text.str()));
  EXPECT_EQ(text.str().find("10.77.0.2\tredis"), std::string::npos) << "the host's own file was changed";
}

TEST(Cell, DevicesThatProgramsExpect) {
  EXPECT_EQ(
      shell("echo x >/dev/null && head -c 4 /dev/urandom | wc -c && echo y >/dev/shm/f && cat /dev/shm/f && "
            "ls /dev | tr '\\n' ' '")
          .text,
      "4\ny\nfd full null ptmx pts random shm stderr stdin stdout tty urandom zero ");
}

// The host's /dev/null, whose mode all of its programs depend on: root in a cell owns it by its number.
TEST(Cell, TheModeOfADeviceIsTheHosts) {
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat("/dev/null", &before), 0);
  EXPECT_NE(shell("chmod 600 /dev/null").status, 0);
  EXPECT_EQ(shell("echo x >/dev/null && exec cat /dev/null").status, 0);
  ASSERT_EQ(::stat("/dev/null", &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  if (after.st_mode != before.st_mode) ::chmod("/dev/null", before.st_mode);
}

TEST(Cell, MakesPseudoTerminalsOfItsOwn) {
  EXPECT_EQ(shell("ls /dev/pts; python3 -c 'import os; print(os.ttyname(os.openpty()[1]))'").text,
            "ptmx\n/dev/pts/0\n");
}

TEST(Cell, PassesSignalsOn) {
  Cell cell({"/bin/sh", "-c", "trap 'echo got it; exit 5' TERM; echo ready; while :; do sleep 0.05; done"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "start"}});
  ASSERT_TRUE(cell.printed("ready"));
  cell.signal(SIGTERM);
  EXPECT_EQ(cell.status(), 5);
  EXPECT_THAT(cell.text(), HasSubstr("got it"));
}

TEST(Cell, EndsWhenASignalComesBeforeTheStack) {
  Cell cell({"/bin/sh", "-c", "echo never"});
  ASSERT_TRUE(cell.listener());
  cell.signal(SIGTERM);
  EXPECT_EQ(cell.status(), 128 + SIGTERM);
  EXPECT_EQ(cell.text(), "");
}

// Ctrl-Z: the launcher stops when the program has stopped, and continues it when it is continued.
TEST(Cell, StopsAndContinuesWithItsProgram) {
  Cell cell({"/bin/sh", "-c", "echo ready; kill -STOP $$; echo again"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "start"}});
  ASSERT_TRUE(cell.printed("ready"));
  int status = 0;
  ASSERT_EQ(::waitpid(cell.pid(), &status, WUNTRACED), cell.pid());
  ASSERT_TRUE(WIFSTOPPED(status));
  cell.signal(SIGCONT);
  EXPECT_EQ(cell.status(), 0);
  EXPECT_THAT(cell.text(), HasSubstr("again"));
}

TEST(Cell, EndsWithItsSupervisor) {
  Cell cell({"/bin/sh", "-c", "echo ready; sleep 1000"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "start"}});
  ASSERT_TRUE(cell.printed("ready"));
  cell.hang_up();
  EXPECT_EQ(cell.status(), kExitFailed);
  EXPECT_THAT(cell.text(), HasSubstr("the supervisor ended"));
}

TEST(Cell, SaysWhyItIsToldToEnd) {
  Cell cell({"/bin/sh", "-c", "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.05; done"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "start"}});
  ASSERT_TRUE(cell.printed("ready"));
  cell.say({{"command", "end"}, {"error", "its stack died"}});
  EXPECT_EQ(cell.status(), 5);
  EXPECT_EQ(cell.text(), "ready\nskerry: tested: its stack died\nasked\n");
}

TEST(Cell, WhoeverDoesNotEndWhenToldIsKilledAndItSaysSo) {
  Cell cell({"/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "start"}});
  ASSERT_TRUE(cell.printed("ready"));
  cell.say({{"command", "end"}, {"error", ""}});
  cell.hang_up();
  EXPECT_EQ(cell.status(), 128 + SIGKILL);
  EXPECT_THAT(cell.text(), HasSubstr("did not end when it was told to"));
}

TEST(Cell, EndsWithItsLauncher) {
  Cell cell({"/bin/sh", "-c", "echo ready; sleep 1000"});
  ASSERT_TRUE(cell.listener());
  cell.say({{"command", "start"}});
  ASSERT_TRUE(cell.printed("ready"));
  cell.signal(SIGKILL);
  EXPECT_EQ(cell.status(), 1000 + SIGKILL);  // returns only when the program's end of the pipe is closed too
}

TEST(Cell, RefusesWhatItCannotServe) {
  TemporaryDirectory directory;
  ::chmod(directory.path().c_str(), 0755);
  Outcome outcome = run({SKERRY_CELL_PROBE});
  EXPECT_EQ(outcome.status, kExitNotExecutable);
  EXPECT_THAT(outcome.text, HasSubstr("is statically linked"));
  outcome = run({"/nonexistent/program"});
  EXPECT_EQ(outcome.status, kExitNotFound);
  EXPECT_EQ(outcome.text, "skerry: tested: /nonexistent/program cannot be run: No such file or directory\n");
  outcome = run({"/etc/hosts"});
  EXPECT_EQ(outcome.status, kExitNotExecutable);
  outcome = run({"/bin/true"}, {{"preload", "/nonexistent/libskerry-preload.so"}});
  EXPECT_EQ(outcome.status, kExitFailed);
}

// Their sockets are system calls of their own, so they would have no network, without a word.
TEST(ProgramFile, RefusesDynamicProgramsOfGo) {
  TemporaryDirectory directory;
  const auto program = [&](const std::string& section) {
    struct {
      Elf64_Ehdr header{};
      Elf64_Phdr interpreter{};
      Elf64_Shdr sections[3]{};
      char names[64]{};
    } image;
    std::memcpy(image.header.e_ident, ELFMAG, SELFMAG);
    image.header.e_ident[EI_CLASS] = ELFCLASS64;
#if defined(__x86_64__)
    image.header.e_machine = EM_X86_64;
#else
    image.header.e_machine = EM_AARCH64;
#endif
    image.header.e_phentsize = sizeof(Elf64_Phdr);
    image.header.e_phoff = offsetof(decltype(image), interpreter);
    image.header.e_phnum = 1;
    image.interpreter.p_type = PT_INTERP;
    image.header.e_shoff = offsetof(decltype(image), sections);
    image.header.e_shnum = 3;
    image.header.e_shstrndx = 2;
    image.sections[1].sh_name = 1;
    image.sections[2].sh_offset = offsetof(decltype(image), names);
    section.copy(image.names + 1, sizeof image.names - 2);
    const std::string path = directory / "program";
    std::ofstream(path).write(reinterpret_cast<const char*>(&image), sizeof image);
    ::chmod(path.c_str(), 0755);
    return path;
  };
  EXPECT_TRUE(check_program_file(program(".go.buildinformation")));
  // What each of them has, whoever linked it and with or without a build identity.
  const Result<void> refused = check_program_file(program(".go.buildinfo"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("is a Go program"));
}

TEST(ProgramFile, LooksThroughScripts) {
  TemporaryDirectory directory;
  const auto script = [&](const std::string& text) {
    const std::string path = directory / "script";
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0755);
    return path;
  };
  EXPECT_TRUE(check_program_file(script("#!/bin/sh\necho\n")));
  EXPECT_TRUE(check_program_file(script("#! /usr/bin/env python3\n")));
  EXPECT_FALSE(check_program_file(script(std::string("#!") + SKERRY_CELL_PROBE + "\n")));
  EXPECT_FALSE(check_program_file(script("#!\n")));
  EXPECT_FALSE(check_program_file(script("")));
  EXPECT_FALSE(
      check_program_file(script("\x7f"
                                "ELF")));
  EXPECT_FALSE(check_program_file(script("#!" + (directory / "script") + "\n")));
  EXPECT_FALSE(check_program_file(directory.path()));
}

TEST(ProgramFile, RefusesPrivilegedPrograms) {
  TemporaryDirectory directory;
  const std::string path = directory / "copy";
  fs::copy_file("/bin/true", path);
  EXPECT_TRUE(check_program_file(path));
  ::chmod(path.c_str(), 04755);
  Result<void> refused = check_program_file(path);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("setuid"));
  ::chmod(path.c_str(), 02755);
  EXPECT_FALSE(check_program_file(path));
}

}  // namespace
}  // namespace skerry::supervisor
