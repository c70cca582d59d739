// dlopen(3) without RTLD_DEEPBIND. A library that is loaded with that flag finds libc's functions before
// ours, so its sockets would be the kernel's; PHP loads its extensions so: sockets, curl, the clients of
// databases.
//
// dlopen() goes by who calls it (its RUNPATH, $ORIGIN), and learns that from the address it returns to. So
// this is a jump and not a call, which C++ cannot promise.
#include "preload/interpose.hpp"

namespace skerry::preload {
namespace {

using Dlopen = void*(const char*, int);
constinit Next<Dlopen> next_dlopen{"dlopen"};
static_assert(RTLD_DEEPBIND == 8, "as written below");

}  // namespace

extern "C" __attribute__((used, visibility("hidden"))) Dlopen* skerry_next_dlopen() {
  return next_dlopen.found();
}

}  // namespace skerry::preload

#if defined(__x86_64__)
asm(R"(
  .pushsection .text
  .globl dlopen
  .type dlopen, @function
dlopen:
  .cfi_startproc
  endbr64
  pushq %rdi
  .cfi_adjust_cfa_offset 8
  pushq %rsi
  .cfi_adjust_cfa_offset 8
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  call skerry_next_dlopen
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  popq %rsi
  .cfi_adjust_cfa_offset -8
  popq %rdi
  .cfi_adjust_cfa_offset -8
  andl $~8, %esi
  jmp *%rax
  .cfi_endproc
  .size dlopen, . - dlopen
  .popsection
)");
#elif defined(__aarch64__)
asm(R"(
  .pushsection .text
  .globl dlopen
  .type dlopen, %function
dlopen:
  .cfi_startproc
  hint #34  // bti c
  stp x29, x30, [sp, #-32]!
  .cfi_adjust_cfa_offset 32
  .cfi_rel_offset x29, 0
  .cfi_rel_offset x30, 8
  stp x0, x1, [sp, #16]
  bl skerry_next_dlopen
  mov x16, x0
  ldp x0, x1, [sp, #16]
  ldp x29, x30, [sp], #32
  .cfi_adjust_cfa_offset -32
  .cfi_restore x29
  .cfi_restore x30
  and w1, w1, #0xfffffff7
  br x16
  .cfi_endproc
  .size dlopen, . - dlopen
  .popsection
)");
#else
#error "say here how to jump to libc's dlopen() on this processor"
#endif
