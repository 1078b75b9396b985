"""The gateway with the real model, called by the packages that programs use for each API."""

import json
import pathlib
import tempfile
import unittest

from serve_daemon import CONFIG, MODEL, Daemon, client_package, key_command, until

CAPITAL = [{"role": "user", "content": "What is the capital of France?"}]
SYSTEM = "You are a helpful assistant."
PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
          "required": ["name", "age"], "additionalProperties": False}
WEATHER = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"],
           "additionalProperties": False}

# The first model, which is "small", makes embeddings too.
EMBEDDING_CONFIG = CONFIG.replace('["TextGeneration"]', '["TextGeneration", "Embeddings"]', 1)
SENTENCES = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose by two percent."]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def prompt_tokens(message):
    """Of the whole prompt, as Anthropic's API counts it."""
    return message.usage.input_tokens + message.usage.cache_read_input_tokens


class Clients(unittest.TestCase):
    """One daemon for all; the agent of the key may use "small" only."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        folder = pathlib.Path(temporary.name)
        keys = str(folder / "keys.json")
        cls.key = key_command("new", "--keys", keys, "--agent", "reader").strip()
        config = folder / "symbiont.toml"
        config.write_text(EMBEDDING_CONFIG % {"model": MODEL, "server": f'keys_file = "{keys}"'})
        cls.daemon = Daemon("--config", str(config))
        cls.addClassCleanup(cls.daemon.stop)
        cls.url = f"http://127.0.0.1:{cls.daemon.port}"

    def package(self, name):
        package = client_package(name)
        if package is None:
            self.skipTest(f"no {name} package")
        return package

    def execution(self, execution_id):
        """What the log says of an execution."""
        def found():
            return [e for e in self.daemon.events("execution") if e["execution_id"] == execution_id]

        self.assertTrue(until(found), "the log has nothing of it")
        found = found()
        self.assertEqual(len(found), 1)
        return found[0]


class Anthropic(Clients):
    def setUp(self):
        self.anthropic = self.package("anthropic")
        self.client = self.anthropic.Anthropic(base_url=self.url, api_key=self.key, max_retries=0)
        self.addCleanup(self.client.close)
        # The package has no argument for it any more; the API has.
        self.ask = {"model": "small", "max_tokens": 16, "system": SYSTEM, "messages": CAPITAL,
                    "extra_body": {"temperature": 0}}

    def test_a_message_and_its_length(self):
        raw = self.client.messages.with_raw_response.create(**self.ask)
        message = raw.parse()
        self.assertIn("Paris", message.content[0].text)
        self.assertIn(message.stop_reason, {"end_turn", "max_tokens"})
        self.assertEqual(message._request_id, raw.headers["x-request-id"])
        logged = self.execution(raw.headers["x-execution-id"])
        self.assertEqual(message.usage.output_tokens, logged["completion_tokens"])
        self.assertEqual(prompt_tokens(message), logged["prompt_tokens"])
        counted = self.client.messages.count_tokens(model="small", system=SYSTEM, messages=CAPITAL)
        self.assertEqual(counted.input_tokens, prompt_tokens(message))

    def test_a_beginning_is_remembered_and_counted_apart(self):
        system = [{"type": "text", "text": SYSTEM * 4, "cache_control": {"type": "ephemeral"}}]
        first, second = (self.client.messages.create(**{**self.ask, "system": system}) for _ in range(2))
        self.assertEqual(prompt_tokens(second), prompt_tokens(first))
        self.assertGreater(second.usage.cache_read_input_tokens, second.usage.input_tokens)

    def test_a_stream_says_the_same(self):
        whole = self.client.messages.create(**self.ask)
        with self.client.messages.stream(**self.ask) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.content[0].text, text)
        self.assertEqual(final.stop_reason, whole.stop_reason)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)
        self.assertEqual(prompt_tokens(final), prompt_tokens(whole))

    def test_why_it_ended(self):
        short = self.client.messages.create(**{**self.ask, "max_tokens": 2})
        self.assertEqual((short.stop_reason, short.usage.output_tokens), ("max_tokens", 2))
        stopped = {**self.ask, "stop_sequences": ["London", "Paris"]}
        message = self.client.messages.create(**stopped)
        self.assertEqual((message.stop_reason, message.stop_sequence), ("stop_sequence", "Paris"))
        with self.client.messages.stream(**stopped) as stream:
            final = stream.get_final_message()
        self.assertEqual((final.stop_reason, final.stop_sequence), ("stop_sequence", "Paris"))
        self.assertEqual(final.content[0].text, message.content[0].text)

    def test_tools_are_called_and_their_results_taken(self):
        tool = {"name": "get_weather", "description": "The weather of a city.", "input_schema": WEATHER}
        ask = {**self.ask, "max_tokens": 100, "tools": [tool], "tool_choice": {"type": "tool", "name": "get_weather"}}
        message = self.client.messages.create(**ask)
        self.assertEqual(message.stop_reason, "tool_use")
        call = message.content[0]
        self.assertEqual((call.type, call.name), ("tool_use", "get_weather"))
        self.assertIn(call.input["city"], ("Paris", "Rome"))
        with self.client.messages.stream(**ask) as stream:
            final = stream.get_final_message()
        self.assertEqual((final.stop_reason, final.content[0].input), ("tool_use", call.input))
        counted = self.client.messages.count_tokens(**{k: ask[k] for k in ("model", "messages", "tools", "tool_choice")},
                                                    **({"system": ask["system"]} if "system" in ask else {}))
        self.assertEqual(counted.input_tokens, prompt_tokens(message))
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "It rains."}
        after = self.client.messages.create(**{
            **ask, "max_tokens": 8, "tool_choice": {"type": "none"},
            "messages": [*ask["messages"], {"role": "assistant", "content": message.content},
                         {"role": "user", "content": [result]}]})
        self.assertEqual(after.content[0].type, "text")

    def test_models(self):
        models = list(self.client.models.list())
        self.assertEqual([m.id for m in models], ["small"])
        self.assertEqual(self.client.models.retrieve("small").display_name, "Small")

    def test_errors(self):
        a = self.anthropic
        for more, error, kind in (({"model": "other"}, a.NotFoundError, "not_found_error"),
                                  ({"extra_body": {"temperature": 1.5}}, a.BadRequestError, "invalid_request_error"),
                                  ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, a.BadRequestError,
                                   "invalid_request_error")):
            with self.subTest(more=more), self.assertRaises(error) as raised:
                self.client.messages.create(**{**self.ask, **more})
            self.assertEqual(raised.exception.body["error"]["type"], kind)
            self.assertEqual(raised.exception.body["request_id"], raised.exception.request_id)
        stranger = a.Anthropic(base_url=self.url, api_key="sym-wrong", max_retries=0)
        with stranger, self.assertRaises(a.AuthenticationError) as raised:
            stranger.messages.create(**self.ask)
        self.assertEqual(raised.exception.body["error"]["type"], "authentication_error")


class Ollama(Clients):
    def setUp(self):
        self.ollama = self.package("ollama")
        self.client = self.ollama.Client(host=self.url, headers={"Authorization": f"Bearer {self.key}"})
        self.addCleanup(self.client.close)
        self.options = {"temperature": 0, "num_predict": 16, "num_ctx": 4096}

    def test_a_chat(self):
        ask = [{"role": "system", "content": SYSTEM}, *CAPITAL]
        whole = self.client.chat(model="small:latest", messages=ask, options=self.options, keep_alive="5m",
                                 think=False)
        self.assertIn("Paris", whole.message.content)
        self.assertTrue(whole.done)
        self.assertIn(whole.done_reason, {"stop", "length"})
        self.assertGreater(whole.prompt_eval_count, 5)
        for duration in (whole.total_duration, whole.prompt_eval_duration, whole.eval_duration):
            self.assertGreater(duration, 0)
        parts = list(self.client.chat(model="small", messages=ask, options=self.options, stream=True))
        self.assertGreater(len(parts), 2)
        self.assertEqual("".join(p.message.content for p in parts), whole.message.content)
        self.assertEqual([p.done for p in parts], [False] * (len(parts) - 1) + [True])
        self.assertEqual(parts[-1].eval_count, whole.eval_count)
        self.assertEqual(parts[-1].prompt_eval_count, whole.prompt_eval_count)

    def test_a_prompt(self):
        answer = self.client.generate(model="small", prompt="What is the capital of France?", system=SYSTEM,
                                      options=self.options)
        self.assertIn("Paris", answer.response)
        raw = self.client.generate(model="small", prompt="One, two, three,", raw=True,
                                   options={"temperature": 0, "num_predict": 4})
        self.assertEqual((raw.eval_count, raw.done_reason), (4, "length"))

    def test_a_format_is_followed(self):
        answer = self.client.chat(model="small", format=PERSON, options={"temperature": 0, "num_predict": 200},
                                  messages=[{"role": "user", "content": "Describe Ann, who is 30, as JSON."}])
        if answer.done_reason == "stop":
            self.assertEqual(set(json.loads(answer.message.content)), {"name", "age"})
        self.assertTrue(answer.message.content.lstrip().startswith("{"), answer.message.content)

    def test_tools_are_called_and_their_results_taken(self):
        def get_weather(city: str) -> str:
            """The weather of a city.

            Args:
              city: its name
            """
            return f"It rains in {city}."

        # This API demands no call; a format leaves the small model no choice.
        call_format = {"type": "object", "properties": {"name": {"const": "get_weather"}, "arguments": WEATHER},
                       "required": ["name", "arguments"], "additionalProperties": False}
        ask = {"model": "small", "tools": [get_weather], "options": {"temperature": 0, "num_predict": 100}}
        whole = self.client.chat(**ask, messages=CAPITAL, format=call_format)
        self.assertEqual(whole.message.content, "")
        call = whole.message.tool_calls[0].function
        self.assertEqual(call.name, "get_weather")
        parts = list(self.client.chat(**ask, messages=CAPITAL, format=call_format, stream=True))
        self.assertEqual(parts[-1].message.tool_calls[0].function.arguments, call.arguments)
        after = self.client.chat(**{**ask, "options": {"temperature": 0, "num_predict": 8}}, messages=[
            *CAPITAL, whole.message, {"role": "tool", "tool_name": "get_weather", "content": get_weather(**call.arguments)}])
        self.assertTrue(after.done)

    def test_embeddings(self):
        all_at_once = self.client.embed(model="small:latest", input=SENTENCES)
        self.assertEqual(len(all_at_once.embeddings), len(SENTENCES))
        self.assertGreater(all_at_once.prompt_eval_count, 10)
        self.assertGreater(all_at_once.total_duration, 0)
        one = self.client.embed(model="small", input=SENTENCES[0]).embeddings[0]
        self.assertGreater(cosine(one, all_at_once.embeddings[0]), 0.999)
        older = self.client.embeddings(model="small", prompt=SENTENCES[0])
        self.assertEqual(list(older.embedding), list(one))

    def test_models(self):
        self.assertEqual([m.model for m in self.client.list().models], ["small"])
        self.assertGreater(self.client.list().models[0].size, 0)
        self.assertEqual(self.client.show("small:latest").capabilities, ["completion", "tools", "embedding"])
        self.assertEqual(list(self.client.ps().models), [])

    def test_errors(self):
        for status, call in (
                (404, lambda: self.client.chat(model="other", messages=CAPITAL)),
                (404, lambda: self.client.show("other")),
                (400, lambda: self.client.chat(model="small", messages=CAPITAL, options={"num_ctx": 100000})),
                (400, lambda: self.client.chat(model="small", messages=CAPITAL, options={"mirostat": 1})),
                (400, lambda: self.client.chat(model="small", messages=CAPITAL, format={"type": "nonsense"})),
                (400, lambda: list(self.client.generate(model="small", prompt="x", think=True, stream=True))),
                (501, lambda: self.client.pull("small")),
                (404, lambda: self.client.embed(model="other", input="x")),
                (400, lambda: self.client.embed(model="small", input="")),
                (400, lambda: self.client.embed(model="small", input="cat " * 5000, truncate=False))):
            with self.subTest(status=status), self.assertRaises(self.ollama.ResponseError) as raised:
                call()
            self.assertEqual(raised.exception.status_code, status)
            self.assertGreater(len(raised.exception.error), 10)


class OpenAi(Clients):
    def setUp(self):
        self.openai = self.package("openai")
        self.client = self.openai.OpenAI(base_url=self.url + "/v1", api_key=self.key, max_retries=0)
        self.addCleanup(self.client.close)

    def test_each_chunk_has_the_probabilities_of_its_tokens(self):
        ask = {"model": "small", "messages": CAPITAL, "temperature": 0, "max_tokens": 16, "logprobs": True,
               "top_logprobs": 2}
        whole = self.client.chat.completions.create(**ask).choices[0]
        chunks = [c.choices[0] for c in self.client.chat.completions.create(**ask, stream=True)]
        for chunk in chunks:
            tokens = chunk.logprobs.content if chunk.logprobs else []
            self.assertEqual(chunk.delta.content or "", "".join(t.token for t in tokens))
        streamed = [t for c in chunks if c.logprobs for t in c.logprobs.content]
        self.assertEqual([t.token for t in streamed], [t.token for t in whole.logprobs.content])
        self.assertGreater(len([c for c in chunks if c.logprobs]), 2)

    def test_a_text_stream_has_them_too(self):
        ask = {"model": "small", "prompt": "One, two, three,", "temperature": 0, "max_tokens": 8, "logprobs": 1}
        whole = self.client.completions.create(**ask).choices[0].logprobs
        parts = [c.choices[0].logprobs for c in self.client.completions.create(**ask, stream=True)]
        parts = [p for p in parts if p is not None]
        self.assertGreater(len(parts), 1)
        self.assertEqual([o for p in parts for o in p.text_offset], whole.text_offset)
        self.assertEqual([t for p in parts for t in p.tokens], whole.tokens)

    def test_embeddings(self):
        raw = self.client.embeddings.with_raw_response.create(model="small", input=SENTENCES)
        answer = raw.parse()  # this client asks for base64
        values = [d.embedding for d in answer.data]
        self.assertEqual([d.index for d in answer.data], [0, 1, 2])
        for vector in values:
            self.assertAlmostEqual(cosine(vector, vector), 1.0, places=4)
        self.assertGreater(cosine(values[0], values[1]), cosine(values[0], values[2]))
        logged = self.execution(raw.headers["x-execution-id"])
        self.assertEqual((answer.usage.prompt_tokens, answer.usage.total_tokens),
                         (logged["prompt_tokens"], logged["prompt_tokens"]))
        again = self.client.embeddings.create(model="small", input=SENTENCES, encoding_format="float",
                                              dimensions=len(values[0]))
        for before, after in zip(values, again.data, strict=True):
            self.assertLess(max(abs(x - y) for x, y in zip(before, after.embedding, strict=True)), 1e-6)

    def test_embeddings_that_cannot_be_made(self):
        for param, code, more in (("dimensions", "invalid_value", {"dimensions": 7}),
                                  ("input", "unsupported_value", {"input": [[1, 2]]}),
                                  ("input", "context_length_exceeded", {"input": "cat " * 5000})):
            with self.subTest(param=param), self.assertRaises(self.openai.BadRequestError) as raised:
                self.client.embeddings.create(**{"model": "small", "input": "x", **more})
            self.assertEqual((raised.exception.param, raised.exception.code), (param, code))
        with self.assertRaises(self.openai.NotFoundError):
            self.client.embeddings.create(model="other", input="x")

    def test_a_schema_that_the_engine_refuses_is_named(self):
        bad = {"type": "nonsense"}
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": bad}}}}
        form = {"type": "json_schema", "json_schema": {"name": "n", "schema": bad}}
        for param, more in (("response_format", {"response_format": form}),
                            ("tools", {"tools": [tool], "tool_choice": "required"})):
            with self.subTest(param=param), self.assertRaises(self.openai.BadRequestError) as raised:
                self.client.chat.completions.create(model="small", messages=CAPITAL, **more)
            self.assertEqual(raised.exception.param, param)
        with self.assertRaises(self.openai.BadRequestError) as raised:
            self.client.responses.create(model="small", input="x", text={
                "format": {"type": "json_schema", "name": "n", "schema": bad}})
        self.assertEqual(raised.exception.param, "text.format")


class OpenAiResponses(Clients):
    def setUp(self):
        self.openai = self.package("openai")
        self.client = self.openai.OpenAI(base_url=self.url + "/v1", api_key=self.key, max_retries=0)
        self.addCleanup(self.client.close)
        self.ask = {"model": "small", "instructions": SYSTEM, "input": "What is the capital of France?",
                    "temperature": 0, "max_output_tokens": 16, "store": False}

    def test_a_response(self):
        raw = self.client.responses.with_raw_response.create(**self.ask)
        response = raw.parse()
        self.assertIn("Paris", response.output_text)
        logged = self.execution(raw.headers["x-execution-id"])
        self.assertEqual(response.usage.input_tokens, logged["prompt_tokens"])
        self.assertEqual(response.usage.output_tokens, logged["completion_tokens"])
        # What it said can be sent back as it came.
        again = self.client.responses.create(**{**self.ask, "input": [
            *CAPITAL, *response.output, {"role": "user", "content": "And of Italy?"}]})
        self.assertGreater(again.usage.input_tokens, response.usage.input_tokens)

    def test_a_stream_says_the_same(self):
        whole = self.client.responses.create(**self.ask)
        with self.client.responses.stream(**self.ask) as stream:
            events = list(stream)
            final = stream.get_final_response() if events[-1].type == "response.completed" else events[-1].response
        self.assertEqual(final.output_text, whole.output_text)
        self.assertEqual("".join(e.delta for e in events if e.type == "response.output_text.delta"), whole.output_text)
        self.assertEqual([e.sequence_number for e in events], list(range(len(events))))
        self.assertEqual(final.usage.total_tokens, whole.usage.total_tokens)

    def test_tools_are_called_and_their_results_taken(self):
        tool = {"type": "function", "name": "get_weather", "description": "The weather of a city.", "parameters": WEATHER,
                "strict": True}
        ask = {**self.ask, "max_output_tokens": 100, "tools": [tool], "tool_choice": "required"}
        response = self.client.responses.create(**ask)
        call = response.output[0]
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        self.assertIn(json.loads(call.arguments)["city"], ("Paris", "Rome"))
        with self.client.responses.stream(**ask) as stream:
            events = list(stream)
            final = stream.get_final_response()
        self.assertEqual(final.output[0].arguments, call.arguments)
        self.assertIn("response.function_call_arguments.done", [e.type for e in events])
        after = self.client.responses.create(**{
            **ask, "tool_choice": "none", "max_output_tokens": 8,
            "input": [*CAPITAL, *response.output,
                      {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}]})
        self.assertEqual(after.output[0].type, "message")

    def test_too_short_is_incomplete(self):
        short = self.client.responses.create(**{**self.ask, "max_output_tokens": 2})
        self.assertEqual((short.status, short.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        events = list(self.client.responses.create(**{**self.ask, "max_output_tokens": 2}, stream=True))
        self.assertEqual(events[-1].type, "response.incomplete")

    def test_a_format_is_followed(self):
        response = self.client.responses.create(
            model="small", input="Describe Ann, who is 30, as JSON.", temperature=0, max_output_tokens=200,
            text={"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}})
        if response.status == "completed":
            self.assertEqual(set(json.loads(response.output_text)), {"name", "age"})
        self.assertTrue(response.output_text.lstrip().startswith("{"), response.output_text)

    def test_errors(self):
        for more, param in (({"store": True}, "store"), ({"previous_response_id": "resp_1"}, "previous_response_id"),
                            ({"tools": [{"type": "web_search"}]}, "tools[0].type")):
            with self.subTest(param=param), self.assertRaises(self.openai.BadRequestError) as raised:
                self.client.responses.create(**{**self.ask, **more})
            self.assertEqual(raised.exception.param, param)
        with self.assertRaises(self.openai.NotFoundError):
            self.client.responses.create(**{**self.ask, "model": "other"})


if __name__ == "__main__":
    unittest.main()
