// skerry-cell: the launcher of one program. Started by the supervisor, or by `skerry run`, with its
// environment on descriptor 3; becomes the program's cell (src/supervisor/cell.hpp) and ends with the
// program's status.
#include <cstdio>
#include <filesystem>

#include "run/env.hpp"
#include "supervisor/cell.hpp"

int main() {
  using namespace skerry;
  const auto failed = [](const Error& error) {
    std::fprintf(stderr, "skerry-cell: %s\n", error.message.c_str());
    return supervisor::kExitFailed;
  };
  Result<Env> env = Env::receive();
  if (!env) return failed(env.error());
  Result<Fd> control = env->take("control");
  if (!control) return failed(control.error());
  std::error_code error;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  Result<supervisor::CellSpec> spec =
      supervisor::parse_cell(env->name(), env->settings(), beside / "libskerry-preload.so");
  if (!spec) return failed(spec.error());
  return supervisor::run_cell(*spec, std::move(*control));
}
