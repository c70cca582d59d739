// A file of nftables rules to a ruleset: skerry-nftc compiles the text in a process of its own, and what
// comes back is checked here as if a stranger had written it.
#pragma once

#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "filter/load.hpp"
#include "filter/packet.hpp"
#include "supervisor/plan.hpp"

namespace skerry::ctl {

// Where rules are to stand, and the interfaces that they may name there.
struct RulesPlace {
  filter::Place place = filter::Place::stack;
  std::vector<std::string> interfaces = {filter::kLoopbackName, filter::kNetworkName};
};
// The vswitch of that network, with its ports.
RulesPlace place_at_switch(const supervisor::Plan& plan, const std::string& network);

struct CompiledRules {
  filter::Ruleset ruleset;
  Fd batch;  // the same as a netlink batch, in sealed memory: what a stack is given
  // The line of the file that each rule stands in, by chains and in each by rules; 0 of one that comes from
  // elsewhere; empty if nobody could say, as of standard input.
  std::vector<uint32_t> lines;
  bool says_nothing = false;  // the file: not even that there shall be no rules
};

// "-" is standard input. What nft says about the text goes to stderr as nft says it, with the file's name.
// Errors: the file cannot be read, the compiler did not work, or the rules are refused. `allow_rules`: those
// of an allow-list, which hold beside the file's (supervisor/allow.hpp); with them the file may be empty.
Result<CompiledRules> compile_rules(const std::string& file, const std::string& allow_rules = "",
                                    const RulesPlace& place = {});

// The same of what a program or a switch is to begin with. A file that says nothing is refused too: whatever
// was to write the rules did not, and everything would pass.
Result<CompiledRules> compile_first_rules(const std::string& file, const std::string& allow_rules = "",
                                          const RulesPlace& place = {});

// The same of text of our own; nft's words call it `name`. Without lines.
enum class Complaints { printed, kept };
Result<CompiledRules> compile_text(const std::string& text, const std::string& name,
                                   Complaints complaints = Complaints::printed, const RulesPlace& place = {});

// "web.nft:7", or by its name if the lines are not known: where a rule stands, or with `rule` kNone a policy.
std::string place_of_rule(const filter::Ruleset& ruleset, const std::vector<uint32_t>& lines,
                          const std::string& file, uint32_t chain, uint32_t rule);

// What a file is called in words to a person; "-" is "standard input".
std::string called(const std::string& file);

// By which the file is known to others; "-" becomes "/dev/stdin".
std::string absolute_name(const std::string& file);

}  // namespace skerry::ctl
