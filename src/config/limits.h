#ifndef SYMBIONT_CONFIG_LIMITS_H_
#define SYMBIONT_CONFIG_LIMITS_H_

// Bounds of every number and size in a configuration, named once: the reader and the checks on
// values share them.

#include <cstddef>
#include <cstdint>

namespace symbiont::config {

inline constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxKeyParts = 32;      ///< of one dotted key
inline constexpr std::size_t kMaxNameBytes = 256;    ///< ids, agents, profiles, hosts
inline constexpr std::size_t kMaxTextBytes = 4'096;  ///< paths, URLs, arguments
inline constexpr std::size_t kMaxListItems =
    4'096;  ///< paths, destinations, system calls, arguments

inline constexpr std::uint64_t kMaxMegabytes = std::uint64_t{1}
                                               << 30;  ///< one PiB in MiB: no overflow in bytes
inline constexpr double kMinCpuCores = 0.01;
inline constexpr double kMaxCpuCores = 4'096;
inline constexpr std::uint64_t kMaxBandwidthMbps = 10'000'000;
inline constexpr std::uint64_t kMaxExecutionSeconds = 604'800;  ///< a week
inline constexpr std::uint64_t kMaxChildProcesses = 65'536;
inline constexpr int kMinPriority = -20;
inline constexpr int kMaxPriority = 19;

inline constexpr std::uint64_t kMinBodyBytes = 1'024;
inline constexpr std::uint64_t kMaxBodyBytes = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kMaxConnections = 1'000'000;
inline constexpr std::uint64_t kMaxHeaderTimeoutSeconds = 3'600;
inline constexpr std::uint64_t kMaxServerTimeoutSeconds = 86'400;
inline constexpr std::uint64_t kMaxExecutions = 4'096;  ///< running at once
inline constexpr std::uint64_t kMaxQueued = 1'000'000;
inline constexpr std::uint64_t kMaxParallel = 64;  ///< sequences of one worker
inline constexpr std::uint64_t kMaxBudgetMb = std::uint64_t{1} << 32U;
inline constexpr std::uint64_t kMaxPerMinute = 1'000'000'000'000;
inline constexpr std::size_t kMaxUnixAgents = 4'096;
inline constexpr std::size_t kMaxSocketPathBytes = 107;  ///< sockaddr_un

}  // namespace symbiont::config

#endif  // SYMBIONT_CONFIG_LIMITS_H_
