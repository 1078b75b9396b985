// Prints an answer as it comes; Ctrl-C is left to the shell: streaming MODEL_FILE PROMPT
#include <iostream>
#include <string_view>

#include <symbiont/symbiont.h>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: " << argv[0] << " MODEL_FILE PROMPT\n";
    return 2;
  }
  auto runner = symbiont::LocalGgufRunner::create(argv[1], symbiont::SandboxProfile(), {});
  if (!runner) {
    std::cerr << runner.error().message() << '\n';
    return 1;
  }
  symbiont::ExecutionOptions options;
  options.max_tokens = 64;
  auto print = [](std::string_view text) {
    std::cout << text << std::flush;
    return true;  // false would cancel
  };
  auto result = (*runner)->execute(argv[2], options, print, {});
  std::cout << '\n';
  if (!result) {
    std::cerr << result.error().message() << '\n';
    return 1;
  }
  std::cerr << result->metadata.usage.completion_tokens << " tokens, first after "
            << result->metadata.timing.first_token_ms << " ms\n";
  return 0;
}
