// llama.cpp without any of us: loads MODEL, decodes TOKENS greedily with THREADS threads, prints
// the tokens a second of the decode alone. The other side of decode_ratio.

#include <llama.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int threads = std::atoi(argv[2]);  // NOLINT(cert-err34-c): called by decode_ratio only
  const int tokens = std::atoi(argv[3]);   // NOLINT(cert-err34-c)
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) return 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 4096;
  params.n_threads = threads;
  params.n_threads_batch = threads;
  llama_context* context = llama_init_from_model(model, params);
  const llama_vocab* vocabulary = llama_model_get_vocab(model);
  const std::string prompt = "Count from one to one thousand: one, two, three, four,";
  std::vector<llama_token> input(256);
  const int count = llama_tokenize(vocabulary, prompt.data(), static_cast<int>(prompt.size()),
                                   input.data(), static_cast<int>(input.size()), true, true);
  input.resize(static_cast<std::size_t>(count));
  llama_sampler* sampler = llama_sampler_init_greedy();
  if (llama_decode(context, llama_batch_get_one(input.data(), count)) != 0) return 1;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < tokens; ++i) {
    llama_token token = llama_sampler_sample(sampler, context, -1);
    if (llama_decode(context, llama_batch_get_one(&token, 1)) != 0) return 1;
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  std::printf("%.3f\n", tokens / spent.count());
  return 0;
}
