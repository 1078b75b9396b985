// make_tiny_gguf OUT [--seed N] [--hostile NAME] | --list-hostile: writes the GGUF files of the
// test suite.
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

#include "gguf_builder.h"

namespace {

using symbiont::testing::Expected;

constexpr int kUsage = 2;

std::string_view to_string(Expected expected) {
  switch (expected) {
    case Expected::PreflightRejects:
      return "preflight-rejects";
    case Expected::EngineRejects:
      return "engine-rejects";
    case Expected::EngineCrashes:
      return "engine-crashes";
    case Expected::Loads:
      return "loads";
  }
  return "loads";
}

int usage() {
  std::cerr << "usage: make_tiny_gguf OUT [--seed N | --hostile NAME]\n       make_tiny_gguf "
               "--list-hostile\n";
  return kUsage;
}

int list_hostile() {
  for (const auto& variant : symbiont::testing::hostile_variants()) {
    std::cout << variant.name << '\t' << to_string(variant.expected) << '\t' << variant.bytes.size()
              << '\n';
  }
  return 0;
}

int write_file(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  (void)out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  (void)out.flush();
  if (out) return 0;
  std::cerr << "make_tiny_gguf: cannot write '" << path << "'\n";
  return 1;
}

int write_hostile(const std::string& path, std::string_view name) {
  for (const auto& variant : symbiont::testing::hostile_variants()) {
    if (variant.name == name) return write_file(path, variant.bytes);
  }
  std::cerr << "make_tiny_gguf: no hostile file '" << name << "', see --list-hostile\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  if (argc == 2 && std::string_view(arguments[1]) == "--list-hostile") return list_hostile();
  if (argc != 2 && argc != 4) return usage();
  const std::string path = arguments[1];
  std::uint32_t seed = 1;
  if (argc == 4) {
    const std::string_view value = arguments[3];
    if (std::string_view(arguments[2]) == "--hostile") return write_hostile(path, value);
    if (std::string_view(arguments[2]) != "--seed") return usage();
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seed);
    if (error != std::errc() || end != value.data() + value.size()) return usage();
  }
  if (path.starts_with('-')) return usage();
  return write_file(path, symbiont::testing::tiny_model(seed));
}
