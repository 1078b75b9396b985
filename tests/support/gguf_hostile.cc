#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "gguf_builder.h"

namespace symbiont::testing {
namespace {

using Variants = std::vector<HostileVariant>;

constexpr std::uint64_t kHuge = std::uint64_t{1} << 62U;

/// Adds small_file() changed by `change`.
template <typename Change>
void add_rejected(Variants& out, std::string name, std::string field, const Change& change) {
  GgufFile file = small_file();
  change(file);
  out.push_back({.name = std::move(name),
                 .bytes = file.bytes(),
                 .expected = Expected::PreflightRejects,
                 .field = std::move(field)});
}

/// Adds the tiny model changed by `change`.
template <typename Change>
void add_model(Variants& out, std::string name, Expected expected, const Change& change) {
  GgufFile file = tiny_model_file(1);
  change(file);
  out.push_back(
      {.name = std::move(name), .bytes = file.bytes(), .expected = expected, .field = {}});
}

void add_preamble(Variants& out) {
  out.push_back({.name = "empty", .bytes = "", .field = "file is empty"});
  out.push_back({.name = "one-byte", .bytes = "G", .field = "not a GGUF file"});
  out.push_back(
      {.name = "not-gguf", .bytes = "#!/bin/sh\nexit\n", .field = "first bytes are 23 21 2f 62"});
  out.push_back({.name = "magic-only", .bytes = "GGUF", .field = "version"});
  add_rejected(out, "magic-lower-case", "magic", [](GgufFile& f) { f.magic = "gguf"; });
  add_rejected(out, "magic-escape-sequence", "\\x1b", [](GgufFile& f) { f.magic = "\x1b[2J"; });
  add_rejected(out, "version-0", "version", [](GgufFile& f) { f.version = 0; });
  add_rejected(out, "version-1", "version", [](GgufFile& f) { f.version = 1; });
  add_rejected(out, "version-4", "version", [](GgufFile& f) { f.version = 4; });
  add_rejected(out, "big-endian", "big-endian", [](GgufFile& f) { f.version = 0x03000000; });
  add_rejected(out, "tensor-count-huge", "tensor count",
               [](GgufFile& f) { f.tensor_count = kHuge; });
  add_rejected(out, "tensor-count-negative", "tensor count",
               [](GgufFile& f) { f.tensor_count = ~std::uint64_t{0}; });
  add_rejected(out, "tensor-count-one-more", "tensor 2", [](GgufFile& f) { f.tensor_count = 3; });
  add_rejected(out, "metadata-count-huge", "metadata count",
               [](GgufFile& f) { f.metadata_count = kHuge; });
  add_rejected(out, "metadata-count-one-more", "tensor 0",
               [](GgufFile& f) { f.metadata_count = 10; });
}

void add_metadata(Variants& out) {
  add_rejected(out, "key-length-huge", "metadata key", [](GgufFile& f) {
    f.magic = "GGUF" + little_endian<std::uint32_t>(3) + little_endian<std::uint64_t>(0) +
              little_endian<std::uint64_t>(1) + little_endian(kHuge);
  });
  add_rejected(out, "key-empty", "metadata key",
               [](GgufFile& f) { f.append("", GgufType::Uint8, "\x01"); });
  add_rejected(out, "key-duplicate", "duplicate", [](GgufFile& f) {
    f.append("general.name", GgufType::String, gguf_string("other"));
  });
  add_rejected(out, "key-escape-sequence", "metadata 'a\\x1b[2J'",
               [](GgufFile& f) { f.append("a\x1b[2J", GgufType{99}, "\x01"); });
  add_rejected(out, "key-longer-than-the-bound", "metadata key",
               [](GgufFile& f) { f.append(std::string(70'000, 'k'), GgufType::Uint8, "\x01"); });
  add_rejected(out, "value-type-unknown", "value type",
               [](GgufFile& f) { f.append("x", GgufType{13}, "\x01"); });
  add_rejected(out, "bool-is-2", "bool value",
               [](GgufFile& f) { f.append("x", GgufType::Bool, "\x02"); });
  add_rejected(out, "string-length-huge", "string value",
               [](GgufFile& f) { f.append("x", GgufType::String, little_endian(kHuge)); });
  add_rejected(out, "string-length-wraps", "string value", [](GgufFile& f) {
    f.append("x", GgufType::String, little_endian(~std::uint64_t{0}));
  });
  add_rejected(out, "string-beyond-the-end", "string value", [](GgufFile& f) {
    f.append("x", GgufType::String, little_endian<std::uint64_t>(100'000));
  });
  add_rejected(out, "alignment-not-power-of-two", "general.alignment",
               [](GgufFile& f) { f.set_u32("general.alignment", 24); });
  add_rejected(out, "alignment-zero", "general.alignment",
               [](GgufFile& f) { f.set_u32("general.alignment", 0); });
  add_rejected(out, "alignment-huge", "general.alignment",
               [](GgufFile& f) { f.set_u32("general.alignment", 0x80000000U); });
  add_rejected(out, "alignment-is-a-string", "general.alignment",
               [](GgufFile& f) { f.set_string("general.alignment", "32"); });
  add_rejected(out, "architecture-is-a-number", "general.architecture",
               [](GgufFile& f) { f.set_u32("general.architecture", 1); });
  add_rejected(out, "architecture-is-an-array", "general.architecture", [](GgufFile& f) {
    f.set("general.architecture", GgufType::Array,
          gguf_array(GgufType::String, 1, gguf_string("llama")));
  });
}

void add_arrays(Variants& out) {
  const auto add = [&](std::string name, std::string field, std::string value) {
    add_rejected(out, std::move(name), std::move(field),
                 [&](GgufFile& f) { f.append("x", GgufType::Array, value); });
  };
  add("array-length-huge", "array length", gguf_array(GgufType::Uint64, kHuge, ""));
  // 2^61 elements of 8 bytes wrap to 0 bytes.
  add("array-size-wraps", "array length",
      gguf_array(GgufType::Uint64, std::uint64_t{1} << 61U, ""));
  add("array-beyond-the-end", "array length", gguf_array(GgufType::Uint8, 100'000, ""));
  add("array-of-strings-too-many", "array length", gguf_array(GgufType::String, 100'000, ""));
  add("array-of-strings-one-huge", "string value",
      gguf_array(GgufType::String, 2, little_endian(kHuge)));
  add("array-element-type-unknown", "array element type", gguf_array(GgufType{77}, 1, "\x01"));
  std::string nested = gguf_array(GgufType::Uint8, 1, "\x01");
  for (int depth = 0; depth < 20'000; ++depth)
    nested = gguf_array(GgufType::Array, 1, nested);
  add("array-nested-20000-deep", "nested deeper", nested);
}

void add_tensors(Variants& out) {
  const auto add = [&](std::string name, std::string field, const auto& change) {
    add_rejected(out, std::move(name), std::move(field),
                 [&](GgufFile& f) { change(f.tensors.front()); });
  };
  add("dimensions-none", "dimension count", [](GgufTensor& t) { t.dimensions.clear(); });
  add("dimensions-5", "dimension count", [](GgufTensor& t) { t.dimensions = {1, 1, 1, 1, 8}; });
  add("dimension-count-huge", "dimension count",
      [](GgufTensor& t) { t.dimension_count = 0xFFFFFFFFU; });
  add("dimension-zero", "dimension 1", [](GgufTensor& t) { t.dimensions = {4, 0}; });
  add("dimension-negative", "dimension 0",
      [](GgufTensor& t) { t.dimensions = {~std::uint64_t{0}}; });
  add("dimensions-overflow", "dimension 1",
      [](GgufTensor& t) { t.dimensions = {1ULL << 33U, 1ULL << 33U}; });
  add("dimensions-wrap-to-small", "dimension 1",
      [](GgufTensor& t) { t.dimensions = {1ULL << 32U, (1ULL << 32U) + 1}; });
  add("bytes-overflow", "size in bytes overflows",
      [](GgufTensor& t) { t.dimensions = {1ULL << 62U}; });
  add("type-unknown", "tensor type", [](GgufTensor& t) { t.type = 1000; });
  add("type-removed", "tensor type", [](GgufTensor& t) { t.type = 4; });
  add("row-not-a-block-multiple", "tensor type", [](GgufTensor& t) { t.type = 12; });
  add("name-empty", "tensor name", [](GgufTensor& t) { t.name.clear(); });
  add("name-64-bytes", "tensor name", [](GgufTensor& t) { t.name = std::string(64, 'n'); });
  add("name-duplicate", "duplicate", [](GgufTensor& t) { t.name = "second.weight"; });
  add("offset-unaligned", "data offset", [](GgufTensor& t) { t.offset = 1; });
  add("offset-past-the-end", "data offset", [](GgufTensor& t) { t.offset = 1 << 20U; });
  add("offset-wraps", "data offset", [](GgufTensor& t) { t.offset = ~std::uint64_t{31}; });
  add("offset-overlaps", "overlaps", [](GgufTensor& t) { t.offset = 32; });
  add("tensor-larger-than-file", "bytes are missing",
      [](GgufTensor& t) { t.dimensions = {1ULL << 40U}; });
  const std::string whole = small_file().bytes();
  out.push_back(
      {.name = "truncated-in-header", .bytes = whole.substr(0, 250), .field = "are missing"});
  out.push_back({.name = "truncated-in-data",
                 .bytes = whole.substr(0, whole.size() - 20),
                 .field = "are missing"});
}

void add_templates(Variants& out) {
  const auto add = [&](std::string name, std::string text) {
    add_model(out, std::move(name), Expected::Loads,
              [&](GgufFile& f) { f.set_string("tokenizer.chat_template", text); });
  };
  add("template-endless-loop",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor "
      "%}{% endfor %}"
      "{% endfor %}");
  add("template-calls-itself", "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}");
  add("template-doubles-its-text",
      "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% "
      "endfor %}{{ ns.s }}");
  add("template-1-mib", std::string(1 << 20U, 'x'));
  std::string deep;
  for (int i = 0; i < 5'000; ++i)
    deep += "{% if true %}";
  add("template-nested-5000-deep", deep);
  add("template-syntax-error", "{% for m in messages %}{{ m.content ");
  add("template-includes-a-file", "{% include '/etc/passwd' %}");
  add("template-invalid-utf8", "\xff\xfe{{ messages }}");
}

void add_inconsistent(Variants& out) {
  const auto set_array = [](std::string_view key, GgufType type, std::uint64_t count,
                            const std::string& elements) {
    return [=](GgufFile& f) { f.set(key, GgufType::Array, gguf_array(type, count, elements)); };
  };
  add_model(out, "architecture-unknown", Expected::EngineRejects,
            [](GgufFile& f) { f.set_string("general.architecture", "nonesuch"); });
  add_model(out, "tensor-missing", Expected::EngineRejects,
            [](GgufFile& f) { f.remove_tensor("blk.1.attn_q.weight"); });
  add_model(out, "tensor-transposed", Expected::EngineRejects,
            [](GgufFile& f) { f.tensor("blk.0.attn_k.weight").dimensions = {32, 64}; });
  add_model(out, "vocabulary-smaller-than-embedding", Expected::EngineRejects, [](GgufFile& f) {
    f.tensor("token_embd.weight").dimensions = {64, 599};
    f.tensor("token_embd.weight").data.resize(64UL * 599 * 4);
  });
  add_model(out, "head-count-zero", Expected::EngineRejects,
            [](GgufFile& f) { f.set_u32("llama.attention.head_count", 0); });
  add_model(out, "block-count-huge", Expected::EngineCrashes,
            [](GgufFile& f) { f.set_u32("llama.block_count", 0x7FFFFFFFU); });
  add_model(out, "context-length-absurd", Expected::Loads,
            [](GgufFile& f) { f.set_u32("llama.context_length", 0xFFFFFFFFU); });
  add_model(out, "tokens-are-numbers", Expected::EngineRejects,
            set_array("tokenizer.ggml.tokens", GgufType::Uint32, 600, std::string(2400, '\0')));
  add_model(out, "tokens-duplicate", Expected::EngineCrashes,
            set_array("tokenizer.ggml.tokens", GgufType::String, 600, [] {
              std::string all;
              for (int i = 0; i < 600; ++i)
                all += gguf_string("same");
              return all;
            }()));
  add_model(out, "tokens-empty-array", Expected::EngineRejects,
            set_array("tokenizer.ggml.tokens", GgufType::String, 0, ""));
  add_model(out, "scores-are-strings", Expected::EngineRejects,
            set_array("tokenizer.ggml.scores", GgufType::String, 1, gguf_string("x")));
  add_model(out, "scores-too-few", Expected::EngineRejects,
            set_array("tokenizer.ggml.scores", GgufType::Float32, 1, std::string(4, '\0')));
  add_model(out, "special-token-out-of-range", Expected::Loads,
            [](GgufFile& f) { f.set_u32("tokenizer.ggml.bos_token_id", 0x7FFFFFFFU); });
  add_model(out, "rope-dimension-zero", Expected::EngineRejects,
            [](GgufFile& f) { f.set_u32("llama.rope.dimension_count", 0); });
  add_model(out, "weights-are-integers", Expected::EngineCrashes, [](GgufFile& f) {
    f.tensor("blk.0.attn_q.weight").type = 26;  // I32: as many bytes as F32
  });
  add_model(out, "name-clears-the-terminal", Expected::Loads,
            [](GgufFile& f) { f.set_string("general.name", "\x1b[2J\x1b]0;owned\x07"); });
}

}  // namespace

std::vector<HostileVariant> hostile_variants() {
  Variants out;
  add_preamble(out);
  add_metadata(out);
  add_arrays(out);
  add_tensors(out);
  add_templates(out);
  add_inconsistent(out);
  return out;
}

}  // namespace symbiont::testing
