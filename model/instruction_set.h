// The instruction sets that kernels are written for, chosen at run time.
#ifndef TANDEM_MODEL_INSTRUCTION_SET_H_
#define TANDEM_MODEL_INSTRUCTION_SET_H_

// Functions with this attribute may use AVX2, FMA and F16C, whatever the rest
// is compiled for; they are called where BestInstructionSet() says so.
// TANDEM_VECTORISED is the same for plain loops that the compiler vectorises:
// elsewhere than on x86 they need no attribute.
#if defined(__x86_64__)
#define TANDEM_AVX2 __attribute__((target("avx2,fma,f16c")))
#define TANDEM_VECTORISED TANDEM_AVX2
#else
#define TANDEM_VECTORISED
#endif

// A kernel's body, written once and compiled into a portable function and a
// vectorised one.
#define TANDEM_BODY [[gnu::always_inline]] inline

namespace tandem {

// In rising order: each contains those before it.
enum class InstructionSet {
  kPortable,
  kAvx2,  // with FMA and F16C
  kVnni,  // AVX512-VNNI on 256-bit registers
};

inline InstructionSet BestInstructionSet() {
#if defined(__x86_64__)
  static const InstructionSet best = [] {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("f16c"))
      return InstructionSet::kPortable;
    const bool vnni = __builtin_cpu_supports("avx512vnni") &&
                      __builtin_cpu_supports("avx512vl");
    return vnni ? InstructionSet::kVnni : InstructionSet::kAvx2;
  }();
  return best;
#else
  return InstructionSet::kPortable;
#endif
}

inline bool HasAvx2() {
  return BestInstructionSet() != InstructionSet::kPortable;
}

}  // namespace tandem

#endif  // TANDEM_MODEL_INSTRUCTION_SET_H_
