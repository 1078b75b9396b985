#include "gguf_builder.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <utility>

namespace symbiont::testing {
namespace {

constexpr std::uint32_t kEmbedding = 64;
constexpr std::uint32_t kBlocks = 2;
constexpr std::uint32_t kKeyValueWidth = 32;  // head_count_kv * head size
constexpr std::uint32_t kFeedForward = 128;
// Values of llama_token_type.
constexpr std::int32_t kNormalToken = 1;
constexpr std::int32_t kUnknownToken = 2;
constexpr std::int32_t kControlToken = 3;
constexpr std::int32_t kByteToken = 6;

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;

  void add(std::string token, float score, std::int32_t type) {
    tokens.push_back(std::move(token));
    scores.push_back(score);
    types.push_back(type);
  }
};

Vocabulary make_vocabulary(std::uint32_t size) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  Vocabulary vocabulary;
  vocabulary.add("<unk>", 0, kUnknownToken);
  vocabulary.add("<s>", 0, kControlToken);
  vocabulary.add("</s>", 0, kControlToken);
  for (unsigned byte = 0; byte < 256; ++byte) {
    vocabulary.add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 0, kByteToken);
  }
  constexpr std::string_view kSpace = "\xe2\x96\x81";  // SentencePiece's U+2581
  const auto next_score = [&] { return -static_cast<float>(vocabulary.tokens.size()); };
  vocabulary.add(std::string(kSpace), next_score(), kNormalToken);
  for (char c = '!'; c <= '~'; ++c)
    vocabulary.add(std::string(1, c), next_score(), kNormalToken);
  // Pairs make words out of letters: "▁a", "▁b", ..., then "aa", "ab", ... until the size is
  // reached.
  for (char c = 'a'; c <= 'z'; ++c)
    vocabulary.add(std::string(kSpace) + c, next_score(), kNormalToken);
  for (unsigned pair = 0; vocabulary.tokens.size() < size; ++pair) {
    std::string token;
    for (unsigned rest = pair + 26; rest > 0; rest /= 26)
      token += static_cast<char>('a' + (rest % 26));
    vocabulary.add(std::move(token), next_score(), kNormalToken);
  }
  return vocabulary;
}

template <typename T>
std::string packed(const std::vector<T>& values) {
  std::string out;
  out.reserve(values.size() * sizeof(T));
  for (const T value : values)
    out += little_endian(value);
  return out;
}

std::string random_weights(std::mt19937& engine, std::uint64_t count) {
  // Not std::normal_distribution: its output differs between standard libraries.
  std::vector<float> values(count);
  for (float& value : values)
    value = (static_cast<float>(engine()) / 4294967296.0F - 0.5F) * 0.2F;
  return packed(values);
}

void add_weights(GgufFile& file,
                 std::mt19937& engine,
                 std::string name,
                 std::vector<std::uint64_t> dimensions) {
  std::uint64_t count = 1;
  for (const std::uint64_t dimension : dimensions)
    count *= dimension;
  const bool is_norm = dimensions.size() == 1;
  file.tensors.push_back(
      {.name = std::move(name),
       .dimensions = std::move(dimensions),
       .data = is_norm ? packed(std::vector<float>(count, 1.0F)) : random_weights(engine, count)});
}

void add_tokenizer(GgufFile& file, const TinyModelOptions& options) {
  const Vocabulary vocabulary = make_vocabulary(options.vocabulary);
  std::string tokens;
  for (const std::string& token : vocabulary.tokens)
    tokens += gguf_string(token);
  const std::uint64_t count = vocabulary.tokens.size();
  file.set_string("tokenizer.ggml.model", "llama");
  file.set("tokenizer.ggml.tokens", GgufType::Array, gguf_array(GgufType::String, count, tokens));
  file.set("tokenizer.ggml.scores", GgufType::Array,
           gguf_array(GgufType::Float32, count, packed(vocabulary.scores)));
  file.set("tokenizer.ggml.token_type", GgufType::Array,
           gguf_array(GgufType::Int32, count, packed(vocabulary.types)));
  file.set_u32("tokenizer.ggml.unknown_token_id", 0);
  file.set_u32("tokenizer.ggml.bos_token_id", 1);
  file.set_u32("tokenizer.ggml.eos_token_id", 2);
  file.set_string("tokenizer.chat_template", options.chat_template);
}

std::uint64_t aligned(std::uint64_t offset, std::uint64_t alignment) {
  return alignment == 0 ? offset : (offset + alignment - 1) / alignment * alignment;
}

}  // namespace

std::string gguf_string(std::string_view text) {
  return little_endian<std::uint64_t>(text.size()).append(text);
}

std::string gguf_array(GgufType element, std::uint64_t count, std::string_view elements) {
  return (little_endian(std::to_underlying(element)) + little_endian(count)).append(elements);
}

GgufFile& GgufFile::append(std::string_view key, GgufType type, std::string value) {
  metadata.push_back(
      {.key = std::string(key), .type = std::to_underlying(type), .value = std::move(value)});
  return *this;
}

GgufFile& GgufFile::set(std::string_view key, GgufType type, std::string value) {
  const auto found = std::ranges::find(metadata, key, &Entry::key);
  if (found == metadata.end()) return append(key, type, std::move(value));
  found->type = std::to_underlying(type);
  found->value = std::move(value);
  return *this;
}

GgufFile& GgufFile::set_string(std::string_view key, std::string_view text) {
  return set(key, GgufType::String, gguf_string(text));
}
GgufFile& GgufFile::set_u32(std::string_view key, std::uint32_t value) {
  return set(key, GgufType::Uint32, little_endian(value));
}
GgufFile& GgufFile::set_f32(std::string_view key, float value) {
  return set(key, GgufType::Float32, little_endian(value));
}

GgufFile& GgufFile::remove(std::string_view key) {
  std::erase_if(metadata, [&](const Entry& entry) { return entry.key == key; });
  return *this;
}

GgufFile& GgufFile::remove_tensor(std::string_view name) {
  std::erase_if(tensors, [&](const GgufTensor& tensor) { return tensor.name == name; });
  return *this;
}

GgufTensor& GgufFile::tensor(std::string_view name) {
  const auto found = std::ranges::find(tensors, name, &GgufTensor::name);
  if (found == tensors.end()) std::abort();  // a typing error in a test
  return *found;
}

std::string GgufFile::header() const {
  std::string out = magic + little_endian(version);
  out += little_endian<std::uint64_t>(tensor_count.value_or(tensors.size()));
  out += little_endian<std::uint64_t>(metadata_count.value_or(metadata.size()));
  for (const Entry& entry : metadata)
    out += gguf_string(entry.key) + little_endian(entry.type) + entry.value;
  std::uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    out += gguf_string(tensor.name);
    out += little_endian(
        tensor.dimension_count.value_or(static_cast<std::uint32_t>(tensor.dimensions.size())));
    for (const std::uint64_t dimension : tensor.dimensions)
      out += little_endian(dimension);
    out += little_endian(tensor.type) + little_endian(tensor.offset.value_or(offset));
    offset = aligned(offset + tensor.data.size(), alignment);
  }
  return out;
}

std::size_t GgufFile::header_size() const {
  return header().size();
}

std::string GgufFile::bytes() const {
  std::string out = header();
  for (const GgufTensor& tensor : tensors) {
    out.resize(aligned(out.size(), alignment));
    out += tensor.data;
  }
  // ggml reads the padding of the last tensor too.
  if (!tensors.empty()) out.resize(aligned(out.size(), alignment));
  return out;
}

GgufFile tiny_model_file(std::uint32_t seed, const TinyModelOptions& options) {
  GgufFile file;
  file.set_string("general.architecture", "llama");
  file.set_string("general.name", options.name);
  file.set_u32("llama.context_length", options.context_length);
  file.set_u32("llama.embedding_length", kEmbedding);
  file.set_u32("llama.block_count", kBlocks);
  file.set_u32("llama.feed_forward_length", kFeedForward);
  file.set_u32("llama.attention.head_count", 4);
  file.set_u32("llama.attention.head_count_kv", 2);
  file.set_u32("llama.rope.dimension_count", 16);
  file.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  add_tokenizer(file, options);

  std::mt19937 engine(seed);
  add_weights(file, engine, "token_embd.weight", {kEmbedding, options.vocabulary});
  add_weights(file, engine, "output_norm.weight", {kEmbedding});
  for (std::uint32_t block = 0; block < kBlocks; ++block) {
    const std::string prefix = "blk." + std::to_string(block) + ".";
    add_weights(file, engine, prefix + "attn_norm.weight", {kEmbedding});
    add_weights(file, engine, prefix + "attn_q.weight", {kEmbedding, kEmbedding});
    add_weights(file, engine, prefix + "attn_k.weight", {kEmbedding, kKeyValueWidth});
    add_weights(file, engine, prefix + "attn_v.weight", {kEmbedding, kKeyValueWidth});
    add_weights(file, engine, prefix + "attn_output.weight", {kEmbedding, kEmbedding});
    add_weights(file, engine, prefix + "ffn_norm.weight", {kEmbedding});
    add_weights(file, engine, prefix + "ffn_gate.weight", {kEmbedding, kFeedForward});
    add_weights(file, engine, prefix + "ffn_up.weight", {kEmbedding, kFeedForward});
    add_weights(file, engine, prefix + "ffn_down.weight", {kFeedForward, kEmbedding});
  }
  return file;
}

std::string tiny_model(std::uint32_t seed, const TinyModelOptions& options) {
  return tiny_model_file(seed, options).bytes();
}

GgufFile small_file() {
  GgufFile file;
  file.set_string("general.architecture", "llama");
  file.set_string("general.name", "small");
  file.set_u32("llama.context_length", 128);
  file.set_f32("llama.rope.freq_base", 10000.0F);
  file.set("small.flag", GgufType::Bool, std::string(1, '\x01'));
  file.set("small.signed", GgufType::Int16, little_endian<std::int16_t>(-2));
  file.set("small.wide", GgufType::Float64, little_endian(0.5));
  file.set("small.words", GgufType::Array,
           gguf_array(GgufType::String, 2, gguf_string("a") + gguf_string("b")));
  file.set("small.numbers", GgufType::Array,
           gguf_array(GgufType::Int32, 3, std::string(12, '\x01')));
  file.tensors.push_back(
      {.name = "first.weight", .dimensions = {4, 2}, .data = std::string(32, '\0')});
  file.tensors.push_back(
      {.name = "second.weight", .dimensions = {32}, .type = 2, .data = std::string(18, '\0')});
  return file;
}

}  // namespace symbiont::testing
