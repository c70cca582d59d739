// skerry-stack: TCP/IP for exactly one program. Takes what the supervisor grants, makes the stack of it,
// walls itself in and breathes. Read first: ARCHITECTURE.md, then stack_process.hpp.
#include <memory>

#include "descriptors.hpp"
#include "granted_memory.hpp"
#include "run/link_end.hpp"
#include "run/process.hpp"
#include "settings.hpp"
#include "stack_process.hpp"

namespace skerry {
namespace {

template <class Wire>
Result<void> start(Process process, StackSettings settings, Descriptors fds, ShmLink link) {
  Result<GrantedMemory> memory = GrantedMemory::map(fds.arena, fds.session, settings);
  if (!memory) return memory.error();
  const auto stack =
      std::make_unique<StackProcess<Wire>>(std::move(process), std::move(settings), std::move(link), *memory);
  Result<void> done =
      stack->open_doors({std::move(fds.listener), std::move(fds.session), std::move(fds.session_ring)},
                        std::move(fds.session_wake));
  if (done && fds.names) done = stack->insist_on_allow_list(std::move(fds.names));
  if (done) done = confine(Confinement::stack);
  // A stranger's bytes, so behind the walls; and before its first frame.
  if (done) done = stack->load_rules(std::move(fds.rules));
  if (done) stack->breathe();
  return done;
}

Result<void> run() {
  Result<Process> process = Process::receive();
  if (!process) return process.error();
  Result<StackSettings> settings = StackSettings::from(process->env.settings());
  if (!settings) return settings.error();
  Result<Descriptors> fds = Descriptors::take(process->env, settings->allow.has_value());
  if (!fds) return fds.error();
  Result<LinkDescriptors> ends = take_link(process->env, settings->link["end"]);
  if (!ends) return ends.error();
  Result<ShmLink> link = open_link(std::move(*ends), settings->link, settings->mac);
  if (!link) return link.error();
  const auto begin = settings->lossy_seed ? &start<BadWire> : &start<GoodWire>;
  return begin(std::move(*process), std::move(*settings), std::move(*fds), std::move(*link));
}

}  // namespace
}  // namespace skerry

int main() {
  const skerry::Result<void> done = skerry::run();
  return done ? 0 : skerry::exit_with("skerry-stack", done.error());
}
