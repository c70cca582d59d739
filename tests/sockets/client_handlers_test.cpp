// Signals that come while handlers are kept off, both at once or one behind the other: none is lost.
#include "sockets/client_handlers.hpp"
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

namespace skerry::sockets {
namespace {

volatile int came[_NSIG] = {};
volatile bool another_comes = false;  // while SIGUSR1 is put off

void count(int signal, siginfo_t* info, void* context) {
  auto& mask = *reinterpret_cast<uint64_t*>(&static_cast<ucontext_t*>(context)->uc_sigmask);
  if (!client::put_off(*info, mask))
    came[signal] = came[signal] + 1;
  else if (signal == SIGUSR1 && another_comes)
    ::raise(SIGUSR2);
}

class KeptOffHandlers : public ::testing::Test {
 protected:
  KeptOffHandlers() {
    struct sigaction counting {};
    counting.sa_sigaction = count;
    counting.sa_flags = SA_SIGINFO;
    for (const int signal : {SIGUSR1, SIGUSR2}) {
      ::sigaction(signal, &counting, nullptr);
      came[signal] = 0;
    }
  }
  ~KeptOffHandlers() override {
    another_comes = false;
    ::signal(SIGUSR1, SIG_DFL);
    ::signal(SIGUSR2, SIG_DFL);
  }
};

// Unblocked together they are the kernel's to deliver in one go, the second on top of the first.
TEST_F(KeptOffHandlers, OfTwoSignalsAtOnceNoneIsLost) {
  sigset_t both, before;
  sigemptyset(&both);
  for (const int signal : {SIGUSR1, SIGUSR2}) sigaddset(&both, signal);
  ::pthread_sigmask(SIG_BLOCK, &both, &before);
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  {
    const client::NoHandlers none;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(came[SIGUSR1] + came[SIGUSR2], 0);
  }
  EXPECT_EQ(came[SIGUSR1], 1);
  EXPECT_EQ(came[SIGUSR2], 1);
}

TEST_F(KeptOffHandlers, OneThatComesWhileAnotherIsPutOffLosesNone) {
  sigset_t now;
  another_comes = true;
  {
    const client::NoHandlers none;
    ::raise(SIGUSR1);
  }
  EXPECT_EQ(came[SIGUSR1], 1);
  EXPECT_EQ(came[SIGUSR2], 1);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
  EXPECT_FALSE(sigismember(&now, SIGUSR1) || sigismember(&now, SIGUSR2));
}

}  // namespace
}  // namespace skerry::sockets
