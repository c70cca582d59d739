// Signals that travel through the cell: from the user to the launcher, to the cell's init, to the program.
//
// What the terminal sends (Ctrl-C, Ctrl-Z) reaches all processes of the foreground group at once, the program
// too, so only what somebody sent with kill(2) is passed on: otherwise the program would get it twice. Before
// there is a program nobody else gets it, so then every signal counts.
#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

namespace skerry::supervisor {

// Blocks every signal that can be passed on, SIGCHLD and the terminal's stops, and gives a signalfd of them.
Result<Fd> take_over_signals();

// The next signal to pass on, SIGCHLD included; 0 if there is none, or one that the program got by itself.
int take_signal(const Fd& signals);

// The next signal, whoever sent it; 0 if there is none.
int take_any_signal(const Fd& signals);

// True of the signals that end a process by default and that whoever started us does not ignore (nohup(1)).
bool asks_to_end(int number);

// For a child that is about to execute a program: nothing is blocked.
void release_signals();

// What a shell would show for a wait(2) status: the exit status, or 128 + the signal.
int exit_status(int wait_status);

}  // namespace skerry::supervisor
